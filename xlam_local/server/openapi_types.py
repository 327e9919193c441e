"""The schemas of the fields of requests, for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Json = Any
Types = Mapping[str, Mapping[str, Json]]
BOOLEAN, INTEGER, STRING = {"type": "boolean"}, {"type": "integer"}, {"type": "string"}
OBJECT = {"type": "object"}
NULL = {"type": "null"}
LIMIT = {"type": "integer", "minimum": 1}
ALTERNATIVES = {"type": "integer", "minimum": 0, "maximum": 20}
SHARE = {"type": "number", "minimum": 0, "maximum": 1}
JSON_SCHEMA = {"type": ["object", "boolean"]}


def choice(*schemas: Mapping[str, Json]) -> dict[str, Json]:
    """Return the schema of values that match one of the schemas."""
    return {"anyOf": list(schemas)}


def array(items: Mapping[str, Json], **limits: int) -> dict[str, Json]:
    """Return the schema of an array."""
    return {"type": "array", "items": items, **limits}


def record(required: Sequence[str], **properties: Mapping[str, Json]) -> dict[str, Json]:
    """Return the schema of an object."""
    return {"type": "object", "required": list(required), "properties": properties}


def one_of(*values: Json) -> dict[str, Json]:
    """Return the schema of some values."""
    return {"enum": list(values)}


def text_parts(kind: str) -> dict[str, Json]:
    """Return the schema of a content: a text, or parts of text of a type."""
    return choice(STRING, array(record(["type", "text"], type=one_of(kind), text=STRING)))


FUNCTION = record(["name"], name=STRING, description=STRING, parameters=OBJECT, strict=BOOLEAN)
TOOL = record(["type", "function"], type=one_of("function"), function=FUNCTION)
TOOLS = array(TOOL, maxItems=128)
CALL = record(
    ["function"],
    id=STRING,
    type=one_of("function"),
    function=record(["name", "arguments"], name=STRING, arguments=STRING),
)
MESSAGE = choice(
    record(
        ["role", "content"],
        role=one_of("system", "developer", "user"),
        content=text_parts("text"),
    ),
    record(
        ["role"],
        role=one_of("assistant"),
        content=choice(text_parts("text"), NULL),
        tool_calls=array(CALL),
    ),
    record(
        ["role", "content", "tool_call_id"],
        role=one_of("tool"),
        content=text_parts("text"),
        tool_call_id=STRING,
    ),
)
NAMED = record(
    ["type", "function"], type=one_of("function"), function=record(["name"], name=STRING)
)
RESPONSE_FORMAT = choice(
    record(["type"], type=one_of("text", "json_object")),
    record(
        ["type", "json_schema"],
        type=one_of("json_schema"),
        json_schema=record(["schema"], name=STRING, schema=JSON_SCHEMA, strict=BOOLEAN),
    ),
)

COMMON: Types = {
    **dict.fromkeys(("stream", "parallel_tool_calls", "echo"), BOOLEAN),
    **dict.fromkeys(("add_special", "parse_special", "with_pieces"), BOOLEAN),
    **dict.fromkeys(("top_k", "seed"), INTEGER),
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "max_output_tokens"), LIMIT),
    **dict.fromkeys(("top_p", "min_p"), SHARE),
    **dict.fromkeys(("model", "grammar", "instructions"), STRING),
    "n": {"type": "integer", "minimum": 1, "maximum": 8},
    "repeat_last_n": {"type": "integer", "minimum": 0},
    "repeat_penalty": {"type": "number", "minimum": 0.1, "maximum": 10},
    "temperature": {"type": "number", "minimum": 0, "maximum": 2},
    "stop": choice(STRING, array(STRING, maxItems=4)),
    "stream_options": record([], include_usage=BOOLEAN),
    "messages": array(MESSAGE, minItems=1),
    "tools": TOOLS,
    "tool_choice": choice(one_of("none", "auto", "required"), NAMED),
    "response_format": RESPONSE_FORMAT,
    "json_schema": JSON_SCHEMA,
    "logprobs": BOOLEAN,
    "top_logprobs": ALTERNATIVES,
}
"""The fields of OpenAI's and llama-server's endpoints."""

TOKENS = array({"type": "integer", "minimum": 0})
COMPLETIONS: Types = {
    "prompt": choice(STRING, TOKENS, array(choice(STRING, TOKENS), minItems=1, maxItems=32)),
    "logprobs": ALTERNATIVES,
}
TOKENIZE: Types = {
    "content": choice(STRING, array(choice(STRING, {"type": "integer", "minimum": 0}))),
    "tokens": TOKENS,
}
FLAT_TOOL = record(["type", "name"], type=one_of("function"), name=STRING, parameters=OBJECT)
RESPONSES: Types = {
    "include": array(STRING),
    "input": choice(
        STRING,
        array(
            choice(
                record(
                    ["role", "content"],
                    role=one_of("system", "developer", "user", "assistant"),
                    content=text_parts("input_text"),
                ),
                record(
                    ["type", "call_id", "name", "arguments"],
                    type=one_of("function_call"),
                    call_id=STRING,
                    name=STRING,
                    arguments=STRING,
                ),
                record(
                    ["type", "call_id", "output"],
                    type=one_of("function_call_output"),
                    call_id=STRING,
                    output=STRING,
                ),
                record(["type"], type=one_of("reasoning")),
            ),
            minItems=1,
        ),
    ),
    "tools": array(FLAT_TOOL, maxItems=128),
    "text": record(
        [],
        format=choice(
            record(["type"], type=one_of("text", "json_object")),
            record(["type", "schema"], type=one_of("json_schema"), name=STRING, schema=JSON_SCHEMA),
        ),
    ),
    "tool_choice": choice(
        one_of("none", "auto", "required"),
        record(["type", "name"], type=one_of("function"), name=STRING),
    ),
}
ANTHROPIC_PART = choice(
    record(["type", "text"], type=one_of("text"), text=STRING),
    record(["type", "id", "name", "input"], type=one_of("tool_use"), id=STRING, name=STRING)
    | {"additionalProperties": OBJECT},
    record(
        ["type", "tool_use_id"],
        type=one_of("tool_result"),
        tool_use_id=STRING,
        content=text_parts("text"),
    ),
)
ANTHROPIC: Types = {
    "messages": array(
        record(
            ["role", "content"],
            role=one_of("user", "assistant"),
            content=choice(STRING, array(ANTHROPIC_PART)),
        ),
        minItems=1,
    ),
    "system": text_parts("text"),
    "tools": array(
        record(["name", "input_schema"], name=STRING, description=STRING, input_schema=OBJECT),
        maxItems=128,
    ),
    "tool_choice": record(
        ["type"],
        type=one_of("auto", "any", "none", "tool"),
        name=STRING,
        disable_parallel_tool_use=BOOLEAN,
    ),
    "stop_sequences": array(STRING, maxItems=4),
}
OLLAMA: Types = {
    "messages": array(
        record(
            ["role"],
            role=one_of("system", "user", "assistant", "tool"),
            content=STRING,
            tool_calls=array(
                record(["function"], function=record(["name"], name=STRING, arguments=OBJECT))
            ),
            tool_name=STRING,
        ),
        minItems=1,
    ),
    "format": choice(one_of("json"), OBJECT),
    "options": record([], temperature=SHARE, top_k=INTEGER, seed=INTEGER, num_predict=INTEGER),
}
