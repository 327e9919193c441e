"""Generate the replies to a request: one turn each, without running a tool."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from .. import gbnf, schema, user_file
from ..agent import Engine, TurnOptions, turn
from ..agent.grammar_answer import answer_within_grammar
from ..errors import FINISH_ERRORS, InvalidReply, UsageError
from ..grammar import compile_schema, compile_tools
from ..types import (
    AssistantMessage,
    Deny,
    Done,
    Event,
    GenerationEnd,
    Heartbeat,
    Message,
    PrefillProgress,
    Sampling,
    SystemMessage,
    TextDelta,
    TokenLogprob,
    TokenLogprobs,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolCalls,
    ToolResult,
)
from .call_stream import CallStream
from .reply_events import ChoiceEvent, ReplyEnd, ReplyEvent

ID_BYTES = 12
"""Random bytes of the id of a call, which is unique in any conversation."""


def new_call_id() -> str:
    """Return an id for a call."""
    return f"call_{secrets.token_hex(ID_BYTES)}"


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """What the text of a reply has to match."""

    grammar: gbnf.Grammar
    schema: Mapping[str, Any] | bool | None = None
    """The JSON Schema of the text; None if it is not JSON."""
    checked: bool = False
    """Whether the schema has keywords that the grammar does not enforce."""


def json_output(wanted: Mapping[str, Any] | bool) -> OutputFormat:
    """Return the format of a JSON value that is valid under a schema.

    Raises:
        SchemaError: the schema cannot be enforced.
    """
    grammar, report = compile_schema(wanted)
    return OutputFormat(grammar, wanted, any(entry.status == "checked" for entry in report))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyRequest:
    """What a client asks for, in any wire format."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    parallel_tool_calls: bool = True
    sampling: Sampling = Sampling()
    choices: int = 1
    """How many replies to generate."""
    output: OutputFormat | None = None
    stream: bool = False
    """Whether the client reads the reply as it is written."""


ReplyItem = ChoiceEvent | Heartbeat


def replies(
    request: ReplyRequest, engine: Engine, new_id: Callable[[], str] = new_call_id
) -> Generator[ReplyItem, None, None]:
    """Generate the replies one after the other. To cancel, close the generator.

    Raises:
        ContextExceeded: the conversation does not fit the context.
        InvalidReply: the calls or the JSON are still invalid after one correction.
    """
    report = compile_tools(request.tools, request.tool_choice, request.parallel_tool_calls).report
    exact = all(entry.status != "checked" for entry in report)
    live = request.stream and exact
    for choice in range(request.choices):
        sampling = replace(request.sampling, seed=request.sampling.seed + choice)
        reader = ReplyReader(new_id, live)
        with closing(_events(replace(request, sampling=sampling), engine)) as events:
            for event in events:
                if isinstance(event, Heartbeat | PrefillProgress):
                    yield Heartbeat()
                for found in reader.feed(event):
                    yield ChoiceEvent(choice, found)


def _events(request: ReplyRequest, engine: Engine) -> Generator[Event, None, object]:
    """Return the events of the turn that answers a request."""
    if request.output is None:
        return _turn(request, engine)
    if not request.tools or request.tool_choice == "none":
        return answer_in_format(request, engine, request.output)
    return _calls_or_format(request, engine, request.output)


def _turn(request: ReplyRequest, engine: Engine) -> Generator[Event, None, object]:
    options = TurnOptions(
        tool_choice=request.tool_choice,
        parallel_tool_calls=request.parallel_tool_calls,
        sampling=request.sampling,
        strict_context=True,
    )
    return turn(request.messages, request.tools, engine, lambda _tool, _call: Deny(), options)


def _calls_or_format(
    request: ReplyRequest, engine: Engine, output: OutputFormat
) -> Generator[Event, None, None]:
    """Let the model call tools; if it writes text instead, let it answer in the format."""
    with closing(_turn(request, engine)) as events:
        for event in events:
            if isinstance(event, TextDelta | AssistantMessage):
                break
            yield event
        else:
            return
    yield from answer_in_format(request, engine, output)


