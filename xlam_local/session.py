"""A conversation that is going on: engine, tools, policy and history."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from . import agent, config, prompt, relevance
from .agent import Engine, Rules
from .consent import NAME as POLICY
from .consent import Consent
from .errors import EndlessTurn, HistoryError, ReplyCut, ReplyError, XlamError
from .types import (
    Answer,
    Ask,
    Calls,
    Decision,
    Delta,
    Done,
    Event,
    Message,
    Meter,
    No,
    Note,
    Piece,
    Question,
    Reason,
    Result,
    System,
    Tool,
    ToolCall,
    User,
)


def refuse(question: Question) -> Decision:
    """Refuse what asks: what a session does where nobody can be asked."""
    return No("There is nobody to ask.")


class Keeper(Protocol):
    """Writes a conversation down; raises HistoryError where it cannot now."""

    def add(self, message: Message) -> None:
        """Write a message down."""

    def piece(self, text: str) -> None:
        """Note a piece of an answer that is still being written."""


class Session:
    """A conversation with a model that has tools.

    `approve` is asked before a call runs that the policy neither allows nor denies.
    """

    def __init__(
        self,
        engine: Engine,
        tools: Sequence[Tool] = (),
        approve: Ask = refuse,
        rules: Rules = Rules(),
        system: str | None = None,
        keeper: Keeper | None = None,
    ) -> None:
        self.engine = engine
        self.tools = tuple(tools)
        self.approve = approve
        self.rules = rules
        self.consent = own_consent(Path.cwd())
        """What runs, what is asked for, what is refused: by the user's own policy if not set."""
        self.keeper = keeper
        """Where the conversation is written down; nowhere when not set."""
        self.left_out = 0
        """The oldest turns that the model no longer reads."""
        self.messages: list[Message] = []
        if system is not None:
            self._join(System(system))

    def send(self, text: str) -> Generator[Event, None, None]:
        """Say `text` to the model and follow what happens; to cancel, close the iterator.

        What was said stays in the conversation, however the turn ends.
        """
        yield from self._join(User(text))
        tools = relevance.like(self.tools, f"{self.rules.choice} {text}", *self._costs())
        if without := [tool.name for tool in self.tools if tool not in tools]:
            yield Note(f"To leave room, these tools are not offered now: {', '.join(without)}.")
        yield from self._follow(
            agent.turn(self.messages, tools, self.engine, self._decide, self._rules())
        )

    def repeat(self, call: ToolCall) -> Generator[Event, None, None]:
        """Make a call once more; the model does not speak, and reads of it in the next turn."""
        made = sum(len(m.calls) for m in self.messages if isinstance(m, Calls))
        calls = Calls((replace(call, id=f"call_{made}"),))

        def turn() -> Generator[Event, None, None]:
            yield calls
            yield from agent.act(
                self.messages, self.tools, self.engine, self._decide, self._rules()
            )

        yield from self._follow(turn())

    def _rules(self) -> Rules:
        return self.rules if self.rules.keep else replace(self.rules, keep=_keeper())

    def _follow(self, turn: Generator[Event, None, None]) -> Generator[Event, None, None]:
        """Take part in a turn: each message of it joins the conversation."""
        spoken = ""
        reason: Reason = "cancelled"
        try:
            for event in turn:
                match event:
                    case Delta(piece):
                        spoken += piece
                        self._piece(piece)
                    case System() | User() | Answer() | Calls() | Result():
                        yield from self._join(event)
                        spoken = ""
                    case Meter(left_out=left):
                        yield from self._leave_out(left)
                    case Done(why):
                        spoken, reason = "", why
                yield event
        finally:
            turn.close()
            if reason != "calls":
                self._settle(spoken)

    def ask(self, text: str) -> str:
        """Say `text` and wait for the answer.

        Raises:
            XlamError: the turn ended without an answer; its message says why.
        """
        with closing(self.send(text)) as events:
            for event in events:
                if isinstance(event, Done) and (error := ending(event.reason)):
                    raise error
        last = self.messages[-1]
        if not isinstance(last, Answer):
            raise XlamError("The model called a tool that has no function; use `send` instead.")
        return last.text

    def _decide(self, tool: Tool, call: ToolCall) -> Decision:
        return self.consent.decide((tool, call), self.messages, self.tools, self.approve)

    def _costs(self) -> tuple[list[int], int]:
        """What each tool takes of the context, in tokens, and how much they may take together."""
        texts = [(Piece(prompt.tool_text(tool)),) for tool in self.tools]
        most = int(self.engine.size * self.rules.tools_share)
        # No token is empty, so short texts need no counting.
        if sum(len(piece.text) for (piece,) in texts) <= most:
            return [0] * len(texts), most
        return self.engine.count(texts), most

    def _settle(self, spoken: str) -> None:
        """Keep what a cancelled turn had said, and give each call of it a result."""
        if spoken.strip():
            self._join(Answer(spoken.strip()))
        answered = {m.call.id for m in self.messages if isinstance(m, Result)}
        made = [call for m in self.messages if isinstance(m, Calls) for call in m.calls]
        for call in made:
            if call.id not in answered:
                self._join(Result(call, "No result: the turn was cancelled.", ok=False))

    def _leave_out(self, turns: int) -> list[Note]:
        """Tell when the model begins to read less of the conversation."""
        before, self.left_out = self.left_out, turns
        if turns <= before:
            return []
        told = "turn is" if turns == 1 else f"{turns} turns are"
        return [Note(f"The context is full: from now on the oldest {told} not read any more.")]

    def _join(self, message: Message) -> list[Note]:
        """Add a message, written down before anyone sees it; a note where that failed."""
        self.messages.append(message)
        if self.keeper is None:
            return []
        try:
            self.keeper.add(message)
        except HistoryError as error:
            return [Note(str(error))]
        return []

    def _piece(self, text: str) -> None:
        """Write a piece of an answer down; the whole is written later in any case."""
        if self.keeper is not None:
            with suppress(HistoryError):
                self.keeper.piece(text)


def _keeper() -> Callable[[str, str], str]:
    """Where results are kept that are too long for the context."""
    from .tools.kept import keeper

    return keeper(config.folders().state / "results")


def own_consent(folder: Path) -> Consent:
    """The consent of the user's own policy, for the working folder `folder`.

    Raises:
        UsageError: the policy cannot be read.
    """
    return Consent.open(config.folders().config / POLICY, folder)


ENDINGS: Mapping[Reason, XlamError] = {
    "cut": ReplyCut("The reply ran out of room and was cut short; allow more tokens."),
    "broken": ReplyError("The calls stayed invalid after they were corrected once."),
    "steps": EndlessTurn("The turn ended without an answer: it took too many steps."),
    "loop": EndlessTurn("The turn ended without an answer: the same calls came again and again."),
    "errors": EndlessTurn("The turn ended without an answer: the same error came three times."),
    "time": EndlessTurn("The turn ended without an answer: it took too long."),
    "tokens": EndlessTurn("The turn ended without an answer: it took too many tokens."),
}


def ending(reason: Reason) -> XlamError | None:
    """The error that the end of a turn is, or None where it is a good end."""
    return ENDINGS.get(reason)
