from __future__ import annotations

from dataclasses import replace

import pytest

from tests.fakes.fake_engine import Scripted
from tests.fakes.fake_user import FakeUser
from tests.fakes.turns import ADD, ADD_2_3, PARAMETERS, add_call
from xlam_local.agent import TurnOptions
from xlam_local.errors import HistoryError, ReplyTruncated, TurnLimitExceeded, XlamError
from xlam_local.reply_record import ReplyRecord
from xlam_local.session import Session
from xlam_local.types import (
    AllowAlways,
    AllowOnce,
    ApprovalRequest,
    AssistantMessage,
    Decision,
    Deny,
    Done,
    Effect,
    GenerationEnd,
    Message,
    Notice,
    SystemMessage,
    TextDelta,
    Tool,
    ToolCall,
    ToolCalls,
    ToolResult,
    UserMessage,
)

WRITE = Tool("add", "Add.", PARAMETERS, Effect.WRITE, lambda a, b: a + b)
CALLER_RUN = Tool("add", "Add.", PARAMETERS)


class Remote(Scripted):
    host = "gpu.example.com"


def test_what_a_tool_reads_for_a_remote_model_needs_approval() -> None:
    reasons = []

    def ask(request: ApprovalRequest) -> Deny:
        reasons.append(request.reason)
        return Deny()

    reading = replace(ADD, effect=Effect.READ, deterministic=False)
    session = Session(Remote(ADD_2_3, ["No."]), [reading], ask)
    session.ask("2 + 3?")
    assert reasons == ["It reads data that would be sent to gpu.example.com, where the model runs."]
    session.use_engine(Scripted(ADD_2_3, ["5"]))
    session.ask("2 + 3?")
    assert len(reasons) == 1


def results(session: Session) -> list[ToolResult]:
    return [message for message in session.messages if isinstance(message, ToolResult)]


def test_the_conversation_grows_with_every_message() -> None:
    session = Session(Scripted(ADD_2_3, ["5"], ["Bye."]), [ADD], system="Be brief.")
    assert session.ask("2 + 3?") == "5"
    assert session.ask("Thanks.") == "Bye."
    assert [type(message) for message in session.messages] == [
        SystemMessage,
        UserMessage,
        ToolCalls,
        ToolResult,
        AssistantMessage,
        UserMessage,
        AssistantMessage,
    ]


def test_a_tool_that_only_reads_runs_without_approval() -> None:
    session = Session(Scripted(ADD_2_3, ["5"]), [ADD])
    assert session.ask("2 + 3?") == "5"


def test_a_tool_that_writes_is_refused_by_default() -> None:
    session = Session(Scripted(ADD_2_3, ["No."]), [WRITE])
    session.ask("2 + 3?")
    (result,) = results(session)
    assert result.refused
    assert "No user is available" in result.output


def test_a_tool_that_is_always_allowed_asks_once() -> None:
    user = FakeUser(AllowAlways())
    Session(Scripted(ADD_2_3, add_call(a=1, b=1), ["5"]), [WRITE], user).ask("2 + 3?")
    assert len(user.requests) == 1


@pytest.mark.parametrize("decision", [AllowOnce(), Deny()])
def test_other_decisions_hold_for_one_call(decision: Decision) -> None:
    user = FakeUser(decision, decision)
    Session(Scripted(ADD_2_3, add_call(a=1, b=1), ["5"]), [WRITE], user).ask("2 + 3?")
    assert len(user.requests) == 2


def test_a_turn_can_have_its_own_tools_options_and_approval() -> None:
    user = FakeUser(AllowOnce())
    engine = Scripted(ADD_2_3, ["5"], ["Hello."])
    session = Session(engine)
    options = TurnOptions(tool_choice="required")
    list(session.send("2 + 3?", tools=[WRITE], options=options, approve=user))
    assert [result.output for result in results(session)] == ["5"]
    assert len(user.requests) == 1
    session.ask("Hello")
    assert '"add"' in engine.prompts[0]
    assert '"add"' not in engine.prompts[2].partition("<|im_end|>")[0]


def test_a_session_can_continue_with_another_model() -> None:
    session = Session(Scripted(["Hello."]))
    session.ask("Hi")
    other = Scripted(["Bye."])
    session.use_engine(other)
    assert session.engine is other
    assert session.ask("Bye") == "Bye."
    assert "Hello." in other.prompts[0]


