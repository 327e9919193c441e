"""A conversation: the model, its tools, the approvals and the recorder."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar, overload

from . import agent, grammar
from .agent import Engine, TurnOptions
from .agent.grammar_answer import answer_within_grammar
from .agent.observed_engine import ObservedEngine
from .agent.schema_answer import SchemaAnswer, answer_within_schema
from .agent.tool_selection import fit_tools
from .errors import HistoryError, XlamError, error_for
from .gbnf import Grammar
from .generators import drain
from .open_calls import next_call_number, open_calls
from .permissions.approver import Approver
from .reply_record import ReplyRecord
from .types import (
    ApprovalRequest,
    Approve,
    AskUser,
    AssistantMessage,
    ContextUsage,
    Decision,
    Deny,
    Done,
    Event,
    Message,
    Notice,
    Schema,
    SystemMessage,
    TextDelta,
    Tool,
    ToolCall,
    ToolCalls,
    ToolResult,
    UserMessage,
)

T = TypeVar("T")


def deny_all(request: ApprovalRequest) -> Decision:
    """Deny a call because no user is available to approve it."""
    return Deny("No user is available to approve it.")


class AnswerFormat(Protocol):
    """What an answer must be, and how it becomes an object."""

    @property
    def schema(self) -> Schema:
        """The JSON Schema of the answer."""

    def parse(self, text: str) -> Any:
        """Return the object that the text of an answer describes."""


def answer_format(kind: type[Any] | Schema) -> AnswerFormat:
    """Return the format of answers that are objects of a type, or JSON within a schema.

    Raises:
        UsageError: the type has no JSON Schema.
    """
    if isinstance(kind, Mapping):
        return SchemaAnswer(kind)
    from .tools.python.answer_type import AnswerType  # loads pydantic

    return AnswerType(kind)


class Recorder(Protocol):
    """Stores a conversation. Both methods raise HistoryError when they cannot write."""

    def append(self, message: Message, record: ReplyRecord | None = None) -> None:
        """Store a message; `record` says how a reply of the model was written."""

    def append_partial(self, text: str) -> None:
        """Store a part of an answer that the model is still writing."""


@dataclass(frozen=True, slots=True)
class _Setup:
    """What one turn uses."""

    tools: tuple[Tool, ...]
    options: TurnOptions
    approve: AskUser


class Session:
    """A conversation with a model that can call tools.

    `tools`, `approve` and `options` are the defaults of every turn. `approver` decides which
    calls run, are refused, or need an answer from `approve`. The default approver knows no
    policy file: calls that read inside the working folder run and all others ask `approve`,
    which by default refuses. `open_session` creates a session with the user's own policy.
    """

    def __init__(
        self,
        engine: Engine,
        tools: Sequence[Tool] = (),
        approve: AskUser = deny_all,
        options: TurnOptions = TurnOptions(),
        system: str | None = None,
        *,
        approver: Approver | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self._engine = engine
        self._defaults = _Setup(tuple(tools), options, approve)
        self._approver = Approver() if approver is None else approver
        self._recorder = recorder
        self._messages: list[Message] = []
        self._dropped_turns = 0
        if system is not None:
            self._append(SystemMessage(system))

    @property
    def engine(self) -> Engine:
        """The model that answers."""
        return self._engine

    @property
    def approver(self) -> Approver:
        """Decides which calls run, with the grants of this session."""
        return self._approver

    @property
    def messages(self) -> Sequence[Message]:
        """The conversation so far."""
        return self._messages

    def use_engine(self, engine: Engine) -> None:
        """Continue the conversation with another model."""
        self._engine = engine

    def record_to(self, recorder: Recorder | None) -> None:
        """Store the messages that follow with `recorder`; None stores nothing."""
        self._recorder = recorder

    def resume(self, messages: Sequence[Message], recorder: Recorder | None = None) -> None:
        """Replace the conversation by `messages`, which `recorder` has already stored."""
        self._messages = list(messages)
        self._recorder = recorder

    def rewind(self, position: int) -> None:
        """Remove the messages from `position` on; the recorder is not changed."""
        del self._messages[position:]

    def send(
        self,
        message: str | UserMessage,
        *,
        tools: Sequence[Tool] | None = None,
        options: TurnOptions | None = None,
        approve: AskUser | None = None,
    ) -> Generator[Event, None, Done]:
        """Send a user message and yield the events of the turn; return its Done event.

        `tools`, `options` and `approve` replace the session's own for this turn. Close the
        generator to cancel the turn. The messages so far stay in the conversation, and a call
        that did not run gets a result that says so.

        Raises:
            UsageError: `options.tool_choice` names no tool that is offered.
            PromptError: the conversation does not fit the context.
        """
        setup = self._setup(tools, options, approve)
        sent = _user_message(message)
        yield from self._append(sent)
        request = f"{setup.options.tool_choice} {sent.text}"
        selected = fit_tools(setup.tools, request, self._engine, setup.options.tools_share)
        if dropped := [tool.name for tool in setup.tools if tool not in selected]:
            yield Notice(
                "The tools do not fit their share of the context. Dropped for this turn: "
                f"{', '.join(dropped)}."
            )
        engine = ObservedEngine(self._engine)
        turn = agent.turn(self._messages, selected, engine, self._approval(setup), setup.options)
        return (yield from self._follow(turn, engine, grammar.compile_tools(selected).tools))

    def send_within(
        self, message: str | UserMessage, allowed: Grammar, *, options: TurnOptions | None = None
    ) -> Generator[Event, None, Done]:
        """Send a user message, and let the model answer within a grammar.

        The tools are in the prompt, but no tool runs. The events and the return value are those
        of `send`.
        """
        setup = self._setup(None, options, None)
        yield from self._append(_user_message(message))
        engine = ObservedEngine(self._engine)
        turn = answer_within_grammar(
            list(self._messages), setup.tools, engine, allowed, setup.options.sampling
        )
        return (yield from self._follow(turn, engine, setup.tools))

    def send_for_json(
        self, message: str | UserMessage, schema: Schema, *, options: TurnOptions | None = None
    ) -> Generator[Event, None, Done]:
        """Send a user message, and let the model answer with JSON within a JSON Schema.

        No tool runs. The events and the return value are those of `send`.

        Raises:
            SchemaError: the schema is not valid.
        """
        setup = self._setup(None, options, None)
        yield from self._append(_user_message(message))
        engine = ObservedEngine(self._engine)
        turn = answer_within_schema(self._messages, engine, schema, setup.options.sampling)
        return (yield from self._follow(turn, engine))

    def submit_results(self, results: Sequence[ToolResult]) -> Generator[Event, None, Done]:
        """Add the results of calls that the caller has run, and continue the turn.

        A turn leaves its calls to the caller if its finish reason is "tool_calls". The yielded
        events and the return value are those of `send`, with the session's own tools and options.
        """
        for result in results:
            yield from self._append(result)
        setup = self._setup(None, None, None)
        options = replace(setup.options, tool_choice="auto")
        engine = ObservedEngine(self._engine)
        turn = agent.turn(self._messages, setup.tools, engine, self._approval(setup), options)
        return (yield from self._follow(turn, engine, grammar.compile_tools(setup.tools).tools))

    def repeat(
        self,
        call: ToolCall,
        *,
        tools: Sequence[Tool] | None = None,
        options: TurnOptions | None = None,
        approve: AskUser | None = None,
    ) -> Generator[Event, None, Done]:
        """Run a call again without the model, which reads the result in the next turn.

        The arguments and the return value are those of `send`.
        """
        setup = self._setup(tools, options, approve)
        number = next_call_number(self._messages)
        calls = ToolCalls((replace(call, id=f"call_{number}"),))

        def turn() -> Generator[Event, None, Done]:
            yield calls
            return (
                yield from agent.run_pending_calls(
                    self._messages, setup.tools, self._engine, self._approval(setup), setup.options
                )
            )

        return (yield from self._follow(turn(), ObservedEngine(self._engine)))

    def ask(self, text: str) -> str:
        """Send a user message and return the answer.

        Raises:
            XlamError: the turn ended without an answer; the message says why.
        """
        return self.answer(drain(self.send(text)))

    @overload
    def ask_object(self, text: str, kind: type[T]) -> T: ...

    @overload
    def ask_object(self, text: str, kind: Schema) -> Any: ...

    def ask_object(self, text: str, kind: type[T] | Schema) -> T | Any:
        """Send a user message, and return the answer as an object. No tool runs.

        `kind` is a Pydantic model, a dataclass, another type that Pydantic can validate, or a JSON
        Schema; for a schema the value is returned as `json.loads` does.

        Raises:
            UsageError: the type has no JSON Schema.
            SchemaError: the schema is not valid.
            InvalidReply: the answer is not valid for what a grammar cannot enforce.
            XlamError: the turn ended without an answer; the message says why.
        """
        form = answer_format(kind)
        return form.parse(self.answer(drain(self.send_for_json(text, form.schema))))

    def answer(self, done: Done) -> str:
        """Return the answer of the turn that ended with `done`.

        Raises:
            XlamError: the turn ended without an answer; the message says why.
        """
        if error := error_for(done):
            raise error
        last = self._messages[-1]
        if not isinstance(last, AssistantMessage):
            raise XlamError("The model called a tool that has no function; use `send` instead.")
        return last.text

    def _setup(
        self,
        tools: Sequence[Tool] | None,
        options: TurnOptions | None,
        approve: AskUser | None,
    ) -> _Setup:
        defaults = self._defaults
        return _Setup(
            defaults.tools if tools is None else tuple(tools),
            options or defaults.options,
            approve or defaults.approve,
        )

    def _approval(self, setup: _Setup) -> Approve:
        """Return the function that decides on the calls of a turn."""
        # Only remote engines have a host.
        self._approver.remote_host = getattr(self._engine, "host", "")

        def approve(tool: Tool, call: ToolCall) -> Decision:
            return self._approver.decide(tool, call, self._messages, setup.tools, setup.approve)

        return approve

    def _follow(
        self,
        turn: Generator[Event, None, Done],
        engine: ObservedEngine,
        tools: Sequence[Tool] = (),
    ) -> Generator[Event, None, Done]:
        """Add each message of a turn to the conversation, and yield all its events.

        `engine` writes the replies, and `tools` are in their prompts.
        """
        unfinished, dropped_turns = "", 0

        def append(message: Message) -> list[Notice]:
            record = None
            if isinstance(message, AssistantMessage | ToolCalls):
                record = engine.take_record(self._messages, tools, dropped_turns)
            return self._append(message, record)

        done = Done("cancelled")
        try:
            for event in turn:
                match event:
                    case TextDelta(text):
                        unfinished += text
                        self._append_partial(text)
                    case (
                        SystemMessage()
                        | UserMessage()
                        | AssistantMessage()
                        | ToolCalls()
                        | ToolResult()
                    ):
                        yield from append(event)
                        unfinished = ""
                    case ContextUsage(dropped_turns=dropped_turns):
                        yield from self._note_dropped_turns(dropped_turns)
                    case Done():
                        unfinished, done = "", event
                yield event
        finally:
            turn.close()
            if done.finish_reason != "tool_calls":
                if unfinished.strip():
                    append(AssistantMessage(unfinished.strip()))
                self._close_turn()
        return done

    def _close_turn(self) -> None:
        """Give each open call of a cancelled turn a result."""
        for call in open_calls(self._messages):
            self._append(ToolResult(call, "No result: the turn was cancelled.", ok=False))

    def _note_dropped_turns(self, dropped: int) -> list[Notice]:
        """Return a notice if the model reads less of the conversation than before."""
        before, self._dropped_turns = self._dropped_turns, dropped
        if dropped <= before:
            return []
        turns = "turn" if dropped == 1 else f"{dropped} turns"
        return [Notice(f"The context is full: the model no longer reads the oldest {turns}.")]

    def _append(self, message: Message, record: ReplyRecord | None = None) -> list[Notice]:
        """Add a message and record it before anyone sees it; return a notice if that failed."""
        self._messages.append(message)
        if self._recorder is None:
            return []
        try:
            self._recorder.append(message, record)
        except HistoryError as error:
            return [Notice(str(error))]
        return []

    def _append_partial(self, text: str) -> None:
        """Record a part of an answer; the whole answer is recorded when it is complete."""
        if self._recorder is not None:
            with suppress(HistoryError):
                self._recorder.append_partial(text)


def _user_message(message: str | UserMessage) -> UserMessage:
    return UserMessage(message) if isinstance(message, str) else message
