from __future__ import annotations

import json
from threading import Event as Signal
from typing import Any

import pytest

from xlam_local.agent import Rules, turn
from xlam_local.errors import ToolError, UsageError
from xlam_local.types import (
    Answer,
    CallDelta,
    Calls,
    Delta,
    Done,
    Effect,
    End,
    Event,
    Meter,
    No,
    Note,
    Once,
    Prefill,
    Result,
    System,
    Tick,
    Tool,
    ToolCall,
    Usage,
    User,
)

from .scripted import Scripted

NUMBERS = {"a": {"type": "integer"}, "b": {"type": "integer"}}
PARAMETERS = {"type": "object", "properties": NUMBERS, "required": ["a", "b"]}
ADD = Tool("add", "Add.", PARAMETERS, Effect.READ, lambda a, b: a + b)
ADD_2_3 = [json.dumps([{"name": "add", "arguments": {"a": 2, "b": 3}}])]


def call(**arguments: Any) -> list[str]:
    return [json.dumps([{"name": "add", "arguments": arguments}])]


def yes(tool: Tool, call: ToolCall) -> Once:
    return Once()


def play(engine: Scripted, *tools: Tool, rules: Rules = Rules()) -> list[Event]:
    events = turn([User("2 + 3?")], tools or [ADD], engine, yes, rules)
    return [event for event in events if not isinstance(event, (Meter, Prefill))]


def outputs(events: list[Event]) -> list[str]:
    return [event.output for event in events if isinstance(event, Result)]


def last(events: list[Event]) -> str:
    assert isinstance(events[-1], Done)
    return events[-1].reason


def test_a_tool_runs_and_the_model_answers_from_its_result() -> None:
    engine = Scripted(ADD_2_3, ["It is ", "5."])
    made = ToolCall("call_0", "add", {"a": 2, "b": 3})
    assert play(engine) == [
        CallDelta(ADD_2_3[0]),
        Calls((made,)),
        Result(made, "5"),
        Delta("It is "),
        Delta("5."),
        Answer("It is 5."),
        Done("answer", Usage(20, 0, 6, 0.2, 0.4)),
    ]
    assert "<|im_start|>tool\n5<|im_end|>" in engine.prompts[1]
    assert engine.prompts[1].startswith(engine.prompts[0])


def test_parallel_calls_have_their_results_in_order() -> None:
    both = json.dumps([{"name": "add", "arguments": {"a": n, "b": 1}} for n in (1, 2)])
    events = play(Scripted([both], ["Done."]))
    assert outputs(events) == ["2", "3"]
    assert [e.call.id for e in events if isinstance(e, Result)] == ["call_0", "call_1"]


def test_a_refused_call_is_told_to_the_model() -> None:
    engine = Scripted(ADD_2_3, ["All right."])
    events = list(turn([User("x")], [ADD], engine, lambda tool, call: No("not now")))
    assert outputs(events) == ["The user refused this call. Reason: not now"]
    assert last(events) == "answer"


@pytest.mark.parametrize(
    ("error", "told"),
    [(ToolError("There is no file x."), "There is no file x."), (KeyError("x"), "KeyError: 'x'")],
)
def test_a_failing_tool_is_told_to_the_model(error: Exception, told: str) -> None:
    def fail(a: int, b: int) -> None:
        raise error

    broken = Tool("add", "Add.", PARAMETERS, Effect.READ, fail)
    events = play(Scripted(ADD_2_3, ["It failed."]), broken)
    assert outputs(events) == [told]
    assert last(events) == "answer"


def test_invalid_arguments_are_corrected_once() -> None:
    engine = Scripted(call(a=2), ADD_2_3, ["5"])
    events = play(engine)
    wrong, right = outputs(events)
    assert "'b' is a required property" in wrong
    assert right == "5"
    assert last(events) == "answer"


def test_calls_that_stay_invalid_end_the_turn() -> None:
    assert last(play(Scripted(call(a=2), call(a=3)))) == "broken"


def test_a_fault_after_a_good_call_may_be_corrected_again() -> None:
    engine = Scripted(call(a=2), ADD_2_3, call(b=2), call(a=1, b=1), ["ok"])
    assert last(play(engine)) == "answer"


def test_a_tool_that_is_not_offered_is_told_with_those_that_are() -> None:
    made = json.dumps([{"name": "sub", "arguments": {}}])
    events = play(Scripted([made], ["No."]))
    assert outputs(events) == ["There is no tool 'sub'; the tools are add."]