def test_the_text_before_a_cancel_stays() -> None:
    session = Session(Scripted(["It is ", "5."]), [ADD])
    events = session.send("2 + 3?")
    assert TextDelta("It is ") in (next(events), next(events), next(events))
    events.close()
    assert session.messages == [UserMessage("2 + 3?"), AssistantMessage("It is")]


def test_calls_of_a_cancelled_turn_get_a_result() -> None:
    session = Session(Scripted(ADD_2_3, ["5"]), [ADD])
    for event in (events := session.send("2 + 3?")):
        if isinstance(event, ToolCalls):
            break
    events.close()
    assert isinstance(session.messages[-1], ToolResult)
    assert session.messages[-1].output == "No result: the turn was cancelled."


def test_a_truncated_answer_is_an_error_and_stays_in_the_conversation() -> None:
    session = Session(Scripted(["It is", GenerationEnd(truncated=True)]), [ADD])
    with pytest.raises(ReplyTruncated):
        session.ask("2 + 3?")
    assert session.messages[-1] == AssistantMessage("It is")


def test_a_loop_without_an_answer_is_an_error() -> None:
    with pytest.raises(TurnLimitExceeded, match="repeated the same tool calls"):
        Session(Scripted(ADD_2_3, ADD_2_3, ADD_2_3, [""]), [ADD]).ask("2 + 3?")


def test_an_answer_after_a_limit_is_returned() -> None:
    session = Session(Scripted(ADD_2_3, ADD_2_3, ADD_2_3, ["It is 5."]), [ADD])
    assert session.ask("2 + 3?") == "It is 5."
    one_reply = TurnOptions(max_steps=1)
    assert Session(Scripted(ADD_2_3, ["5"]), [ADD], options=one_reply).ask("2 + 3?") == "5"


def test_ask_needs_tools_with_functions() -> None:
    session = Session(Scripted(ADD_2_3), [CALLER_RUN])
    with pytest.raises(XlamError, match="use `send`"):
        session.ask("2 + 3?")
    assert isinstance(session.messages[-1], ToolCalls)


def test_a_turn_continues_with_the_callers_results() -> None:
    options = TurnOptions(tool_choice="required")
    engine = Scripted(ADD_2_3, ["It is 5."])
    session = Session(engine, [CALLER_RUN], options=options)
    *_, calls, done = session.send("2 + 3?")
    assert isinstance(calls, ToolCalls)
    assert isinstance(done, Done)
    assert done.finish_reason == "tool_calls"
    *_, answer, done = session.submit_results([ToolResult(calls.calls[0], "5")])
    assert answer == AssistantMessage("It is 5.")
    assert isinstance(done, Done)
    assert done.finish_reason == "stop"
    assert engine.grammars[0] != engine.grammars[1]
    assert [type(message).__name__ for message in session.messages] == [
        "UserMessage",
        "ToolCalls",
        "ToolResult",
        "AssistantMessage",
    ]


class FakeRecorder:
    """Keeps what it records, unless its disk is full."""

    def __init__(self, disk_full: bool = False) -> None:
        self.disk_full = disk_full
        self.messages: list[Message] = []
        self.records: list[ReplyRecord] = []
        self.partials: list[str] = []

    def append(self, message: Message, record: ReplyRecord | None = None) -> None:
        if self.disk_full:
            raise HistoryError("The disk is full.")
        self.messages.append(message)
        if record is not None:
            self.records.append(record)

    def append_partial(self, text: str) -> None:
        if self.disk_full:
            raise HistoryError("The disk is full.")
        self.partials.append(text)


def test_a_message_is_recorded_before_it_is_yielded() -> None:
    recorder = FakeRecorder()
    engine = Scripted(ADD_2_3, ["It ", "is 5."])
    session = Session(engine, [ADD], system="Hi.", recorder=recorder)
    for event in session.send("2 + 3?"):
        if isinstance(event, (ToolCalls, ToolResult, AssistantMessage)):
            assert recorder.messages[-1] == event
    assert recorder.messages == session.messages
    assert recorder.partials == ["It ", "is 5."]


