"""Convert OpenAI's JSON format to our types, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

from .errors import ToolFileError
from .tool_definition import json_type, read_tool
from .types import (
    AssistantMessage,
    ContextUsage,
    Done,
    Event,
    Message,
    Notice,
    PrefillProgress,
    SystemMessage,
    TextDelta,
    TokenLogprob,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolCalls,
    ToolResult,
    UserMessage,
)
from .user_file import SURROGATE

Json = Any


def tools(data: Json) -> tuple[Tool, ...]:
    """Return the tools in `data`: a list, one tool, or an object with a list of "tools".

    Each tool may be in OpenAI's format or flat, as MCP and Anthropic write it. The list may be
    called "functions", as OpenAI did earlier. The tools have no function: the caller runs them.

    Raises:
        ToolFileError: a tool is invalid; the message has its JSON pointer.
    """
    lists: Mapping[str, Json] = {"": data}
    if isinstance(data, Mapping):
        named = {f"/{key}": data[key] for key in LIST_KEYS if data.get(key) is not None}
        lists = named or {"": [data]}
    found: list[Tool] = []
    for pointer, items in lists.items():
        if not isinstance(items, list):
            raise ToolFileError(f"The tools are {json_type(items)}, not a list of tools.")
        found += [tool(item, place) for item, place in _declared(items, pointer)]
    _check_unique(found)
    return tuple(found)


DECLARATION_KEYS = ("functionDeclarations", "function_declarations")
"""Where Gemini lists the functions of a tool."""
LIST_KEYS = ("tools", "functions", *DECLARATION_KEYS)


def _declared(items: Sequence[Json], pointer: str) -> Iterator[tuple[Json, str]]:
    """Yield the tools in a list with their JSON pointers, also those in lists of declarations."""
    for number, item in enumerate(items):
        place = f"{pointer}/{number}"
        keys = [key for key in DECLARATION_KEYS if isinstance(item, Mapping) and key in item]
        lists = [key for key in keys if isinstance(item[key], list)]
        for key in lists:
            _check_beside(item, lists, place)
            yield from ((each, f"{place}/{key}/{at}") for at, each in enumerate(item[key]))
        if not lists:
            yield item, place


def _check_beside(item: Mapping[str, Json], lists: Sequence[str], place: str) -> None:
    """Raise an error for what is written beside a list of declarations.

    Gemini lists tools there that run on its servers.
    """
    if others := [key for key, value in item.items() if key not in lists and value is not None]:
        raise ToolFileError(
            f"The tool at {place} has {' and '.join(map(repr, others))} beside {lists[0]!r}; "
            "only functions can be offered. Remove it."
        )


def tool(item: Json, pointer: str) -> Tool:
    """Return the tool in `item`; `pointer` is its JSON pointer.

    Raises:
        ToolFileError: the tool is invalid.
    """
    return read_tool(item, pointer)


def messages_json(messages: Sequence[Message]) -> list[dict[str, Json]]:
    """Return messages in OpenAI's format."""
    return [_message_json(message) for message in messages]


EVENT_NAMES: Mapping[type, str] = {
    TextDelta: "text_delta",
    ToolCallDelta: "tool_call_delta",
    Notice: "notice",
    PrefillProgress: "prefill_progress",
    ContextUsage: "context_usage",
    Done: "done",
}


def event_json(event: Event) -> dict[str, Json]:
    """Return an event of a turn as an object with its name and its fields."""
    if name := EVENT_NAMES.get(type(event)):
        values = asdict(cast(TextDelta, event))
        if isinstance(event, TextDelta | ToolCallDelta):
            values = {"text": event.text}
            if event.logprobs:
                values["logprobs"] = list(map(token_logprob_json, event.logprobs))
        return {"event": name, **values}
    return {"event": "message", "message": _message_json(cast(Message, event))}


def token_logprob_json(token: TokenLogprob) -> dict[str, Json]:
    """Return a token with its log probability and the alternatives to it."""
    return {**_token_json(token), "top_logprobs": list(map(_token_json, token.alternatives))}


def _token_json(token: TokenLogprob) -> dict[str, Json]:
    return {
        "token": token.data.decode("utf-8", "replace"),
        "logprob": token.logprob,
        "bytes": list(token.data),
    }


def call_to_json(call: ToolCall) -> dict[str, Json]:
    """Return a call in xLAM's format."""
    return {"name": call.name, "arguments": call.arguments}


def dumps(value: Json, indent: int | None = None) -> str:
    """Return JSON, by default on one line, with non-ASCII characters unescaped.

    Halves of surrogate pairs, which UTF-8 cannot encode, stay escaped.
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _check_unique(found: Sequence[Tool]) -> None:
    names: set[str] = set()
    for item in found:
        if item.name in names:
            raise ToolFileError(f"There are two tools named {item.name!r}.")
        names.add(item.name)


def _message_json(message: Message) -> dict[str, Json]:
    match message:
        case SystemMessage(text):
            return {"role": "system", "content": text}
        case UserMessage(text):
            return {"role": "user", "content": text}
        case AssistantMessage(text):
            return {"role": "assistant", "content": text}
        case ToolCalls(calls, text):
            tool_calls = [_tool_call_json(call) for call in calls]
            return {"role": "assistant", "content": text or None, "tool_calls": tool_calls}
        case ToolResult(call, output):
            return {"role": "tool", "tool_call_id": call.id, "content": output}


def _tool_call_json(call: ToolCall) -> dict[str, Json]:
    function = {"name": call.name, "arguments": dumps(call.arguments)}
    return {"id": call.id, "type": "function", "function": function}
