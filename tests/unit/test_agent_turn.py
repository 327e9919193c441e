from __future__ import annotations

import json
from threading import Event as Signal

import pytest

from tests.fakes.fake_engine import Scripted
from tests.fakes.turns import (
    ADD,
    ADD_2_3,
    PARAMETERS,
    add_call,
    allow_all,
    finish_reason,
    outputs,
    play,
)
from xlam_local.agent import TurnOptions, turn
from xlam_local.agent.earlier_results import ALREADY_KNOWN, NOT_RUN_AGAIN, REFUSED_BEFORE
from xlam_local.agent.limits import LAST_REPLY
from xlam_local.errors import ToolError, UsageError
from xlam_local.grammar import for_last_answer
from xlam_local.types import (
    AllowOnce,
    AssistantMessage,
    ContextUsage,
    Deny,
    Done,
    Effect,
    GenerationEnd,
    Heartbeat,
    Notice,
    PrefillProgress,
    SystemMessage,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolCalls,
    ToolResult,
    Usage,
    UserMessage,
)


def test_a_tool_runs_and_the_model_answers_from_its_result() -> None:
    engine = Scripted(ADD_2_3, ["It is ", "5."])
    made = ToolCall("call_0", "add", {"a": 2, "b": 3})
    assert play(engine) == [
        ToolCallDelta(ADD_2_3[0]),
        ToolCalls((made,)),
        ToolResult(made, "5"),
        TextDelta("It is "),
        TextDelta("5."),
        AssistantMessage("It is 5."),
        Done("stop", Usage(20, 0, 6, 0.2, 0.4)),
    ]
    assert "<|im_start|>tool\n5<|im_end|>" in engine.prompts[1]
    assert engine.prompts[1].startswith(engine.prompts[0])


@pytest.mark.parametrize("choice", ["auto", "none"])
@pytest.mark.parametrize(
    "answer",
    [
        ["Here is your file:\n", '{"name": "my-app", "version": "1.0.0"}', "\nSave it."],
        ['[{"name": "ali', 'ce", "age": 30}]'],
        ["```json\n", '{"name": "add", "description": ', '"Add."}\n```'],
        ["<think>", '[{"name": "add", "arguments": {"a": 1, "b": 2}}]', "</think>", "Hello!"],
        ["You would send ", '[{"name": "add", "arguments": {"a": 1, "b": 2}}]', " to add."],
        ["a <tool_", "b [", "c {", '"name": "'],
    ],
)
def test_all_of_an_answer_is_shown_as_it_is_written(answer: list[str], choice: str) -> None:
    events = play(Scripted(answer), options=TurnOptions(tool_choice=choice))
    shown = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert shown == "".join(answer)
    assert outputs(events) == []
    assert events[-2] == AssistantMessage(shown.strip())


def test_with_tool_choice_none_a_call_is_text() -> None:
    events = play(Scripted(ADD_2_3), options=TurnOptions(tool_choice="none"))
    assert events[0] == TextDelta(ADD_2_3[0])
    assert outputs(events) == []


def test_parallel_calls_have_their_results_in_order() -> None:
    both = json.dumps([{"name": "add", "arguments": {"a": n, "b": 1}} for n in (1, 2)])
    events = play(Scripted([both], ["Done."]))
    assert outputs(events) == ["2", "3"]
    assert [e.call.id for e in events if isinstance(e, ToolResult)] == ["call_0", "call_1"]


def test_a_refused_call_is_told_to_the_model() -> None:
    engine = Scripted(ADD_2_3, ["All right."])
    events = list(turn([UserMessage("x")], [ADD], engine, lambda tool, call: Deny("not now")))
    assert outputs(events) == ["The user refused this call. Reason: not now"]
    assert finish_reason(events) == "stop"


def test_a_refused_call_is_not_asked_again() -> None:
    asked: list[ToolCall] = []

    def refuse(tool: Tool, call: ToolCall) -> Deny:
        asked.append(call)
        return Deny()

    engine = Scripted(ADD_2_3, ADD_2_3, ["I may not."])
    events = list(turn([UserMessage("x")], [ADD], engine, refuse))
    assert outputs(events) == ["The user refused this call.", REFUSED_BEFORE]
    assert len(asked) == 1
    assert (finish_reason(events), events[-2]) == ("loop", AssistantMessage("I may not."))


