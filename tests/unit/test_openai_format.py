from __future__ import annotations

from typing import Any

import pytest

from xlam_local import openai_format
from xlam_local.errors import ToolFileError
from xlam_local.types import (
    AssistantMessage,
    Done,
    Notice,
    PrefillProgress,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    Usage,
)

SCHEMA = {"type": "object", "properties": {}}
CALL = ToolCall("c1", "f", {"a": "é"})


@pytest.mark.parametrize(
    "data",
    [
        [{"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}}],
        [{"name": "f", "description": "d", "parameters": SCHEMA}],
        {"tools": [{"name": "f", "description": "d", "inputSchema": SCHEMA}]},
        {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True},
    ],
)
def test_tools_are_parsed_in_every_format(data: Any) -> None:
    assert openai_format.tools(data) == (Tool("f", "d", SCHEMA),)


def test_a_call_has_xlams_format() -> None:
    assert (
        openai_format.dumps(openai_format.call_to_json(CALL))
        == '{"name": "f", "arguments": {"a": "é"}}'
    )


def test_a_tool_needs_only_a_name() -> None:
    assert openai_format.tools([{"name": "f"}]) == (Tool("f", "", {}),)


PARAMETER = {"type": "string", "description": "The city."}
OBJECT = {"type": "object", "properties": {"city": PARAMETER}}
REQUIRED = {**OBJECT, "required": ["city"]}


@pytest.mark.parametrize(
    "tool",
    [
        {"name": "f", "parameters": OBJECT, "required": ["city"]},
        {"function": {"name": "f", "parameters": OBJECT, "required": ["city"]}},
        {"function": {"name": "f", "parameters": OBJECT}, "required": ["city"], "strict": True},
        {"function": {"name": "f"}, "parameters": REQUIRED},
        {"name": "f", "parameters": REQUIRED, "required": ["city"], "input_schema": REQUIRED},
        {"name": "f", "parameters": {**OBJECT, "required": None}, "required": ["city"]},
        {"Name": "f", "Parameters": REQUIRED},
        {"name": "f", "input-schema": REQUIRED},
        {"name": "f", "parameters": {"city": {**PARAMETER, "required": True}}},
        {"name": "f", "parameters": {"city": PARAMETER}},
        {"name": "f", "parameters": {**REQUIRED, "additionalProperties": None}},
        {"name": "f", "parametersJsonSchema": REQUIRED},
        {"name": "f", "args_schema": REQUIRED},
        {"functionDeclarations": [{"name": "f", "parameters": REQUIRED}]},
        {"function_declarations": [{"name": "f", "parameters": REQUIRED}]},
        {"toolSpec": {"name": "f", "inputSchema": {"json": REQUIRED}}},
        {"name": "f", "inputSchema": {"json": REQUIRED}},
    ],
)
def test_what_is_unambiguous_is_read_as_it_is_meant(tool: Any) -> None:
    assert openai_format.tools([tool]) == (Tool("f", "", REQUIRED),)


def test_an_empty_list_of_parameters_or_properties_is_an_empty_object() -> None:
    tools = [{"name": "f", "parameters": []}, {"name": "g", "parameters": {"properties": []}}]
    assert openai_format.tools(tools) == (Tool("f", "", {}), Tool("g", "", {}))


def test_parameters_by_name_are_required_unless_they_say_otherwise() -> None:
    parameters: Any = {"a": PARAMETER, "b": {**PARAMETER, "default": ""}, "type": PARAMETER}
    (tool,) = openai_format.tools([{"name": "f", "parameters": parameters}])
    assert tool.parameters["required"] == ["a", "type"]
    parameters = {"a": PARAMETER, "b": {**PARAMETER, "required": True}}
    (tool,) = openai_format.tools([{"name": "f", "parameters": parameters}])
    assert tool.parameters["required"] == ["b"]
    (tool,) = openai_format.tools(
        [{"name": "f", "properties": {"a": PARAMETER}, "type": "object", "required": ["a"]}]
    )
    assert tool.parameters == {"properties": {"a": PARAMETER}, "required": ["a"]}


@pytest.mark.parametrize(
    ("tool", "unread"),
    [
        ({"name": "f", "returns": {"type": "string"}}, ("/0/returns",)),
        ({"name": "f", "strict": False}, ("/0/strict",)),
        ({"name": "f", "description": "x", "descripton": "y"}, ("/0/descripton",)),
        ({"function": {"name": "f", "args": {}}, "id": 1}, ("/0/function/args", "/0/id")),
        ({"type": "bash_20250124", "name": "bash"}, ("/0/type",)),
        ({"name": "f", "parameters": OBJECT, "args": {"a": {}}}, ("/0/args",)),
        ({"name": "f", "returns": {"type": "object", "properties": {}}}, ("/0/returns",)),
        ({"type": "custom", "name": "f"}, ()),
        ({"name": "f", "title": "F", "annotations": {}, "_meta": {}, "x-a": 1}, ()),
    ],
)
def test_keys_without_effect_are_named(tool: Any, unread: tuple[str, ...]) -> None:
    assert openai_format.tools([tool])[0].unread_keys == unread


def test_the_former_list_of_functions_is_read_too() -> None:
    data = {"tools": [{"name": "f"}], "functions": [{"name": "g"}]}
    assert [tool.name for tool in openai_format.tools(data)] == ["f", "g"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("f", "The tools are a string, not a list"),
        ([3], "/0 is a number, not an object"),
        ([{"name": "f"}, {"description": "d"}], "/1 has no name; its keys are 'description'"),
        ([{"type": "web_search"}], "/0 has no name; its type is 'web_search'"),
        ([{"toolUse": {"name": "f"}}], "/0 has no name; its keys are 'toolUse'"),
        ([{"toolSpec": {"title": "f"}}], "/0/toolSpec has no name; its keys are 'title'"),
        ([{"name": "f", "params": OBJECT}], "unknown key 'params'; did you mean 'parameters'"),
        ([{"name": "f", "args": {"a": {}}}], "unknown key 'args'; did you mean 'parameters'"),
        (
            [{"name": "f", "parameter_definitions": {"a": {"type": "str"}}}],
            "unknown key 'parameter_definitions'; did you mean 'parameters'",
        ),
        (
            [{"functionDeclarations": [{"name": "f"}], "codeExecution": {}}],
            "/0 has 'codeExecution' beside 'functionDeclarations'",
        ),
        ({"functionDeclarations": [{"name": "f"}, {}]}, "/functionDeclarations/1 has no name"),
        ({"tools": [{"function": {"name": ""}}]}, "/tools/0/function has no name"),
        ([{"name": "f", "description": 3}], "/0/description"),
        ([{"name": "f", "parameters": [1]}], "'f' .*/0/parameters.* a list"),
        ([{"name": "f"}, {"name": "f"}], "two tools named 'f'"),
        ([{"name": "f", "paramters": {}}], "unknown key 'paramters'; did you mean 'parameters'"),
        ([{"name": "f", "descripton": "d"}], "unknown key 'descripton'; did you mean"),
        ([{"name": "f", "parameters": {}, "requird": []}], "did you mean 'required'"),
        (
            [{"name": "f", "parameters": {}, "input_schema": {"a": 1}}],
            "parameters and input_schema",
        ),
        (
            [{"name": "f", "parameters": {"required": ["a"]}, "required": ["b"]}],
            "'required' is written within the parameters and beside it",
        ),
        ([{"function": {"name": "f"}, "name": "g"}], "'name' is written within the function"),
    ],
)
def test_an_invalid_tool_is_an_error_with_its_pointer(data: Any, message: str) -> None:
    with pytest.raises(ToolFileError, match=message):
        openai_format.tools(data)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (TextDelta("x"), {"event": "text_delta", "text": "x"}),
        (ToolCallDelta("["), {"event": "tool_call_delta", "text": "["}),
        (Notice("n"), {"event": "notice", "text": "n"}),
        (PrefillProgress(1, 2), {"event": "prefill_progress", "done": 1, "total": 2}),
        (
            AssistantMessage("a"),
            {"event": "message", "message": {"role": "assistant", "content": "a"}},
        ),
    ],
)
def test_an_event_is_an_object_with_its_name(event: Any, expected: dict[str, Any]) -> None:
    assert openai_format.event_json(event) == expected


def test_the_done_event_has_the_usage() -> None:
    data = openai_format.event_json(Done("stop", Usage(1, 2, 3, 4.0, 5.0)))
    assert data["usage"]["reply_tokens"] == 3
    assert data["finish_reason"] == "stop"
