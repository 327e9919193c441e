from __future__ import annotations

import pytest

from xlam_local import prompt
from xlam_local.errors import PromptError
from xlam_local.room import fit, split
from xlam_local.types import Answer, Message, Meter, System, User

from .scripted import Scripted
from .test_agent import ADD

TALK: list[Message] = [System("Be brief.")]
for number in range(20):
    TALK += [User(f"question {number}"), Answer("word " * 20)]
LAST = User("and now?")


def test_what_fits_is_read_whole_and_every_token_is_told() -> None:
    engine = Scripted(size=5000)
    fitted = fit([*TALK, LAST], [ADD], engine, 100, strict=True)
    assert list(fitted.messages) == [*TALK, LAST]
    (whole,) = engine.count([prompt.render([*TALK, LAST], [ADD], engine.format)])
    meter = fitted.meter
    assert meter.system + meter.tools + meter.history == whole
    assert whole + meter.free == 5000
    assert meter.left_out == 0


def test_the_oldest_turns_leave_whole_and_the_system_message_stays() -> None:
    engine = Scripted(size=400)
    fitted = fit([*TALK, LAST], [ADD], engine, 50, strict=False)
    assert fitted.messages[0] == TALK[0]
    assert isinstance(fitted.messages[1], User)
    assert fitted.messages[-1] == LAST
    assert list(fitted.messages[1:]) == [*TALK, LAST][1 + 2 * fitted.meter.left_out :]
    assert fitted.meter.left_out > 0
    assert fitted.meter.free >= 50


def test_the_next_turns_begin_with_the_same_messages() -> None:
    engine, said = Scripted(size=400), [*TALK, LAST]
    starts = []
    for number in range(8):
        starts.append(fit(said, [ADD], engine, 50, strict=False).meter.left_out)
        said += [Answer("word " * 10), User(f"more {number}")]
    assert starts == sorted(starts)
    assert len(set(starts)) < 4


def test_strictly_it_is_an_error_with_the_numbers() -> None:
    with pytest.raises(PromptError, match=r"tokens, and the context of 400 has to leave 50"):
        fit([*TALK, LAST], [ADD], Scripted(size=400), 50, strict=True)


def test_the_last_turn_stays_even_where_it_does_not_fit() -> None:
    fitted = fit([*TALK, User("word " * 500)], [], Scripted(size=400), 50, strict=False)
    assert len(fitted.messages) == 2
    assert fitted.meter == Meter(15, 0, 500, 0, 20) or fitted.meter.free == 0


def test_what_stands_before_the_first_turn_is_the_system_messages() -> None:
    head, turns = split([System("a"), Answer("hello"), User("b"), Answer("c"), User("d")])
    assert list(head) == [System("a")]
    assert [next(iter(turn)) for turn in turns] == [Answer("hello"), User("d")]
    assert split([System("a")]) == ([System("a")], [[]])
