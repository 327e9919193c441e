"""One turn: the model speaks and acts until it answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from threading import Thread
from typing import Protocol

from . import excerpt, grammar, prompt, results, room, schema
from .errors import ReplyError, ToolError, UsageError
from .gbnf import Grammar
from .guards import Guards, Spent
from .reply import ReplyReader, read
from .types import (
    Answer,
    Approve,
    Calls,
    Done,
    End,
    Event,
    Message,
    No,
    Note,
    Prefill,
    Prompt,
    Reason,
    Result,
    Sampling,
    System,
    Tick,
    Tool,
    ToolCall,
    Usage,
)

log = logging.getLogger(__name__)

TICK = 0.1
"""Seconds without news after which there is a Tick."""

Step = Generator[Event, None, Reason | None]
Generation = Generator[Prefill | str | Note | Tick | End, bool | None, None]


class Engine(Protocol):
    """Anything that writes on after a prompt, within a grammar."""

    @property
    def name(self) -> str:
        """The model's name, for people."""

    @property
    def format(self) -> prompt.Format:
        """How the model's prompts are written."""

    @property
    def size(self) -> int:
        """Tokens of context."""

    def count(self, prompts: Sequence[Prompt]) -> list[int]:
        """How many tokens each prompt has."""

    def generate(self, prompt: Prompt, grammar: Grammar | None, sampling: Sampling) -> Generation:
        """Yield progress, then text as it is written, then one End; sent True, end the reply.

        A Tick comes where there is nothing new for a moment, a Note where something has to be said.
        """


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for a turn."""

    choice: str = "auto"
    """For the first reply: auto (calls or words), required (calls), none (words), a tool's name.
    After the first results the model decides."""
    parallel: bool = True
    """Whether one reply may hold several calls."""
    max_steps: int = 8
    """The most replies in one turn."""
    sampling: Sampling = Sampling()
    seconds: float | None = None
    """The most seconds in one turn, with its tools; a tool that runs is not stopped."""
    tokens: int | None = None
    """The most tokens read and written in one turn; looked at between replies."""
    strict_context: bool = False
    """Whether a conversation that does not fit is an error; else its oldest turns are left out."""
    keep: results.Keep | None = None
    """Keeps a result that is cut to fit, by the name of its tool, and says where."""
    tools_share: float = 0.4
    """The most of the context that tools take; those least like the request are left out then."""


def turn(
    conversation: Sequence[Message],
    tools: Sequence[Tool],
    engine: Engine,
    approve: Approve,
    rules: Rules = Rules(),
) -> Generator[Event, None, None]:
    """Play one turn: the model speaks and acts until it answers.

    Every message is yielded as it joins the conversation, with pieces of it before, and a Done
    at the end. To cancel, stop consuming. `approve` is asked before each call runs; a tool
    without a function ends the turn, for the caller to run it. A tool whose schema cannot be
    honoured is not offered: the report of `grammar.for_turn` says why.

    Raises:
        UsageError: `rules.choice` names no tool that is offered.
        PromptError: the conversation does not fit the context.
    """
    offered = grammar.for_turn(tools).tools
    _check_choice(rules.choice, offered)
    return _Turn(list(conversation), offered, engine, approve, rules).play()


def act(
    conversation: Sequence[Message],
    tools: Sequence[Tool],
    engine: Engine,
    approve: Approve,
    rules: Rules = Rules(),
) -> Generator[Event, None, None]:
    """Run the calls that a conversation ends with, as `turn` does; the model does not speak."""
    *_, last = conversation
    assert isinstance(last, Calls)
    offered = grammar.for_turn(tools).tools
    reason = yield from _Turn(list(conversation), offered, engine, approve, rules).act(last)
    yield Done(reason or "answer")


def _check_choice(choice: str, offered: Sequence[Tool]) -> None:
    names = [tool.name for tool in offered]
    if choice == "required" and not names:
        raise UsageError("A call is required, but there is no tool to call.")
    if choice not in {"auto", "required", "none", *names}:
        listed = ", ".join(names) or "none"
        raise UsageError(f"There is no tool {choice!r} to choose; the tools are: {listed}.")


@dataclass(slots=True)
class _Turn:
    """A turn that is going on."""

    messages: list[Message]
    tools: Sequence[Tool]
    engine: Engine
    approve: Approve
    rules: Rules
    usage: Usage = Usage()
    faulty: bool = False
    """Whether the last reply had calls that could not be taken."""
    guards: Guards = field(init=False)
    replies: int = 0
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.guards = Guards(self.rules.max_steps, self.rules.seconds, self.rules.tokens)

    def play(self) -> Generator[Event, None, None]:
        reason: Reason | None = None
        while not (reason := reason or self.guards.over(self.spent())):
            for words in self.guards.warnings(self.spent()):
                yield self.joined(System(words))
            reason = yield from self.step("auto" if self.replies else self.rules.choice)
            self.replies += 1
        yield Done(self.out_of_time(reason), self.usage)

    def spent(self) -> Spent:
        """What the turn has taken so far."""
        used = self.usage.prompt_tokens - self.usage.cached_tokens + self.usage.reply_tokens
        return Spent(self.replies, time.monotonic() - self.began, used)

    def out_of_time(self, reason: Reason) -> Reason:
        """The reason, or "time" where a reply was cut for want of it."""
        late = reason == "cut" and self.guards.spent(self.spent()) == "time"
        return "time" if late else reason

    def step(self, choice: str) -> Step:
        """One reply and what it leads to; a reason if the turn is over with it."""
        text, cut = yield from self.speak(choice)
        made_before = sum(len(m.calls) for m in self.messages if isinstance(m, Calls))
        try:
            reply = read(text, first=made_before)
        except ReplyError as error:
            return "cut" if cut else (yield from self.object(text, error))
        yield self.joined(reply)
        if cut:
            return "cut"
        if isinstance(reply, Answer):
            return "answer"
        return (yield from self.act(reply))

    def speak(self, choice: str) -> Generator[Event, None, tuple[str, bool]]:
        """Let the model write one reply; its text, and whether it ran out of room."""
        rules = grammar.for_turn(self.tools, choice, self.rules.parallel).grammar
        reader, end = ReplyReader(), End()
        sampling, strict = self.rules.sampling, self.rules.strict_context
        fitted = room.fit(self.messages, self.tools, self.engine, sampling.max_tokens, strict)
        yield fitted.meter
        written = prompt.render(fitted.messages, self.tools, self.engine.format)
        items = self.engine.generate(written, rules, self.rules.sampling)
        for item in items:
            if not isinstance(item, End) and self.guards.spent(self.spent()) == "time":
                items.close()
                end = End(cut=True)
                break
            match item:
                case str(piece):
                    yield from reader.feed(piece)
                    if "}" in piece and reader.repeats():
                        end = yield from self.stop(items)
                case Prefill() | Note() | Tick():
                    yield item
                case End():
                    end = item
        yield from reader.rest()
        self.usage += end.usage
        return reader.text, end.cut

    def stop(self, items: Generation) -> Generator[Event, None, End]:
        """End a reply whose calls go in circles."""
        yield Note("The model wrote a call once more, word for word; its reply was ended there.")
        end = items.send(True)
        assert isinstance(end, End)
        return end

    def object(self, text: str, error: ReplyError) -> Step:
        """Tell the model that its calls cannot be read."""
        yield self.joined(Answer(text))
        yield self.joined(System(f"{error} Write them again as one JSON array."))
        return self.fault(True)

    def act(self, reply: Calls) -> Step:
        """Run the calls of a reply, in order; what is wrong with one is told to the model."""
        said = tuple((call.name, to_text(call.arguments)) for call in reply.calls)
        if reason := self.guards.calls(said):
            return reason
        offered = {tool.name: tool for tool in self.tools}
        problems = [problem(call, offered) for call in reply.calls]
        if not any(problems) and any(offered[call.name].run is None for call in reply.calls):
            return "calls"
        errors: list[str] = []
        for call, wrong in zip(reply.calls, problems, strict=True):
            if wrong:
                result = Result(call, wrong, ok=False)
            else:
                result = yield from run(offered[call.name], call, self.approve)
            errors += [] if result.ok else [f"{call.name}: {result.output}"]
            yield self.joined(self.within(result))
        return self.fault(any(problems)) or self.guards.errors(errors)

    def within(self, result: Result) -> Result:
        """A result, cut to what the context has room for."""
        return results.fitted(
            result, self.messages, self.tools, self.engine, self.rules.keep or (lambda *_: "")
        )

    def joined(self, message: Message) -> Message:
        self.messages.append(message)
        return message

    def fault(self, faulty: bool) -> Reason | None:
        """Note whether the calls of a reply were faulty; two such replies in a row end the turn."""
        broken = faulty and self.faulty
        self.faulty = faulty
        return "broken" if broken else None


def problem(call: ToolCall, offered: Mapping[str, Tool]) -> str:
    """What is wrong with a call, for the model to read; nothing if it can run."""
    if call.name not in offered:
        return f"There is no tool {call.name!r}; the tools are {', '.join(offered)}."
    found = schema.problems(call.arguments, offered[call.name].parameters)
    return f"The arguments do not fit: {' '.join(found)}" if found else ""


def run(tool: Tool, call: ToolCall, approve: Approve) -> Generator[Tick, None, Result]:
    """Run one call if it is approved. Whatever goes wrong is told to the model."""
    if tool.run is None:
        return Result(call, "Not run, because another call beside it was not valid.", ok=False)
    try:
        decision = approve(tool, call)
        if isinstance(decision, No):
            reason = f" Reason: {decision.reason}" if decision.reason else ""
            return Result(call, f"The user refused this call.{reason}", ok=False, refused=True)
        return Result(call, to_text((yield from watched(partial(tool.run, **call.arguments)))))
    except GeneratorExit:
        if tool.stop is not None:
            tool.stop()
        raise
    except ToolError as error:
        return Result(call, str(error), ok=False)
    except Exception as error:
        log.exception("tool %s failed", tool.name)
        return Result(call, f"{type(error).__name__}: {error}", ok=False)


def watched(function: Callable[[], object]) -> Generator[Tick, None, object]:
    """Run a function beside this thread, so that whoever follows can stop waiting for it."""
    done: Future[object] = Future()

    def work() -> None:
        try:
            done.set_result(function())
        except BaseException as error:
            done.set_exception(error)

    Thread(target=work, name="tool", daemon=True).start()
    while True:
        try:
            return done.result(TICK)
        except TimeoutError:
            if done.done():
                raise
            yield Tick()


def to_text(value: object) -> str:
    """What the model reads of a tool's result: text as it is, all else as JSON."""
    return excerpt.text(value)