def test_a_recorder_that_fails_is_a_notice_and_does_not_end_the_turn() -> None:
    session = Session(Scripted(["Hello."]), recorder=FakeRecorder(disk_full=True))
    events = list(session.send("Hi"))
    assert Notice("The disk is full.") in events
    assert session.messages == [UserMessage("Hi"), AssistantMessage("Hello.")]


def test_the_text_of_a_cancelled_turn_is_recorded() -> None:
    recorder = FakeRecorder()
    session = Session(Scripted(["Hel", "lo."]), recorder=recorder)
    events = session.send("Hi")
    assert next(event for event in events if isinstance(event, TextDelta))
    events.close()
    assert recorder.messages == [UserMessage("Hi"), AssistantMessage("Hel")]


def test_a_recorder_that_is_set_later_gets_the_messages_that_follow() -> None:
    recorder = FakeRecorder()
    session = Session(Scripted(["Hello."], ["Bye."]))
    session.ask("Hi")
    session.record_to(recorder)
    session.ask("Bye")
    assert recorder.messages == [UserMessage("Bye"), AssistantMessage("Bye.")]


def test_a_conversation_can_be_resumed_and_rewound() -> None:
    engine, recorder = Scripted(["Bye."], ["See you."]), FakeRecorder()
    session = Session(engine)
    session.resume([UserMessage("Hi"), AssistantMessage("Hello.")], recorder)
    session.ask("Bye")
    assert "Hello." in engine.prompts[0]
    assert recorder.messages == [UserMessage("Bye"), AssistantMessage("Bye.")]
    session.rewind(2)
    assert session.messages == [UserMessage("Hi"), AssistantMessage("Hello.")]


def test_dropped_turns_are_reported_once() -> None:
    engine = Scripted(*[["word " * 60]] * 8, context_size=400)
    session = Session(engine)
    notices = []
    for number in range(8):
        events = session.send(f"question {number}")
        notices += [event.text for event in events if isinstance(event, Notice)]
    assert len(notices) in (1, 2)
    assert all("the model no longer reads the oldest" in notice for notice in notices)
    assert "question 7" in engine.prompts[-1]
    assert "question 0" not in engine.prompts[-1]
    assert len(session.messages) == 16


def test_a_call_is_repeated_without_the_model() -> None:
    engine = Scripted(ADD_2_3, ["5"], ["Yes."])
    session = Session(engine, [ADD])
    session.ask("2 + 3?")
    (made,) = (message for message in session.messages if isinstance(message, ToolCalls))
    calls, result, done = session.repeat(made.calls[0])
    assert calls == ToolCalls((ToolCall("call_1", "add", {"a": 2, "b": 3}),))
    assert result == ToolResult(calls.calls[0], "5")
    assert done == Done("stop")
    assert session.messages[-2:] == [calls, result]
    assert session.ask("Still?") == "Yes."
    assert len(engine.prompts) == 3


def test_a_repeated_call_needs_approval_and_always_gets_a_result() -> None:
    session = Session(Scripted(), [WRITE])
    call = ToolCall("", "add", {"a": 2, "b": 3})
    (_, refused, _) = session.repeat(call)
    assert isinstance(refused, ToolResult)
    assert refused.refused
    turn = session.repeat(call)
    next(turn)
    turn.close()
    assert [result.ok for result in results(session)] == [False, False]
    (_, unknown, _) = session.repeat(ToolCall("", "nothing", {}))
    assert isinstance(unknown, ToolResult)
    assert "There is no tool 'nothing'" in unknown.output


def test_tools_that_do_not_fit_their_share_are_dropped_with_a_notice() -> None:
    tools = [
        Tool(name, f"Do {name} with care. " * 20, {}, Effect.READ, lambda: "x")
        for name in ("weather", "mail", "music", "maps")
    ]
    engine = Scripted(["It is sunny."], ["Sent."], context_size=1000)
    session = Session(engine, tools, options=TurnOptions(tools_share=0.12))
    notices = [event.text for event in session.send("weather?") if isinstance(event, Notice)]
    assert notices == [
        "The tools do not fit their share of the context. Dropped for this turn: mail, music, maps."
    ]
    assert '"weather"' in engine.prompts[0]
    assert '"mail"' not in engine.prompts[0]
    session.ask("send a mail")
    assert '"mail"' in engine.prompts[1]
