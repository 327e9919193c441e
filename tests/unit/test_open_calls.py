from __future__ import annotations

from xlam_local.open_calls import next_call_number, open_calls
from xlam_local.types import Message, ToolCall, ToolCalls, ToolResult, UserMessage


def call(id: str, name: str = "f") -> ToolCall:
    return ToolCall(id, name, {})


def test_calls_with_the_same_id_need_a_result_each() -> None:
    first, second, other = call("x"), call("x", "g"), call("y")
    messages: list[Message] = [UserMessage("u"), ToolCalls((first,)), ToolResult(first, "1")]
    assert open_calls(messages) == []
    messages += [ToolCalls((second, other))]
    assert open_calls(messages) == [second, other]
    messages += [ToolResult(second, "2")]
    assert open_calls(messages) == [other]


def test_the_next_call_has_an_id_that_no_earlier_call_has() -> None:
    assert next_call_number([]) == 0
    assert next_call_number([ToolCalls((call("a"), call("b")))]) == 2
    assert next_call_number([ToolCalls((call("call_1"),))]) == 2
    assert next_call_number([ToolCalls((call("call_7"), call("call_x")))]) == 8
