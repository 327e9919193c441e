from __future__ import annotations

import json

import pytest

from xlam_local.agent import Rules
from xlam_local.errors import EndlessTurn, ToolError
from xlam_local.guards import ENDING, Guards, Spent
from xlam_local.session import Session, ending
from xlam_local.types import Effect, Event, No, Reason, Result, System, Tool

from .scripted import Scripted
from .test_agent import ADD_2_3, PARAMETERS, call, last, play


def told(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, System)]


def fails(a: int, b: int) -> None:
    raise ToolError("The disk is full.")


FAILS = Tool("add", "Add.", PARAMETERS, Effect.READ, fails)


def test_the_same_call_twice_is_told_to_the_model_before_it_is_a_loop() -> None:
    engine = Scripted(ADD_2_3, ADD_2_3, ADD_2_3)
    events = play(engine)
    assert told(events) == ["You have made the same call twice. Make another one, or answer."]
    assert "the same call twice" in engine.prompts[2]
    assert last(events) == "loop"


def test_a_model_that_heeds_the_warning_answers() -> None:
    assert last(play(Scripted(ADD_2_3, ADD_2_3, ["5"]))) == "answer"


def test_the_same_error_three_times_ends_the_turn_after_a_word_to_the_model() -> None:
    events = play(Scripted(call(a=1, b=1), call(a=2, b=2), call(a=3, b=3)), FAILS)
    assert told(events) == [
        "The same error came twice. Try something else, or answer with what you know."
    ]
    assert last(events) == "errors"


def test_an_error_three_times_in_one_reply_counts_once() -> None:
    three = json.dumps([{"name": "add", "arguments": {"a": n, "b": n}} for n in range(3)])
    assert last(play(Scripted([three], ["It failed."]), FAILS)) == "answer"


def test_a_refusal_three_times_ends_the_turn() -> None:
    write = Tool("add", "Add.", PARAMETERS, Effect.WRITE, lambda a, b: a + b)
    calls = (call(a=n, b=n) for n in range(3))
    session = Session(Scripted(*calls), [write], lambda question: No())
    with pytest.raises(EndlessTurn, match="same error came three times"):
        session.ask("x")
    assert sum(isinstance(message, Result) for message in session.messages) == 3


def test_the_last_reply_of_a_turn_is_announced() -> None:
    engine = Scripted(ADD_2_3, call(a=1, b=1), ["ok"])
    events = play(engine, rules=Rules(max_steps=3))
    assert told(events) == ["This is the last reply of this turn. Answer with what you know."]
    assert last(events) == "answer"


def test_a_budget_of_tokens_is_announced_and_then_ends_the_turn() -> None:
    replies = [call(a=n, b=n) for n in range(9)]
    events = play(Scripted(*replies), rules=Rules(max_steps=9, tokens=40))
    assert told(events) == [ENDING]
    assert last(events) == "tokens"
    assert isinstance(ending("tokens"), EndlessTurn)


def test_a_turn_that_takes_too_long_is_told_and_then_ends() -> None:
    events = play(Scripted(*(call(a=n, b=n) for n in range(9))), rules=Rules(seconds=1e-9))
    assert last(events) == "time"


def test_a_reply_is_stopped_when_the_time_is_over() -> None:
    engine = Scripted(["It ", "is ", "5."])
    assert last(play(engine, rules=Rules(seconds=1e-9))) == "time"
    assert engine.closed == 1


@pytest.mark.parametrize(
    ("spent", "reason"),
    [
        (Spent(), None),
        (Spent(1, 7.4), None),
        (Spent(1, 10.0), "time"),
        (Spent(1, 0, 100), "tokens"),
        (Spent(4), "steps"),
    ],
)
def test_what_is_over(spent: Spent, reason: Reason | None) -> None:
    guards = Guards(4, 10.0, 100)
    guards.warnings(Spent(1, 8.0))
    assert guards.over(spent) == reason


def test_a_budget_that_is_overrun_at_once_leaves_one_reply_to_answer() -> None:
    guards = Guards(4, seconds=10.0)
    late = Spent(1, 30.0)
    assert guards.over(late) is None
    assert guards.warnings(late) == [ENDING]
    assert guards.over(late) is None
    assert guards.over(Spent(2, 32.5)) == "time"
