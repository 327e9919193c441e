from __future__ import annotations

import pytest

from xlam_local.errors import EndlessTurn, HistoryError, ReplyCut, XlamError
from xlam_local.session import Session
from xlam_local.types import (
    Always,
    Answer,
    Calls,
    Decision,
    Delta,
    Done,
    Effect,
    End,
    Message,
    No,
    Note,
    Once,
    Question,
    Result,
    System,
    Tool,
    ToolCall,
    User,
)

from .scripted import Scripted
from .test_agent import ADD, ADD_2_3, PARAMETERS, call

WRITE = Tool("add", "Add.", PARAMETERS, Effect.WRITE, lambda a, b: a + b)


def test_the_conversation_grows_with_every_message() -> None:
    session = Session(Scripted(ADD_2_3, ["5"], ["Bye."]), [ADD], system="Be brief.")
    assert session.ask("2 + 3?") == "5"
    assert session.ask("Thanks.") == "Bye."
    kinds = [System, User, Calls, Result, Answer, User, Answer]
    assert [type(message) for message in session.messages] == kinds


def test_a_tool_that_only_reads_is_not_asked_for() -> None:
    session = Session(Scripted(ADD_2_3, ["5"]), [ADD])
    assert session.ask("2 + 3?") == "5"


def test_a_tool_that_writes_does_not_run_unasked() -> None:
    session = Session(Scripted(ADD_2_3, ["No."]), [WRITE])
    session.ask("2 + 3?")
    (result,) = (message for message in session.messages if isinstance(message, Result))
    assert result.refused


def test_always_asks_no_more() -> None:
    asked: list[ToolCall] = []

    def approve(question: Question) -> Decision:
        asked.append(question.call)
        return Always()

    session = Session(Scripted(ADD_2_3, call(a=1, b=1), ["5"]), [WRITE], approve)
    session.ask("2 + 3?")
    assert len(asked) == 1


@pytest.mark.parametrize("decision", [Once(), No()])
def test_once_and_no_ask_again(decision: Decision) -> None:
    asked: list[ToolCall] = []

    def approve(question: Question) -> Decision:
        asked.append(question.call)
        return decision

    session = Session(Scripted(ADD_2_3, call(a=1, b=1), ["5"]), [WRITE], approve)
    session.ask("2 + 3?")
    assert len(asked) == 2


def test_what_was_said_before_a_cancel_is_kept() -> None:
    session = Session(Scripted(["It is ", "5."]), [ADD])
    events = session.send("2 + 3?")
    assert Delta("It is ") in (next(events), next(events), next(events))
    events.close()
    assert session.messages == [User("2 + 3?"), Answer("It is")]


def test_calls_that_were_cancelled_have_a_result() -> None:
    session = Session(Scripted(ADD_2_3, ["5"]), [ADD])
    for event in (events := session.send("2 + 3?")):
        if isinstance(event, Calls):
            break
    events.close()
    assert isinstance(session.messages[-1], Result)
    assert session.messages[-1].output == "No result: the turn was cancelled."


def test_an_answer_that_is_cut_is_an_error_that_loses_nothing() -> None:
    session = Session(Scripted(["It is", End(cut=True)]), [ADD])
    with pytest.raises(ReplyCut):
        session.ask("2 + 3?")
    assert session.messages[-1] == Answer("It is")


def test_a_loop_is_an_error() -> None:
    with pytest.raises(EndlessTurn, match="again and again"):
        Session(Scripted(ADD_2_3, ADD_2_3, ADD_2_3), [ADD]).ask("2 + 3?")


def test_calls_for_the_caller_are_left_open() -> None:
    session = Session(Scripted(ADD_2_3), [Tool("add", "Add.", PARAMETERS)])
    with pytest.raises(XlamError, match="use `send`"):
        session.ask("2 + 3?")
    assert isinstance(session.messages[-1], Calls)


class Kept:
    """Writes down what it is told, once there is room."""

    def __init__(self, room: bool = True) -> None:
        self.room = room
        self.messages: list[Message] = []
        self.pieces: list[str] = []

    def add(self, message: Message) -> None:
        if not self.room:
            raise HistoryError("No room is left.")
        self.messages.append(message)

    def piece(self, text: str) -> None:
        if not self.room:
            raise HistoryError("No room is left.")
        self.pieces.append(text)


def test_a_message_is_written_down_before_it_is_seen() -> None:
    kept = Kept()
    session = Session(Scripted(ADD_2_3, ["It ", "is 5."]), [ADD], system="Hi.", keeper=kept)
    for event in session.send("2 + 3?"):
        if isinstance(event, (Calls, Result, Answer)):
            assert kept.messages[-1] == event
    assert kept.messages == session.messages
    assert kept.pieces == ["It ", "is 5."]


def test_what_cannot_be_written_down_is_told_and_the_turn_goes_on() -> None:
    session = Session(Scripted(["Hello."]), keeper=Kept(room=False))
    events = list(session.send("Hi"))
    assert Note("No room is left.") in events
    assert session.messages == [User("Hi"), Answer("Hello.")]


def test_what_a_cancelled_turn_said_is_written_down() -> None:
    kept = Kept()
    session = Session(Scripted(["Hel", "lo."]), keeper=kept)
    events = session.send("Hi")
    assert next(event for event in events if isinstance(event, Delta))
    events.close()
    assert kept.messages == [User("Hi"), Answer("Hel")]


def test_what_the_model_no_longer_reads_is_told_once() -> None:
    engine = Scripted(*[["word " * 60]] * 8, size=400)
    session = Session(engine)
    notes = []
    for number in range(8):
        said = [event for event in session.send(f"question {number}") if isinstance(event, Note)]
        notes.append(len(said))
    assert sum(notes) in (1, 2)
    assert "question 7" in engine.prompts[-1]
    assert "question 0" not in engine.prompts[-1]
    assert len(session.messages) == 16


def test_a_call_is_made_once_more_without_the_model() -> None:
    engine = Scripted(ADD_2_3, ["5"], ["Yes."])
    session = Session(engine, [ADD])
    session.ask("2 + 3?")
    (said,) = (message for message in session.messages if isinstance(message, Calls))
    calls, result, done = session.repeat(said.calls[0])
    assert calls == Calls((ToolCall("call_1", "add", {"a": 2, "b": 3}),))
    assert result == Result(calls.calls[0], "5")
    assert done == Done("answer")
    assert session.messages[-2:] == [calls, result]
    assert session.ask("Still?") == "Yes."
    assert len(engine.prompts) == 3


def test_a_call_made_once_more_is_refused_as_any_other_and_left_with_a_result() -> None:
    session = Session(Scripted(), [WRITE])
    made = ToolCall("", "add", {"a": 2, "b": 3})
    (_, refused, _) = session.repeat(made)
    assert isinstance(refused, Result)
    assert refused.refused
    turn = session.repeat(made)
    next(turn)
    turn.close()
    assert [m.ok for m in session.messages if isinstance(m, Result)] == [False, False]
    (_, gone, _) = session.repeat(ToolCall("", "nothing", {}))
    assert isinstance(gone, Result)
    assert "There is no tool 'nothing'" in gone.output
