"""Conversations of other programs: which message each item is, and which call each result has."""

from __future__ import annotations

from typing import Any

import pytest

from xlam_local import openai_format
from xlam_local.conversation_format import conversation, offered_tools, split
from xlam_local.errors import UsageError
from xlam_local.types import (
    AssistantMessage,
    SystemMessage,
    Tool,
    ToolCall,
    ToolCalls,
    ToolResult,
    UserMessage,
)

CALL = ToolCall("c1", "f", {"a": "é"})
CONVERSATION = (
    SystemMessage("s"),
    UserMessage("u"),
    ToolCalls((CALL,), "Wait."),
    ToolResult(CALL, "r"),
    AssistantMessage("a"),
)


def test_a_conversation_survives_the_round_trip() -> None:
    assert conversation({"messages": openai_format.messages_json(CONVERSATION)}) == CONVERSATION


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
    assert conversation(data) == (
        SystemMessage("s"),
        SystemMessage("d"),
        ToolCalls((f,)),
        ToolCalls((g,)),
        ToolResult(f, '{"ok": true}'),
        ToolResult(g, '[1, "é"]'),
        AssistantMessage(""),
    )


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("hi", "/messages/0 is a string, not a message"),
        ({"role": "nobody"}, "/messages/0/role is 'nobody'"),
        ({"role": ["user"]}, "/messages/0/role is"),
        ({"role": "user", "content": True}, "/messages/0/content is a boolean"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "a part that is not text"),
        ({"role": "user", "content": [{"type": {}, "text": "x"}]}, "a part that is not text"),
        (
            {"role": "user", "content": [{"type": ["text"], "text": "x"}]},
            "its type is \\['text'\\]",
        ),
        ({"role": "assistant", "content": [{"type": []}]}, "a part that is not text"),
        ({"role": "system", "content": [{"type": {"a": 1}}]}, "a part that is not text"),
        (
            {"role": "tool", "content": "r", "tool_call_id": "c9"},
            "no earlier tool call with the id 'c9'",
        ),
        ({"role": "assistant", "tool_calls": {"a": 1}}, "tool_calls is an object"),
        ({"role": "assistant", "tool_calls": [{}]}, "tool_calls/0 has no function"),
        (
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]},
            "arguments is not valid JSON",
        ),
        (
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]},
            "arguments is a list, not an object",
        ),
    ],
)
def test_an_invalid_message_is_an_error_with_its_pointer(item: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        conversation({"messages": [item]})


@pytest.mark.parametrize("data", [[], {}, {"messages": "hi"}])
def test_a_conversation_needs_messages(data: Any) -> None:
    with pytest.raises(UsageError, match='under "messages"'):
        conversation(data)


def test_the_system_message_is_a_string() -> None:
    with pytest.raises(UsageError, match="/system is a number"):
        conversation({"system": 3, "messages": []})


def call(name: str, id: str | None = None, arguments: Any = "{}") -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"type": "function", "function": function, **({} if id is None else {"id": id})}


def calls(*items: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(items)}