def test_other_calls_of_a_reply_run_beside_one_that_was_refused() -> None:
    both = json.dumps([{"name": "add", "arguments": {"a": n, "b": 3}} for n in (2, 4)])
    engine = Scripted(ADD_2_3, [both], ["7"])
    asked: list[ToolCall] = []

    def refuse_first(tool: Tool, call: ToolCall) -> Deny | AllowOnce:
        asked.append(call)
        return Deny() if call.arguments["a"] == 2 else AllowOnce()

    events = list(turn([UserMessage("x")], [ADD], engine, refuse_first))
    assert outputs(events) == ["The user refused this call.", REFUSED_BEFORE, "7"]
    assert [call.arguments["a"] for call in asked] == [2, 4]
    assert finish_reason(events) == "stop"


@pytest.mark.parametrize(
    ("error", "output"),
    [(ToolError("There is no file x."), "There is no file x."), (KeyError("x"), "KeyError: 'x'")],
)
def test_a_failing_tool_is_told_to_the_model(error: Exception, output: str) -> None:
    def fail(a: int, b: int) -> None:
        raise error

    broken = Tool("add", "Add.", PARAMETERS, Effect.READ, fail)
    events = play(Scripted(ADD_2_3, ["It failed."]), broken)
    assert outputs(events) == [output]
    assert finish_reason(events) == "stop"


def test_invalid_arguments_are_corrected_once() -> None:
    engine = Scripted(add_call(a=2), ADD_2_3, ["5"])
    events = play(engine)
    wrong, right = outputs(events)
    assert 'the required property "b" is missing' in wrong
    assert right == "5"
    assert finish_reason(events) == "stop"


def test_calls_that_stay_invalid_end_the_turn() -> None:
    assert finish_reason(play(Scripted(add_call(a=2), add_call(a=3)))) == "invalid_tool_calls"


def test_invalid_arguments_after_a_valid_call_may_be_corrected_again() -> None:
    engine = Scripted(add_call(a=2), ADD_2_3, add_call(b=2), add_call(a=1, b=1), ["ok"])
    assert finish_reason(play(engine)) == "stop"


def test_an_unknown_tool_is_reported_with_the_names_of_the_others() -> None:
    text = json.dumps([{"name": "sub", "arguments": {}}])
    events = play(Scripted([text], ["No."]))
    assert outputs(events) == ["There is no tool 'sub'; the tools are add."]


def test_calls_that_cannot_be_parsed_are_written_again() -> None:
    engine = Scripted(['[{"name": "add", "arguments": {"a": }}]'], ADD_2_3, ["5"])
    events = play(engine)
    correction = next(event for event in events if isinstance(event, SystemMessage))
    assert "Write them again" in correction.text
    assert outputs(events) == ["5"]


def test_calls_that_cannot_be_parsed_twice_end_the_turn() -> None:
    assert finish_reason(play(Scripted(['[{"name": "a'], ['[{"name": "a']))) == "invalid_tool_calls"


def test_a_tool_without_a_function_is_left_to_the_caller() -> None:
    events = play(Scripted(ADD_2_3), Tool("add", "Add.", PARAMETERS))
    assert isinstance(events[-2], ToolCalls)
    assert finish_reason(events) == "tool_calls"


def test_the_caller_gets_no_calls_of_a_reply_with_an_invalid_one() -> None:
    mixed = [{"name": "add", "arguments": {"a": 1, "b": 2}}, {"name": "add", "arguments": {}}]
    engine = Scripted([json.dumps(mixed)], ADD_2_3)
    events = play(engine, Tool("add", "Add.", PARAMETERS))
    assert outputs(events)[0] == "Not run, because another call of this reply is invalid."
    assert finish_reason(events) == "tool_calls"


def test_the_same_calls_three_times_are_a_loop() -> None:
    engine = Scripted(ADD_2_3, ADD_2_3, ADD_2_3, ["It is 5."])
    events = play(engine)
    assert outputs(events) == ["5", f"{ALREADY_KNOWN}5", NOT_RUN_AGAIN]
    results = [event for event in events if isinstance(event, ToolResult)]
    assert [(result.ok, result.skipped) for result in results] == [
        (True, False),
        (True, True),
        (False, True),
    ]
    assert events[-2] == AssistantMessage("It is 5.")
    assert isinstance(events[-1], Done)
    assert events[-1].answered


def test_a_repeated_call_is_answered_with_the_result_that_is_known() -> None:
    ran: list[int] = []

    def run(a: int, b: int) -> int:
        ran.append(a)
        return len(ran)

    count = Tool("add", "Add.", PARAMETERS, Effect.READ, run)
    engine = Scripted(ADD_2_3, add_call(a=1, b=1), add_call(b=3, a=2), ["Done."])
    events = play(engine, count)
    assert outputs(events) == ["1", "2", f"{ALREADY_KNOWN}1"]
    assert ran == [2, 1]
    assert "You already have the result of this call" in engine.prompts[3]


