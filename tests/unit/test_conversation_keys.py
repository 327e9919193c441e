"""Keys of messages and calls, and results without a clear call: read, or refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from xlam_local.conversation_format import conversation
from xlam_local.errors import UsageError
from xlam_local.history.export import export, parse_conversations
from xlam_local.history.types import Summary
from xlam_local.types import (
    AssistantMessage,
    Message,
    ToolCall,
    ToolCalls,
    ToolResult,
    UserMessage,
)

USER = {"role": "user", "content": "q"}


def read(*items: Any) -> list[Message]:
    return list(conversation({"messages": [USER, *items]}))[1:]


def call(name: str, id: Any = None, arguments: Any = "{}") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def calls(*items: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(items)}


def result(text: str, **keys: Any) -> dict[str, Any]:
    return {"role": "tool", "content": text, **keys}


def results(*items: Any) -> list[tuple[str, Any, str]]:
    found = [message for message in read(*items) if isinstance(message, ToolResult)]
    return [(one.call.name, one.call.arguments.get("n"), one.output) for one in found]


@pytest.mark.parametrize("role", ["user", "system", "tool"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tool_calls", [call("f")]),
        ("function_call", {"name": "f", "arguments": "{}"}),
        ("refusal", "No."),
        ("reasoning_content", "why"),
        ("reasoning", "why"),
        ("thinking_blocks", [{"type": "thinking", "thinking": "why"}]),
        ("arguments", '{"a": 1}'),
    ],
)
def test_what_only_a_model_says_is_named_in_other_messages(role: str, key: str, value: Any) -> None:
    message = {"role": role, "content": "c", key: value}
    with pytest.raises(UsageError, match=f"/messages/2/{key} cannot be read.* role '{role}'"):
        read(calls(call("f")), message)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"role": "user", "content": "c", "system": "Be brief."}, "/messages/1/system cannot"),
        ({"role": "assistant", "name": "f", "arguments": {"x": "y"}}, "/messages/1/arguments"),
        (
            {"role": "assistant", "content": "c", "reasoning": "a", "reasoning_content": "b"},
            "both 'reasoning_content' and 'reasoning'",
        ),
        (calls({**call("f"), "output": "42"}), "tool_calls/0/output cannot be read"),
        (
            calls({"function": {"name": "f", "kwargs": {"a": "b"}}}),
            "tool_calls/0/function/kwargs cannot be read",
        ),
        (
            calls({"function": {"name": "f", "arguments": {"a": 1}, "parameters": {"b": 1}}}),
            "function/parameters cannot be read beside /messages/1/tool_calls/0/function/arguments",
        ),
        (
            calls({**call("f", arguments={"a": 1}), "arguments": {"b": 1}}),
            "tool_calls/0/arguments cannot be read beside",
        ),
    ],
)
def test_a_key_that_is_not_read_is_named(message: Any, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        read(message)


@pytest.mark.parametrize(
    "item",
    [
        {"id": "a", "function": {"name": "f"}, "arguments": {"x": "y"}},
        {"id": "a", "function": "f", "arguments": '{"x": "y"}'},
        {"id": "a", "function": {"name": "f", "arguments": {"x": "y"}, "parameters": {}}},
        {**call("f", "a", {"x": "y"}), "extra_content": {"google": {"thought_signature": "s"}}},
        {**call("f", "a", {"x": "y"}), "index": 0, "requestor": "assistant"},
    ],
)
def test_arguments_are_found_beside_the_function(item: dict[str, Any]) -> None:
    assert read(calls(item)) == [ToolCalls((ToolCall("a", "f", {"x": "y"}),))]


@pytest.mark.parametrize(
    "details",
    [
        {"reasoning_details": [{"type": "reasoning.text", "text": "why"}]},
        {"reasoning_details": [{"type": "reasoning.summary", "summary": "why"}]},
        {"thinking_blocks": [{"type": "thinking", "thinking": "why", "signature": "s"}]},
        {"thinking_blocks": [{"type": "thinking", "thinking": "why"}], "reasoning_content": "why"},
        {"reasoning_content": "why", "reasoning": "why"},
        {
            "reasoning": "why",
            "reasoning_details": [{"type": "reasoning.encrypted", "data": "AAAA"}],
        },
    ],
)
def test_reasoning_in_a_list_is_read(details: dict[str, Any]) -> None:
    expected = AssistantMessage("<think>\nwhy\n</think>\n\nc")
    assert read({"role": "assistant", "content": "c", **details}) == [expected]


def test_encrypted_reasoning_is_left_out() -> None:
    details = [{"type": "reasoning.encrypted", "data": "AAAA"}]
    message = {"role": "assistant", "content": "c", "reasoning_details": details}
    assert read(message) == [AssistantMessage("c")]


def test_a_call_in_the_content_and_beside_it_is_one_call() -> None:
    use = {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}
    listed = {"id": "a", "name": "f", "args": {"x": 1}, "type": "tool_call"}
    message = {"role": "assistant", "content": [use], "tool_calls": [listed]}
    assert read(message) == [ToolCalls((ToolCall("a", "f", {"x": 1}),))]
    other = message | {"tool_calls": [listed | {"id": "b"}]}
    (both,) = read(other)
    assert isinstance(both, ToolCalls)
    assert [one.id for one in both.calls] == ["a", "b"]


@pytest.mark.parametrize("id", ["", None])
def test_a_result_without_an_id_belongs_to_a_call_without_one(id: str | None) -> None:
    both = calls(call("f", "a"), call("g", id))
    texts = [result("G", tool_call_id=id), result("F", tool_call_id="a")]
    assert results(both, *texts) == [("f", None, "F"), ("g", None, "G")]
    assert results(both, *texts[::-1]) == [("f", None, "F"), ("g", None, "G")]


def test_results_with_ids_reach_calls_without_ids_in_order_or_by_name() -> None:
    both = calls(call("f"), call("g"))
    assert results(both, result("F", tool_call_id="x"), result("G", tool_call_id="y")) == [
        ("f", None, "F"),
        ("g", None, "G"),
    ]
    named = [result("G", tool_call_id="y", name="g"), result("F", tool_call_id="x", name="f")]
    assert results(both, *named) == [("f", None, "F"), ("g", None, "G")]
    with pytest.raises(UsageError, match="/messages/4: there is no earlier tool call"):
        read(both, result("F", tool_call_id="x"), result("G", tool_call_id="y"), named[0])


@pytest.mark.parametrize("id", ["call_0", "", None])
def test_a_result_belongs_to_the_last_step_with_its_id(id: str | None) -> None:
    first = calls(call("f", id, {"n": 1}), call("g", "b"))
    second = calls(call("f", id, {"n": 2}))
    found = results(first, result("G", tool_call_id="b"), second, result("2", tool_call_id=id))
    assert found == [("g", None, "G"), ("f", 2, "2")]


@pytest.mark.parametrize(
    "output",
    [
        "<tool_response>\nx\n</tool_response>",
        "<tool_response>a</tool_response><tool_response>b</tool_response>",
        "<tool_response></tool_response>",
    ],
)
def test_a_result_that_looks_like_results_of_hermes_survives_the_round_trip(output: str) -> None:
    both = ToolCall("call_0", "f", {}), ToolCall("call_1", "g", {})
    messages: list[Message] = [
        UserMessage("q"),
        ToolCalls(both),
        ToolResult(both[0], output, ok=True),
        ToolResult(both[1], output, ok=False),
    ]
    summary = Summary(id=0, title="t", created=1, changed=2, model="m", folder="f", messages=4)
    for text in (export(summary, messages, "json"), export(summary, messages, "jsonl")):
        assert parse_conversations(text, "file")[0][1] == messages