def pairs(*items: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the name of the call and the output of each result."""
    read = conversation({"messages": [{"role": "user", "content": "hi"}, *items]})
    return [(one.call.name, one.output) for one in read if isinstance(one, ToolResult)]


def result(output: str, **keys: Any) -> dict[str, Any]:
    return {"role": "tool", "content": output, **keys}


USER = {"role": "user", "content": "again"}


@pytest.mark.parametrize(
    "results",
    [
        pytest.param([result("A", tool_call_id="a"), result("B", tool_call_id="b")], id="ids"),
        pytest.param([result("B", tool_call_id="b"), result("A", tool_call_id="a")], id="reversed"),
        pytest.param([result("B", name="g"), result("A", name="f")], id="names"),
        pytest.param([result("B", tool_name="g"), result("A")], id="one named as Ollama does"),
        pytest.param([result("A"), result("B")], id="order"),
        pytest.param([result("B", tool_call_id="b"), result("A")], id="only one id"),
        pytest.param([result("A", tool_call_id=""), result("B", tool_call_id=None)], id="empty"),
        pytest.param(
            [{"role": "function", "name": "g", "content": "B"}, result("A", name="f")], id="old"
        ),
    ],
)
def test_each_result_reaches_its_call_in_the_order_of_the_calls(results: list[Any]) -> None:
    assert pairs(calls(call("f", "a"), call("g", "b")), *results) == [("f", "A"), ("g", "B")]


@pytest.mark.parametrize("id", ["call_1", "", None, "call_0"])
def test_ids_may_be_used_again_in_each_turn(id: str | None) -> None:
    turns = [calls(call("f", id)), result("A", tool_call_id=id), USER, calls(call("g", id))]
    assert pairs(*turns, result("B", tool_call_id=id)) == [("f", "A"), ("g", "B")]
    ids = [
        one.id
        for message in conversation({"messages": turns})
        if isinstance(message, ToolCalls)
        for one in message.calls
    ]
    assert len(set(ids)) == 2


def test_an_id_used_twice_in_one_reply_is_answered_by_name_and_then_in_order() -> None:
    twice = calls(call("f", "x"), call("g", "x"), call("f", "x"))
    answers = [result("B", tool_call_id="x", name="g"), result("A", tool_call_id="x")]
    assert pairs(twice, *answers, result("C", tool_call_id="x")) == [
        ("f", "A"),
        ("g", "B"),
        ("f", "C"),
    ]


def test_a_call_without_a_result_takes_none_of_a_later_turn() -> None:
    turns = [calls(call("f", "x")), USER, calls(call("g", "x"))]
    assert pairs(*turns, result("B", tool_call_id="x")) == [("g", "B")]
    assert pairs(*turns, result("B")) == [("g", "B")]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([result("A")], "no earlier tool call without a result"),
        ([calls(call("f", "a")), result("A"), result("B")], "/messages/3: there is no earlier"),
        ([calls(call("f", "a")), result("A", tool_call_id="b")], "the id 'b'"),
        ([calls(call("f", "a")), result("A", name="g")], "no earlier tool call of 'g'"),
        (
            [calls(call("f", "a")), result("A", tool_call_id="a"), result("B", tool_call_id="a")],
            "the id 'a' that has no result",
        ),
    ],
)
def test_a_result_without_a_call_is_an_error(items: list[Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        pairs(*items)


CITY = {"city": "Rome"}


@pytest.mark.parametrize(
    "item",
    [
        {"role": "assistant", "function_call": {"name": "f", "arguments": '{"city":"Rome"}'}},
        {"role": "assistant", "tool_calls": [{"name": "f", "args": CITY, "id": "call_0"}]},
        {"role": "assistant", "tool_calls": [call("f", "", CITY)]},
        {"role": "model", "content": [{"type": "tool_use", "name": "f", "input": CITY}]},
        {"type": "function_call", "id": "i", "call_id": "call_0", "name": "f", "arguments": CITY},
        {"from": "function_call", "value": '{"name": "f", "arguments": {"city": "Rome"}}'},
        {"role": "assistant", "content": [{"type": "tool-call", "toolName": "f", "args": CITY}]},
        {"type": "ai", "content": "", "tool_calls": [{"name": "f", "args": CITY}]},
        {"type": "ai", "data": {"content": "", "tool_calls": [{"name": "f", "args": CITY}]}},
        {
            "type": "ai",
            "content": "",
            "additional_kwargs": {"function_call": {"name": "f", "arguments": CITY}},
        },
    ],
    ids=[
        "OpenAI, old",
        "LangChain's call",
        "OpenAI",
        "Anthropic",
        "OpenAI's Responses",
        "ShareGPT",
        "the AI SDK",
        "LangChain",
        "LangChain, saved",
        "LangChain, old",
    ],
)
def test_a_call_is_read_in_each_format(item: Any) -> None:
    assert conversation({"messages": [item]}) == (ToolCalls((ToolCall("call_0", "f", CITY),)),)


@pytest.mark.parametrize("arguments", [None, "", " ", "null", "{}", {}])
def test_a_call_may_have_no_arguments(arguments: Any) -> None:
    (message,) = conversation({"messages": [calls(call("f", "a", arguments))]})
    assert message == ToolCalls((ToolCall("a", "f", {}),))


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({"content": None, "refusal": "No."}, "No."),
        ({"content": "Well.", "refusal": "No."}, "Well.\n\nNo."),
        ({"content": [{"type": "refusal", "refusal": "No."}]}, "No."),
        ({"content": ["a", {"type": "output_text", "text": "b"}]}, "ab"),
        ({"content": {"type": "text", "text": "a"}}, "a"),
        ({"content": "a", "reasoning_content": "why"}, "<think>\nwhy\n</think>\n\na"),
        ({"content": "a", "reasoning": "why"}, "<think>\nwhy\n</think>\n\na"),
        ({"content": "a", "thinking": "why"}, "<think>\nwhy\n</think>\n\na"),
        (
            {"content": [{"type": "thinking", "thinking": "w"}, {"text": "a"}]},
            "<think>\nw\n</think>\n\na",
        ),
        ({"content": "a", "reasoning": None, "refusal": None, "function_call": None}, "a"),
        ({"content": "a", "annotations": [{"url": "x"}], "usage": {"n": 1}, "index": 0}, "a"),
        ({"content": "a", "audio": None, "seen": True, "score": 0.5, "tags": []}, "a"),
    ],
)
def test_what_a_model_said_is_read(item: dict[str, Any], text: str) -> None:
    assert conversation({"messages": [{"role": "assistant", **item}]}) == (AssistantMessage(text),)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"content": "a", "audio": {"transcript": "b"}}, "/messages/0/audio cannot be read"),
        ({"content": "a", "images": ["AAAA"]}, "has the key 'images'"),
        ({"content": "", "message": "hi"}, "has the key 'message'"),
        ({"content": "a", "attachments": [{"text": "b"}]}, "has the key 'attachments'"),
        ({"contents": "a"}, "has the key 'contents'"),
        ({"content": "a", "text": "b"}, "both 'content' and 'text'"),
        (
            {"content": [{"type": "image_url", "image_url": "x"}]},
            "/content/0 is a part that is not",
        ),
        ({"content": [3]}, "/content/0 is a part that is not text, but a number"),
        ({"content": "a", "reasoning": {"b": 1}}, "/messages/0/reasoning is an object"),
    ],
)
def test_a_key_with_text_that_is_not_read_is_named(item: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        conversation({"messages": [{"role": "assistant", **item}]})


def test_a_result_has_its_outcome() -> None:
    parts = [
        {"type": "tool_result", "tool_use_id": "b", "content": "B", "is_error": True},
        {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "A"}]},
        {"type": "text", "text": "Go on."},
    ]
    made = calls(call("f", "a"), call("g", "b"))
    read = conversation({"messages": [made, {"role": "user", "content": parts}]})
    f, g = ToolCall("a", "f", {}), ToolCall("b", "g", {})
    assert read[1:] == (
        ToolResult(f, "A"),
        ToolResult(g, "B", ok=False),
        UserMessage("Go on."),
    )


def test_several_results_in_one_message_reach_their_calls() -> None:
    parts = [
        {"type": "tool-result", "toolCallId": "b", "toolName": "g", "result": {"x": 1}},
        {"type": "tool-result", "toolCallId": "a", "toolName": "f", "result": "A"},
    ]
    made = calls(call("f", "a"), call("g", "b"))
    assert pairs(made, {"role": "tool", "content": parts}) == [("f", "A"), ("g", '{"x": 1}')]


@pytest.mark.parametrize("key", ["system", "system_prompt", "system_message", "instructions"])
def test_the_system_message_may_be_beside_the_messages(key: str) -> None:
    assert conversation({key: "S", "messages": []}) == (SystemMessage("S"),)


@pytest.mark.parametrize("value", [3, 0.5, True, {"a": 1}, [1], [{"type": "image"}]])
def test_a_result_that_is_no_text_is_json(value: Any) -> None:
    assert pairs(calls(call("f")), result(value)) == [("f", openai_format.dumps(value))]


def test_parallel_calls_of_responses_are_one_message() -> None:
    items = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "b", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "b", "output": "B"},
        {"type": "function_call_output", "call_id": "a", "output": "A"},
    ]
    f, g = ToolCall("a", "f", {}), ToolCall("b", "g", {})
    assert conversation({"messages": items}) == (
        UserMessage("hi"),
        ToolCalls((f, g)),
        ToolResult(f, "A"),
        ToolResult(g, "B"),
    )


SHARED = [
    {"from": "system", "value": "S"},
    {"from": "human", "value": "Hi"},
    {"from": "gpt", "value": "Hello"},
    {"from": "function_call", "value": '{"name": "f", "arguments": {}}'},
    {"from": "observation", "value": "1"},
]


def test_a_sharegpt_list_is_read() -> None:
    f = ToolCall("call_0", "f", {})
    said = (SystemMessage("S"), UserMessage("Hi"), AssistantMessage("Hello"))
    for data in ([{"id": 1, "conversations": SHARED}], {"conversations": SHARED}, SHARED):
        (found,) = split(data)
        assert conversation(found) == (*said, ToolCalls((f,)), ToolResult(f, "1"))
    assert len(split([{"conversations": SHARED}, {"messages": []}])) == 2


@pytest.mark.parametrize(
    "beside",
    [
        {"tools": [{"name": "f"}]},
        {"tools": '[{"name": "f"}]'},
        {"functions": [{"name": "f", "parameters": {}}]},
        {"tools": None, "functions": [{"name": "f"}]},
    ],
)
def test_the_tools_beside_a_conversation_are_read(beside: dict[str, Any]) -> None:
    assert offered_tools({"messages": [], **beside}) == (Tool("f", "", {}),)


def test_a_system_text_may_have_parts() -> None:
    data = {"system": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    assert conversation({**data, "messages": []}) == (SystemMessage("ab"),)


ASK = {"role": "user", "content": "u"}
F = ToolCall("c", "f", {"a": 1})
CALL_OF_F = {
    "role": "assistant",
    "content": [{"type": "tool-call", "toolCallId": "c", "toolName": "f", "input": {"a": 1}}],
}


def test_a_call_that_is_written_under_both_keys_is_one_call() -> None:
    function = {"name": "f", "arguments": '{"a": 1}'}
    calls = [{"id": "c", "type": "function", "function": function}]
    message = {"role": "assistant", "tool_calls": calls, "function_call": function}
    assert conversation({"messages": [ASK, message]})[1:] == (ToolCalls((F,)),)


def test_an_empty_list_of_arguments_is_no_arguments() -> None:
    calls = [{"id": "c", "function": {"name": "f", "arguments": []}}]
    found = conversation({"messages": [ASK, {"role": "assistant", "tool_calls": calls}]})
    assert found[1:] == (ToolCalls((ToolCall("c", "f", {}),)),)


@pytest.mark.parametrize(
    ("output", "expected", "ok"),
    [
        ({"type": "text", "value": "yes"}, "yes", True),
        ({"type": "json", "value": {"x": 1}}, '{"x": 1}', True),
        ({"type": "error-text", "value": "no"}, "no", False),
        ({"type": "text", "value": "yes", "more": 1}, None, True),
    ],
)
def test_an_output_with_its_type_is_unwrapped(output: Any, expected: str | None, ok: bool) -> None:
    part = {"type": "tool-result", "toolCallId": "c", "toolName": "f", "output": output}
    found = conversation({"messages": [ASK, CALL_OF_F, {"role": "tool", "content": [part]}]})
    written = openai_format.dumps(output) if expected is None else expected
    assert found[2:] == (ToolResult(F, written, ok),)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "thinking", "thinking": "why", "signature": "s"},
        {"type": "thinking", "thinking": [{"type": "text", "text": "why"}]},
        {"type": "reasoning", "text": "why"},
    ],
)
def test_a_part_that_is_reasoning_is_kept(part: Any) -> None:
    message = {"role": "assistant", "content": [part, {"type": "text", "text": "a"}]}
    found = conversation({"messages": [ASK, message]})
    assert found[1:] == (AssistantMessage("<think>\nwhy\n</think>\n\na"),)


@pytest.mark.parametrize("summary", [[{"type": "summary_text", "text": "why"}], [], None])
def test_reasoning_that_is_an_item_belongs_to_the_next_message(summary: Any) -> None:
    item = {"type": "reasoning", "id": "r", "summary": summary, "encrypted_content": "x"}
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a": 1}'}
    thought = "<think>\nwhy\n</think>\n\n" if summary else ""
    assert conversation({"messages": [ASK, item, call]})[1:] == (ToolCalls((F,), thought),)
    answer = {"role": "assistant", "content": "a"}
    found = conversation({"messages": [ASK, item, answer]})
    assert found[1:] == (AssistantMessage(f"{thought}a"),)


def test_messages_that_langchain_has_serialized_are_read() -> None:
    kinds = {"HumanMessage": {"type": "human", "content": "u"}, "AIMessage": {"type": "ai"}}
    messages = [
        {"lc": 1, "type": "constructor", "id": ["langchain", "schema", kind], "kwargs": inner}
        for kind, inner in kinds.items()
    ]
    messages[1]["kwargs"] = {"type": "ai", "content": "a", "artifact": {"x": "not sent"}}
    assert conversation({"messages": messages}) == (UserMessage("u"), AssistantMessage("a"))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"role": "user", "content": [{"toolUse": {}}]}, "its keys are toolUse"),
        ({"role": "user", "content": "u", "summary": "s"}, "/messages/0/summary cannot be read"),
        ({"type": "reasoning", "summary": "s"}, "/messages/0/summary is a string, not a list"),
        (
            {"role": "assistant", "content": [{"type": "thinking", "thinking": 5}]},
            "/messages/0/content/0/thinking is a number, not a string",
        ),
    ],
)
def test_what_is_not_read_is_named(message: Any, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        conversation({"messages": [message]})


def test_calls_and_results_in_the_tags_of_hermes_are_read() -> None:
    call = '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'
    items = [
        {"from": "human", "value": "u"},
        {"from": "gpt", "value": f"I look.\n{call}\n{call}"},
        {
            "from": "tool",
            "value": "<tool_response>\n1\n</tool_response>\n<tool_response>2</tool_response>",
        },
        {"from": "gpt", "value": f"Done. {call}"},
    ]
    first, second = ToolCall("call_0", "f", {"a": 1}), ToolCall("call_1", "f", {"a": 1})
    assert conversation({"conversations": items})[1:] == (
        ToolCalls((first, second), "I look."),
        ToolResult(first, "1"),
        ToolResult(second, "2"),
        AssistantMessage(f"Done. {call}"),
    )


@pytest.mark.parametrize("key", ["chosen", "rejected", "completion", "context"])
def test_text_beside_the_messages_is_named(key: str) -> None:
    with pytest.raises(UsageError, match=f"/{key} cannot be read"):
        conversation({"messages": [ASK], key: [{"role": "assistant", "content": "a"}]})
    assert conversation({"messages": [ASK], key: None}) == (UserMessage("u"),)