def test_calls_that_cannot_be_read_are_written_again() -> None:
    engine = Scripted(['[{"name": "add", "arguments": {"a": }}]'], ADD_2_3, ["5"])
    events = play(engine)
    objection = next(event for event in events if isinstance(event, System))
    assert "Write them again" in objection.text
    assert outputs(events) == ["5"]


def test_calls_that_can_never_be_read_end_the_turn() -> None:
    assert last(play(Scripted(['[{"name": "a'], ['[{"name": "a']))) == "broken"


def test_a_tool_without_a_function_is_left_to_the_caller() -> None:
    events = play(Scripted(ADD_2_3), Tool("add", "Add.", PARAMETERS))
    assert isinstance(events[-2], Calls)
    assert last(events) == "calls"


def test_a_caller_is_not_given_calls_beside_an_invalid_one() -> None:
    mixed = [{"name": "add", "arguments": {"a": 1, "b": 2}}, {"name": "add", "arguments": {}}]
    engine = Scripted([json.dumps(mixed)], ADD_2_3)
    events = play(engine, Tool("add", "Add.", PARAMETERS))
    assert outputs(events)[0] == "Not run, because another call beside it was not valid."
    assert last(events) == "calls"


def test_the_same_calls_again_and_again_are_a_loop() -> None:
    events = play(Scripted(ADD_2_3, ADD_2_3, ADD_2_3))
    assert outputs(events) == ["5", "5"]
    assert last(events) == "loop"


def test_a_call_written_again_word_for_word_ends_the_reply() -> None:
    one = '{"name": "add", "arguments": {"a": 2, "b": 3}}'
    events = play(Scripted([f"[{one}", f", {one}", f", {one}", " and on"], ["5"]))
    (made,) = (event for event in events if isinstance(event, Calls))
    assert len(made.calls) == 1
    assert made.text == ""
    assert any(isinstance(event, Note) for event in events)
    assert outputs(events) == ["5"]
    assert isinstance(events[-1], Done)
    assert events[-1].usage.reply_tokens == 6


def test_a_turn_has_a_last_step() -> None:
    engine = Scripted(*(call(a=n, b=0) for n in range(3)))
    assert last(play(engine, rules=Rules(max_steps=3))) == "steps"


def test_an_answer_that_is_cut_is_kept() -> None:
    events = play(Scripted(["It is f", End(cut=True)]))
    assert events[-2:] == [Answer("It is f"), Done("cut")]


def test_calls_that_were_closed_for_want_of_room_do_not_run() -> None:
    events = play(Scripted([ADD_2_3[0], End(cut=True)]))
    assert [type(event) for event in events] == [CallDelta, Calls, Done]
    assert last(events) == "cut"


def test_calls_that_are_cut_do_not_run() -> None:
    events = play(Scripted(['[{"name": "add", ', End(cut=True)]))
    assert events == [CallDelta('[{"name": "add", '), Done("cut")]


def test_leaving_a_turn_stops_the_engine() -> None:
    engine = Scripted(["a", "b", "c"])
    events = turn([User("x")], [ADD], engine, yes)
    assert isinstance(next(events), Meter)
    assert [next(events), next(events)] == [Prefill(10, 10), Delta("a")]
    events.close()
    assert engine.closed == 1


def test_a_choice_holds_for_the_first_reply_only() -> None:
    engine = Scripted(ADD_2_3, ["5"])
    play(engine, rules=Rules(choice="required"))
    first, second = engine.grammars
    assert first != second


@pytest.mark.parametrize(
    ("choice", "tools", "told"),
    [("sub", [ADD], "no tool 'sub'.* are: add"), ("required", [], "no tool to call")],
)
def test_a_choice_that_cannot_be_is_an_error(choice: str, tools: list[Tool], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        turn([User("x")], tools, Scripted(), yes, Rules(choice=choice))


def test_a_tool_whose_schema_cannot_be_honoured_is_not_offered() -> None:
    odd = Tool("odd", "", {"type": "object", "properties": {"x": {"$ref": "#/nowhere"}}})
    engine = Scripted(["Hi."])
    play(engine, ADD, odd)
    assert '"add"' in engine.prompts[0]
    assert '"odd"' not in engine.prompts[0]


def test_leaving_a_turn_stops_the_call_that_runs() -> None:
    left = Signal()

    def wait(a: int, b: int) -> int:
        left.wait(10)
        return a + b

    slow = Tool("add", "Add.", PARAMETERS, Effect.READ, wait, stop=left.set)
    events = turn([User("x")], [slow], Scripted(ADD_2_3), yes)
    assert any(isinstance(event, Tick) for event in events)
    events.close()
    assert left.is_set()