def test_a_call_that_failed_or_is_outdated_by_a_change_runs_again() -> None:
    outcomes = iter([ToolError("Not yet."), 1, 2])

    def read(**_: object) -> object:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    write = Tool("write", "", {"type": "object"}, Effect.WRITE, lambda: "ok")
    change = ['[{"name": "write", "arguments": {}}]']
    engine = Scripted(ADD_2_3, ADD_2_3, change, add_call(b=3, a=2), ["Done."])
    events = play(engine, Tool("add", "Add.", PARAMETERS, Effect.READ, read), write)
    assert outputs(events) == ["Not yet.", "1", "ok", "2"]


@pytest.mark.parametrize(
    "rest", ["", ', {"name": "add", "argu', ', {"name": "add", "arguments": {']
)
def test_an_identical_call_ends_the_reply(rest: str) -> None:
    call = '{"name": "add", "arguments": {"a": 2, "b": 3}}'
    events = play(Scripted([f"[{call}", f", {call}{rest}", f", {call}", " and on"], ["5"]))
    (made,) = (event for event in events if isinstance(event, ToolCalls))
    assert len(made.calls) == 1
    assert made.text == ""
    assert Notice("The model repeated an identical call; the reply was stopped there.") in events
    assert outputs(events) == ["5"]
    assert isinstance(events[-1], Done)
    assert events[-1].usage.reply_tokens == 6


def test_a_turn_ends_after_max_steps() -> None:
    engine = Scripted(*(add_call(a=n, b=0) for n in range(3)), ["0, 1 and 2."])
    events = play(engine, options=TurnOptions(max_steps=3))
    assert finish_reason(events) == "max_steps"
    assert LAST_REPLY in engine.prompts[3]
    assert engine.grammars[3] is for_last_answer()
    assert AssistantMessage("0, 1 and 2.") in events


def test_no_call_of_the_last_reply_runs() -> None:
    events = play(Scripted(ADD_2_3, ADD_2_3), options=TurnOptions(max_steps=1))
    assert outputs(events) == ["5"]
    assert AssistantMessage(ADD_2_3[0]) in events


def test_a_truncated_answer_is_kept() -> None:
    events = play(Scripted(["It is f", GenerationEnd(truncated=True)]))
    assert events[-2:] == [AssistantMessage("It is f"), Done("length")]


def test_calls_completed_at_the_token_limit_do_not_run() -> None:
    events = play(Scripted([ADD_2_3[0], GenerationEnd(truncated=True)]))
    assert [type(event) for event in events] == [ToolCallDelta, ToolCalls, Done]
    assert finish_reason(events) == "length"


def test_truncated_calls_do_not_run() -> None:
    events = play(Scripted(['[{"name": "add", ', GenerationEnd(truncated=True)]))
    assert events == [ToolCallDelta('[{"name": "add", '), Done("length")]


def test_closing_a_turn_stops_the_engine() -> None:
    engine = Scripted(["a", "b", "c"])
    events = turn([UserMessage("x")], [ADD], engine, allow_all)
    assert isinstance(next(events), ContextUsage)
    assert [next(events), next(events)] == [PrefillProgress(10, 10), TextDelta("a")]
    events.close()
    assert engine.closed == 1


def test_tool_choice_applies_to_the_first_reply_only() -> None:
    engine = Scripted(ADD_2_3, ["5"])
    play(engine, options=TurnOptions(tool_choice="required"))
    first, second = engine.grammars
    assert first != second


@pytest.mark.parametrize(
    ("choice", "tools", "message"),
    [("sub", [ADD], "no tool 'sub'.* are: add"), ("required", [], "no tool is offered")],
)
def test_an_impossible_tool_choice_is_an_error(
    choice: str, tools: list[Tool], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        turn([UserMessage("x")], tools, Scripted(), allow_all, TurnOptions(tool_choice=choice))


def test_a_tool_whose_schema_cannot_be_enforced_is_not_offered() -> None:
    odd = Tool("odd", "", {"type": "object", "properties": {"x": {"$ref": "#/nowhere"}}})
    engine = Scripted(["Hi."])
    play(engine, ADD, odd)
    assert '"add"' in engine.prompts[0]
    assert '"odd"' not in engine.prompts[0]


def test_closing_a_turn_cancels_the_running_call() -> None:
    cancelled = Signal()

    def wait(a: int, b: int) -> int:
        cancelled.wait(10)
        return a + b

    slow = Tool("add", "Add.", PARAMETERS, Effect.READ, wait, cancel=cancelled.set)
    events = turn([UserMessage("x")], [slow], Scripted(ADD_2_3), allow_all)
    assert any(isinstance(event, Heartbeat) for event in events)
    events.close()
    assert cancelled.is_set()
