from __future__ import annotations

import json
import time

import pytest

from tests.fakes.fake_engine import Scripted
from tests.fakes.turns import ADD_2_3, PARAMETERS, add_call, finish_reason, outputs, play
from xlam_local.agent import TurnOptions
from xlam_local.agent.earlier_results import ALREADY_KNOWN
from xlam_local.agent.limits import (
    BUDGET_WARNING,
    LAST_REPLY,
    MAX_QUOTED_CHARS,
    TurnLimits,
    TurnUsage,
    last_reply_request,
)
from xlam_local.errors import ToolError, TurnLimitExceeded, error_for
from xlam_local.session import Session
from xlam_local.types import (
    AssistantMessage,
    Deny,
    Done,
    Effect,
    Event,
    FinishReason,
    GenerationEnd,
    SystemMessage,
    Tool,
    ToolResult,
    UserMessage,
)

ASKED = f"The question was: 2 + 3?\n{LAST_REPLY}"


def warnings(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, SystemMessage)]


def fail(a: int, b: int) -> None:
    raise ToolError("The disk is full.")


FAILS = Tool("add", "Add.", PARAMETERS, Effect.READ, fail)


def test_a_long_request_is_not_quoted_again() -> None:
    request, longer = "x" * MAX_QUOTED_CHARS, "x" * (MAX_QUOTED_CHARS + 1)
    assert last_reply_request([UserMessage("a"), UserMessage(request)]) == (
        f"The question was: {request}\n{LAST_REPLY}"
    )
    assert last_reply_request([UserMessage("a"), UserMessage(longer)]) == LAST_REPLY
    assert last_reply_request([]) == LAST_REPLY


def test_the_last_reply_after_a_loop_reads_the_call_once() -> None:
    engine = Scripted(ADD_2_3, ADD_2_3, ADD_2_3, ["5"])
    events = play(engine)
    assert warnings(events) == [ASKED]
    assert [written.count(ADD_2_3[0]) for written in engine.prompts] == [0, 1, 2, 1]
    assert ALREADY_KNOWN in engine.prompts[2]
    assert ALREADY_KNOWN not in engine.prompts[3]
    assert finish_reason(events) == "loop"


@pytest.mark.parametrize("calls", [add_call(a=1, b=1)[0], '[{"name": "add", '])
def test_after_results_truncated_calls_are_a_limit(calls: str) -> None:
    engine = Scripted(ADD_2_3, [calls, GenerationEnd(truncated=True)], ["5"])
    events = play(engine)
    assert outputs(events)[0] == "5"
    assert warnings(events) == [ASKED]
    done = events[-1]
    assert events[-2] == AssistantMessage("5")
    assert isinstance(done, Done)
    assert done.answered
    assert finish_reason(events) == "length"


def test_a_truncated_answer_after_results_is_kept() -> None:
    events = play(Scripted(ADD_2_3, ["It is f", GenerationEnd(truncated=True)]))
    assert events[-2] == AssistantMessage("It is f")
    assert finish_reason(events) == "length"


def test_a_model_can_answer_after_a_repeated_call() -> None:
    assert finish_reason(play(Scripted(ADD_2_3, ADD_2_3, ["5"]))) == "stop"


def test_the_same_error_three_times_ends_the_turn_after_a_warning() -> None:
    calls = (add_call(a=n, b=n) for n in (1, 2, 3))
    events = play(Scripted(*calls, ["It failed."]), FAILS)
    assert warnings(events) == [
        "Do not make this call again. Make another call, or tell the user the answer in a "
        "sentence, with the results above.",
        ASKED,
    ]
    assert finish_reason(events) == "repeated_error"


def test_an_error_three_times_in_one_reply_counts_once() -> None:
    three = json.dumps([{"name": "add", "arguments": {"a": n, "b": n}} for n in range(3)])
    assert finish_reason(play(Scripted([three], ["It failed."]), FAILS)) == "stop"


def test_a_refusal_three_times_ends_the_turn() -> None:
    write = Tool("add", "Add.", PARAMETERS, Effect.WRITE, lambda a, b: a + b)
    calls = (add_call(a=n, b=n) for n in range(3))
    session = Session(Scripted(*calls, [""]), [write], lambda request: Deny())
    with pytest.raises(TurnLimitExceeded, match="same error occurred three times"):
        session.ask("x")
    assert sum(isinstance(message, ToolResult) for message in session.messages) == 3


def test_a_token_budget_ends_the_turn_after_a_warning() -> None:
    replies = [add_call(a=n, b=n) for n in range(9)]
    events = play(Scripted(*replies), options=TurnOptions(max_steps=9, token_budget=40))
    assert warnings(events) == [BUDGET_WARNING, ASKED]
    assert finish_reason(events) == "token_budget"
    assert isinstance(error_for(Done("token_budget")), TurnLimitExceeded)
    assert error_for(Done("token_budget", answered=True)) is None


def test_a_timeout_ends_the_turn() -> None:
    replies = [add_call(a=n, b=n) for n in range(9)]
    events = play(Scripted(*replies), options=TurnOptions(timeout=1e-9))
    assert finish_reason(events) == "timeout"


def test_the_last_reply_after_a_timeout_is_not_stopped() -> None:
    def slow(a: int, b: int) -> int:
        time.sleep(0.3)
        return a + b

    engine = Scripted(ADD_2_3, add_call(a=1, b=1), ["It ", "is ", "5."], ["It ", "is ", "5."])
    tool = Tool("add", "Add.", PARAMETERS, Effect.READ, slow)
    events = play(engine, tool, options=TurnOptions(timeout=0.2))
    assert finish_reason(events) == "timeout"
    assert AssistantMessage("It is 5.") in events


def test_a_timeout_stops_a_reply() -> None:
    engine = Scripted(["It ", "is ", "5."])
    assert finish_reason(play(engine, options=TurnOptions(timeout=1e-9))) == "timeout"
    assert engine.closed == 1


@pytest.mark.parametrize(
    ("usage", "reason"),
    [
        (TurnUsage(), None),
        (TurnUsage(1, 7.4), None),
        (TurnUsage(1, 10.0), "timeout"),
        (TurnUsage(1, 0, 100), "token_budget"),
        (TurnUsage(4), "max_steps"),
    ],
)
def test_each_limit_has_its_reason(usage: TurnUsage, reason: FinishReason | None) -> None:
    limits = TurnLimits(4, 10.0, 100)
    limits.warnings(TurnUsage(1, 8.0))
    assert limits.reached(usage) == reason


def test_a_budget_that_is_overrun_at_once_leaves_one_reply_to_answer() -> None:
    limits = TurnLimits(4, max_seconds=10.0)
    late = TurnUsage(1, 30.0)
    assert limits.reached(late) is None
    assert limits.warnings(late) == [BUDGET_WARNING]
    assert limits.reached(late) is None
    assert limits.reached(TurnUsage(2, 32.5)) == "timeout"