def answer_in_format(
    request: ReplyRequest, engine: Engine, output: OutputFormat
) -> Generator[Event, None, None]:
    """Answer in a format; an invalid answer is reported to the model once."""
    messages = list(request.messages)
    for attempt in range(2):
        answer = answer_within_grammar(
            messages, request.tools, engine, output.grammar, request.sampling
        )
        problems: Sequence[str] = ()
        logprobs: tuple[TokenLogprob, ...] = ()
        for event in answer:
            if isinstance(event, TextDelta) and output.checked:
                logprobs += event.logprobs
                continue
            if isinstance(event, Done) and output.checked:
                text = _text(messages[-1])
                problems = _problems(text, output, event)
                if problems and attempt:
                    raise InvalidReply(f"The model's JSON is invalid: {' '.join(problems)}")
                if problems:
                    break
                yield TextDelta(text, logprobs)
            yield event
        if not problems:
            return
        reason = f"The JSON is invalid: {' '.join(problems)} Write it again."
        messages.append(SystemMessage(reason))


def _text(answer: Message) -> str:
    assert isinstance(answer, AssistantMessage)
    return answer.text


def _problems(text: str, output: OutputFormat, done: Done) -> Sequence[str]:
    """Return what is wrong with an answer that is complete."""
    if done.finish_reason == "length" or output.schema is None:
        return ()
    try:
        value = user_file.parse_json(text, "The answer")
    except UsageError as error:
        return [str(error)]
    return schema.validate(value, output.schema)


class ReplyReader:
    """Reads the events of a turn as the events of one reply.

    With `live`, calls are passed on as they are written: the grammar enforces all keywords of the
    tools. Otherwise they are passed on when the turn has found them valid.
    """

    def __init__(self, new_id: Callable[[], str] = new_call_id, live: bool = True) -> None:
        self._live = live
        self._stream = CallStream(new_id)
        self._text = ""
        """The text that has been passed on."""
        self._logprobs: tuple[TokenLogprob, ...] = ()
        """The tokens that have been passed on."""
        self._held_logprobs: tuple[TokenLogprob, ...] = ()
        """The tokens of calls that have not been passed on."""
        self._calls: tuple[ToolCall, ...] = ()

    def feed(self, event: Event | GenerationEnd) -> Iterator[ReplyEvent]:
        """Yield what an event of the turn means for the client."""
        match event:
            case TextDelta(text, logprobs):
                self._text += text
                self._logprobs += logprobs
                yield event
            case ToolCallDelta(text, logprobs):
                self._held_logprobs += logprobs
                if self._live:
                    yield from self._pass_logprobs()
                    yield from self._stream.feed(text)
            case ToolCalls(calls):
                self._calls = calls
            case ToolResult() | SystemMessage():
                self._correct()
            case Done():
                yield from self._end(event)

    def _correct(self) -> None:
        """Prepare for the model's second attempt."""
        if self._stream.ids:
            raise InvalidReply("The model's tool calls are invalid after they were sent.")
        self._calls, self._held_logprobs = (), ()

    def _pass_logprobs(self) -> Iterator[TokenLogprobs]:
        if tokens := self._held_logprobs:
            self._logprobs += tokens
            self._held_logprobs = ()
            yield TokenLogprobs(tokens)

    def _end(self, done: Done) -> Iterator[ReplyEvent]:
        reason = done.finish_reason
        if reason not in ("stop", "length", "tool_calls"):
            kind, message = FINISH_ERRORS[reason]
            raise kind(message)
        yield from self._pass_logprobs()
        yield from self._stream.rest(self._calls)
        ids = self._stream.ids
        calls = tuple(
            replace(call, id=call_id) for call, call_id in zip(self._calls, ids, strict=False)
        )
        yield ReplyEnd(reason, self._text, calls, done.usage, self._logprobs)
