from __future__ import annotations

from typing import Any

import pytest

from xlam_local import wire
from xlam_local.errors import ToolFileError, UsageError
from xlam_local.types import (
    Answer,
    CallDelta,
    Calls,
    Delta,
    Done,
    Note,
    Prefill,
    Result,
    System,
    Tool,
    ToolCall,
    Usage,
    User,
)

SCHEMA = {"type": "object", "properties": {}}
CALL = ToolCall("c1", "f", {"a": "é"})
CALLED = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": "é"}'}}
CONVERSATION = (
    System("s"),
    User("u"),
    Calls((CALL,), "Wait."),
    Result(CALL, "r"),
    Answer("a"),
)


@pytest.mark.parametrize(
    "data",
    [
        [{"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}}],
        [{"name": "f", "description": "d", "parameters": SCHEMA}],
        {"tools": [{"name": "f", "description": "d", "inputSchema": SCHEMA}]},
        {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True},
    ],
)
def test_tools_are_read_in_every_form(data: Any) -> None:
    assert wire.tools(data) == (Tool("f", "d", SCHEMA),)


def test_a_call_is_written_as_xlam_writes_it() -> None:
    assert wire.dumps(wire.call_json(CALL)) == '{"name": "f", "arguments": {"a": "é"}}'


def test_a_tool_needs_no_more_than_a_name() -> None:
    assert wire.tools([{"name": "f"}]) == (Tool("f", "", {}),)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("f", "The tools are text, not a list"),
        ([3], "/0 is a number, not an object"),
        ([{"name": "f"}, {"description": "d"}], "/1 has no name"),
        ({"tools": [{"function": {"name": ""}}]}, "/tools/0/function has no name"),
        ([{"name": "f", "description": 3}], "/0/description"),
        ([{"name": "f", "parameters": []}], "'f' .*/0/parameters.* a list"),
        ([{"name": "f"}, {"name": "f"}], "two tools named 'f'"),
    ],
)
def test_what_is_wrong_with_a_tool_is_told_with_its_place(data: Any, told: str) -> None:
    with pytest.raises(ToolFileError, match=told):
        wire.tools(data)


def test_a_conversation_goes_to_openai_and_back() -> None:
    assert wire.conversation({"messages": wire.messages_json(CONVERSATION)}) == CONVERSATION


def test_arguments_may_be_an_object_and_ids_may_be_missing() -> None:
    data = {
        "system": "s",
        "messages": [
            {"role": "developer", "content": [{"type": "text", "text": "d"}]},
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
            {"role": "assistant", "tool_calls": [{"function": {"name": "g"}}]},
            {"role": "tool", "content": {"ok": True}},
            {"role": "tool", "content": [1, "é"]},
            {"role": "assistant", "content": None},
        ],
    }
    f, g = ToolCall("call_0", "f", {}), ToolCall("call_1", "g", {})
    assert wire.conversation(data) == (
        System("s"),
        System("d"),
        Calls((f,)),
        Calls((g,)),
        Result(f, '{"ok": true}'),
        Result(g, '[1, "é"]'),
        Answer(""),
    )


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("hi", "/messages/0 is text, not a message"),
        ({"role": "nobody"}, "/messages/0/role is 'nobody'"),
        ({"role": ["user"]}, "/messages/0/role is"),
        ({"role": "user", "content": True}, "/messages/0/content is a boolean"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "a part that is not text"),
        ({"role": "tool", "content": "r", "tool_call_id": "c9"}, "'c9'. that was not made"),
        ({"role": "assistant", "tool_calls": {"a": 1}}, "tool_calls is an object"),
        ({"role": "assistant", "tool_calls": [{}]}, "tool_calls/0 has no function"),
        (
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]},
            "arguments is not JSON",
        ),
        (
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[]"}}]},
            "arguments is a list, not an object",
        ),
    ],
)
def test_what_is_wrong_with_a_message_is_told_with_its_place(message: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        wire.conversation({"messages": [message]})


@pytest.mark.parametrize("data", [[], {}, {"messages": "hi"}])
def test_a_conversation_has_messages(data: Any) -> None:
    with pytest.raises(UsageError, match='under "messages"'):
        wire.conversation(data)


def test_a_system_text_is_text() -> None:
    with pytest.raises(UsageError, match="/system is a number"):
        wire.conversation({"system": 3, "messages": []})


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (Delta("x"), {"event": "delta", "text": "x"}),
        (CallDelta("["), {"event": "call_delta", "text": "["}),
        (Note("n"), {"event": "note", "text": "n"}),
        (Prefill(1, 2), {"event": "prefill", "done": 1, "total": 2}),
        (Answer("a"), {"event": "message", "message": {"role": "assistant", "content": "a"}}),
    ],
)
def test_an_event_is_an_object_with_its_name(event: Any, expected: dict[str, Any]) -> None:
    assert wire.event_json(event) == expected


def test_the_end_of_a_turn_tells_what_it_took() -> None:
    told = wire.event_json(Done("answer", Usage(1, 2, 3, 4.0, 5.0)))
    assert told["usage"]["reply_tokens"] == 3
    assert told["reason"] == "answer"
