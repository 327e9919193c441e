"""One turn: the model writes replies and calls tools until it answers."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace

from .. import grammar, prompt
from ..errors import InvalidReply, UsageError
from ..open_calls import next_call_number
from ..types import (
    Approve,
    AssistantMessage,
    Done,
    Effect,
    Event,
    FinishReason,
    GenerationEnd,
    Heartbeat,
    Message,
    Notice,
    PrefillProgress,
    Prompt,
    Sampling,
    SystemMessage,
    TokenLogprobs,
    Tool,
    ToolCalls,
    ToolResult,
    Usage,
)
from . import truncation
from .context_window import fit_to_context
from .earlier_results import NOT_COMPLETE, NOT_RUN_AGAIN, REFUSED_BEFORE, EarlierResults, signature
from .engine import Engine, Generation
from .limits import LAST_REPLY_TOKENS, LIMIT_NOTICES, TurnLimits, TurnUsage, last_reply_request
from .reply_parser import ReplyParser
from .tool_call import run_call, validate_call

Step = Generator[Event, None, FinishReason | None]
"""A part of a turn; it returns a finish reason if the turn is over."""


@dataclass(frozen=True, slots=True)
class TurnOptions:
    """Settings of a turn."""

    tool_choice: str = "auto"
    """For the first reply: auto, required (a call), none (text), or the name of a tool to call.
    After the first results it is auto; a correction of invalid calls has the same choice."""
    parallel_tool_calls: bool = True
    """Whether one reply may hold several calls."""
    max_steps: int = 8
    """The maximum number of replies in one turn."""
    sampling: Sampling = Sampling()
    timeout: float | None = None
    """Seconds that a turn may take, tools included; a running tool is not stopped."""
    token_budget: int | None = None
    """Tokens that a turn may read and write; checked between replies."""
    strict_context: bool = False
    """Whether a conversation that does not fit the context is an error; otherwise its oldest
    turns are dropped."""
    save_full_result: truncation.SaveFullResult | None = None
    """Saves the full text of a result that is truncated, and returns the place for the note."""
    tools_share: float = 0.4
    """The share of the context that tools may take; those least like the request are dropped."""


def turn(
    conversation: Sequence[Message],
    tools: Sequence[Tool],
    engine: Engine,
    approve: Approve,
    options: TurnOptions = TurnOptions(),
) -> Generator[Event, None, Done]:
    """Play one turn after `conversation`: yield its events, Done last, and return the Done event.

    Each message is yielded when it joins the conversation, after the deltas of its text.
    `approve` is called before each call runs. A call to a tool without a function ends the turn:
    the caller runs it. Tools whose schema cannot be enforced are not offered; the report of
    `grammar.compile_tools` has the reasons. Close the generator to cancel the turn.

    Raises:
        UsageError: `options.tool_choice` names no tool that is offered.
        PromptError: the conversation does not fit the context.
    """
    offered = grammar.compile_tools(tools).tools
    _check_tool_choice(options.tool_choice, offered)
    return _Turn(list(conversation), offered, engine, approve, options).play()


def run_pending_calls(
    conversation: Sequence[Message],
    tools: Sequence[Tool],
    engine: Engine,
    approve: Approve,
    options: TurnOptions = TurnOptions(),
) -> Generator[Event, None, Done]:
    """Run the calls that a conversation ends with, as `turn` does, without a reply after them."""
    *_, last = conversation
    assert isinstance(last, ToolCalls)
    offered = grammar.compile_tools(tools).tools
    reason = yield from _Turn(list(conversation), offered, engine, approve, options).run_calls(last)
    done = Done(reason or "stop")
    yield done
    return done


def _check_tool_choice(choice: str, offered: Sequence[Tool]) -> None:
    names = [tool.name for tool in offered]
    if choice == "required" and not names:
        raise UsageError("tool_choice is `required`, but no tool is offered.")
    if choice not in {"auto", "required", "none", *names}:
        listed = ", ".join(names) or "none"
        raise UsageError(f"tool_choice: there is no tool {choice!r}. The tools are: {listed}.")


@dataclass(slots=True)
class _Turn:
    """The state of a turn."""

    messages: list[Message]
    tools: Sequence[Tool]
    engine: Engine
    approve: Approve
    options: TurnOptions
    usage: Usage = Usage()
    last_reply_invalid: bool = False
    """Whether the last reply had invalid calls."""
    limits: TurnLimits = field(init=False)
    at_limit: bool = False
    """Whether a limit was reached, after which the model answers once more."""
    results: EarlierResults = field(default_factory=EarlierResults)
    replies: int = 0
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.limits = TurnLimits(
            self.options.max_steps, self.options.timeout, self.options.token_budget
        )

    def play(self) -> Generator[Event, None, Done]:
        """Let the model reply until the turn is over."""
        reason: FinishReason | None = None
        while not (reason := reason or self.limits.reached(self.turn_usage())):
            for warning in self.limits.warnings(self.turn_usage()):
                yield self.append(SystemMessage(warning))
            first = not self.replies or self.last_reply_invalid
            reason = yield from self.step(self.options.tool_choice if first else "auto")
            self.replies += 1
        answered = False
        if reason in LIMIT_NOTICES and not (reason == "length" and self.is_truncated_answer()):
            answered = yield from self.last_reply(reason)
        done = Done(self.timeout_or(reason), self.usage, answered)
        yield done
        return done

    def last_reply(self, reason: FinishReason) -> Generator[Event, None, bool]:
        """Let the model answer once, without calls, after a limit; return whether it did."""
        self.at_limit = True
        yield Notice(f"{LIMIT_NOTICES[reason]} The model answers without further tool calls.")
        yield self.append(SystemMessage(last_reply_request(self.messages)))
        yield from self.step("none")
        last = self.messages[-1]
        return isinstance(last, AssistantMessage) and bool(last.text)

    def is_truncated_answer(self) -> bool:
        """Return whether the truncated reply is an answer, or the turn has no earlier results."""
        return self.replies < 2 or isinstance(self.messages[-1], AssistantMessage)

    def turn_usage(self) -> TurnUsage:
        """Return what the turn has used so far."""
        tokens = self.usage.prompt_tokens - self.usage.cached_tokens + self.usage.reply_tokens
        return TurnUsage(self.replies, time.monotonic() - self.started, tokens)

    def timed_out(self) -> bool:
        """Return whether the time of the turn is up."""
        return not self.at_limit and self.limits.exhausted(self.turn_usage()) == "timeout"

    def timeout_or(self, reason: FinishReason) -> FinishReason:
        """Return the reason, or "timeout" if the reply was truncated because time was up."""
        return "timeout" if reason == "length" and self.timed_out() else reason

    def step(self, tool_choice: str) -> Step:
        """Generate one reply and run its calls."""
        parser, truncated = yield from self.generate_reply(tool_choice)
        try:
            reply = parser.reply(first_id=next_call_number(self.messages))
        except InvalidReply as error:
            if truncated:
                return "length"
            return (yield from self.report_invalid_calls(parser.text, error))
        yield self.append(reply)
        if truncated:
            if isinstance(reply, ToolCalls) and self.replies:
                yield from self.skip_calls(reply, NOT_COMPLETE)
            return "length"
        if isinstance(reply, AssistantMessage):
            return "stop"
        return (yield from self.run_calls(reply))

    def generate_reply(self, tool_choice: str) -> Generator[Event, None, tuple[ReplyParser, bool]]:
        """Generate one reply; return its parser and whether it was truncated."""
        options, sampling = self.options, self.options.sampling
        if self.at_limit:
            sampling = replace(sampling, max_tokens=min(sampling.max_tokens, LAST_REPLY_TOKENS))
        compiled = grammar.compile_tools(self.tools, tool_choice, options.parallel_tool_calls)
        if compiled.tools and compiled.text_or_calls is None:
            sampling = replace(sampling, stop=())  # They end answers, and this reply is a call.
        fitted = fit_to_context(
            self.messages,
            self.tools,
            self.engine,
            sampling.max_tokens,
            options.strict_context,
        )
        yield fitted.usage
        rendered = prompt.render(fitted.messages, self.tools, self.engine.prompt_format)
        parser, end = self.reply_parser(compiled, rendered), GenerationEnd()
        enforced = grammar.for_last_answer() if self.at_limit else compiled.enforced
        items = self.engine.generate(rendered, enforced, sampling)
        for item in items:
            if not isinstance(item, GenerationEnd) and self.timed_out():
                items.close()
                end = GenerationEnd(truncated=True)
                break
            match item:
                case str(text):
                    yield from parser.feed(text)
                    if "}" in text and parser.drop_repeated_call():
                        end = yield from self.stop_repetition(items)
                case TokenLogprobs(tokens):
                    parser.add_logprobs(tokens)
                case PrefillProgress() | Notice() | Heartbeat():
                    yield item
                case GenerationEnd():
                    end = item
        yield from parser.flush()
        self.usage += end.usage
        return parser, end.truncated

    def reply_parser(self, compiled: grammar.CompiledTools, rendered: Prompt) -> ReplyParser:
        """Return a parser of what the grammar of this reply allows."""
        in_reasoning = grammar.ends_in_reasoning(rendered[-1].text if rendered else "")
        schemas = {tool.name: tool.parameters for tool in compiled.tools}
        return ReplyParser(list(schemas), in_reasoning, schemas)

    def stop_repetition(self, items: Generation) -> Generator[Event, None, GenerationEnd]:
        """End a reply in which the model repeats its own calls."""
        yield Notice("The model repeated an identical call; the reply was stopped there.")
        end = items.send(True)
        assert isinstance(end, GenerationEnd)
        return end

    def report_invalid_calls(self, text: str, error: InvalidReply) -> Step:
        """Tell the model that its calls cannot be parsed."""
        yield self.append(AssistantMessage(text))
        yield self.append(SystemMessage(f"{error} Write them again as one JSON array."))
        return self.note_invalid(True)

    def run_calls(self, reply: ToolCalls) -> Step:
        """Run the calls of a reply in order; invalid ones get an error as their result."""
        offered = {tool.name: tool for tool in self.tools}
        read_only = all(_reads(offered.get(call.name)) for call in reply.calls)
        repeated = self.limits.note_calls(tuple(map(signature, reply.calls)), read_only)
        refused = all(map(self.results.was_refused, reply.calls))
        if repeated or refused:
            yield from self.skip_calls(reply, REFUSED_BEFORE if refused else NOT_RUN_AGAIN)
            return "loop"
        problems = [validate_call(call, offered) for call in reply.calls]
        if not any(problems) and any(offered[call.name].run is None for call in reply.calls):
            return "tool_calls"
        errors: list[str] = []
        for call, problem in zip(reply.calls, problems, strict=True):
            if problem:
                result = ToolResult(call, problem, ok=False)
            elif earlier := self.results.repeat(call):
                result = earlier
            else:
                result = yield from run_call(offered[call.name], call, self.approve)
                self.note_result(offered[call.name], result)
            errors += [] if result.ok else [f"{call.name}: {result.output}"]
            yield self.append(self.fit_result(result))
        return self.note_invalid(any(problems)) or self.limits.note_errors(errors)

    def skip_calls(self, reply: ToolCalls, output: str) -> Generator[Event, None, None]:
        """Give all calls of a reply, which do not run, the same result."""
        for call in reply.calls:
            yield self.append(ToolResult(call, output, ok=False, skipped=True))

    def note_result(self, tool: Tool, result: ToolResult) -> None:
        """Note a result; one that changes something outdates those of earlier calls."""
        if not _reads(tool) and not result.refused:
            self.results.clear()
            self.limits.note_change()
        self.results.note(result)

    def fit_result(self, result: ToolResult) -> ToolResult:
        """Return a result, truncated to its share of the context."""
        return truncation.truncate_result(
            result, self.messages, self.tools, self.engine, self.options.save_full_result
        )

    def append(self, message: Message) -> Message:
        """Add a message to the conversation, and return it."""
        self.messages.append(message)
        return message

    def note_invalid(self, invalid: bool) -> FinishReason | None:
        """Note whether a reply had invalid calls; two such replies in a row end the turn."""
        again = invalid and self.last_reply_invalid
        self.last_reply_invalid = invalid
        return "invalid_tool_calls" if again else None


def _reads(tool: Tool | None) -> bool:
    """Return whether a tool only reads; a tool that is not offered does nothing."""
    return tool is None or tool.effect is Effect.READ
