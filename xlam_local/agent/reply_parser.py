"""Parse a reply, as it is written, into text and tool calls."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidReply
from ..grammar import CALL_END_TAGS, CALL_TAGS, CallDetector
from ..types import (
    AssistantMessage,
    Reply,
    Schema,
    TextDelta,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    ToolCalls,
)
from .json_values import INVALID, Invalid, decode, decode_at, problem_at
from .named_calls import Call, read_named_call

Json = Any

_WRAPPER_KEYS = ("tool_calls", "function_calls", "calls")
_FUNCTION_KEYS = ("function", "function_call", "tool_call")
_NAME_KEYS = ("name", "function", "tool", "tool_name", "action")
_ARGUMENT_KEYS = ("arguments", "parameters", "args", "input", "tool_input", "action_input")
_END_TAGS = "|".join(map(re.escape, CALL_END_TAGS))
_BEGIN_TAGS = "|".join(map(re.escape, CALL_TAGS))
_MARKUP = re.compile(rf"(?:{_BEGIN_TAGS}|{_END_TAGS}|```[\w-]*|[\s;,\[\]}}])*")
"""What models write before and between calls."""
_END_MARKUP = re.compile(
    rf"(?:(?:{_BEGIN_TAGS})\s*(?:{_END_TAGS})|{_END_TAGS}|```(?![\w-])|[\s;,\]}}])*"
)
"""What models write after the last call, also tags with nothing between them."""
_MAX_QUOTED_CHARS = 200
"""Characters of an invalid reply that the error message quotes."""


class ReplyParser:
    """An incremental parser: text is passed on immediately, except what may become a call.

    `tools` are the names of the tools that this reply may call; without any, all is text.
    `in_reasoning` says that the reply begins inside reasoning, because the prompt opened it.
    `schemas` are those of the tools, by which values without a type are read.
    """

    def __init__(
        self,
        tools: Collection[str] = (),
        in_reasoning: bool = False,
        schemas: Mapping[str, Schema] | None = None,
    ) -> None:
        self._tools = tools
        self._schemas = schemas or {}
        self._detector = CallDetector(tools, in_reasoning)
        self._calls = ""
        """The text from the beginning of the calls on."""
        self._logprobs: tuple[TokenLogprob, ...] = ()
        """The tokens of text that was not passed on yet."""

    @property
    def text(self) -> str:
        """The reply so far."""
        return self._detector.text[: self._detector.opening] + self._calls

    def add_logprobs(self, tokens: Sequence[TokenLogprob]) -> None:
        """Add the tokens of the next text; they are yielded with it."""
        self._logprobs += tuple(tokens)

    def feed(self, delta: str) -> Iterator[TextDelta | ToolCallDelta]:
        """Add text to the reply; yield the text and the JSON of calls that are certain."""
        if self._detector.opening is None:
            if text := self._detector.feed(delta):
                yield TextDelta(text, self._take_logprobs())
            if self._detector.opening is None:
                return
            delta = self._detector.text[self._detector.opening :]
        self._calls += delta
        yield ToolCallDelta(delta, self._take_logprobs())

    def flush(self) -> Iterator[TextDelta | ToolCallDelta]:
        """Yield the text that was held back and did not become a call."""
        if self._detector.opening is None:
            is_call = self._has_incomplete_call()
            if text := self._detector.flush():
                kind = ToolCallDelta if is_call else TextDelta
                yield kind(text, self._take_logprobs())

    def _take_logprobs(self) -> tuple[TokenLogprob, ...]:
        tokens, self._logprobs = self._logprobs, ()
        return tokens

    def _has_incomplete_call(self) -> bool:
        return '"name"' in self._detector.undecided

    def _values(self) -> Iterator[_Value]:
        """Yield the calls at the beginning of the text of calls, with any markup between them.

        An array is entered, so that each of its values is yielded, also if it is not complete.
        """
        text = self._calls
        position = first = _skip(_MARKUP, text, 0)
        while True:
            text_beside = ""
            if text[position : position + 1] == "{":
                value, end = decode_at(text, position)
                calls = _calls_in(value) if value is not INVALID else []
                calls = calls or [Invalid(problem_at(text, position))]
                text_beside = _text_beside(value)
                if NO_CALL in calls and position > first:
                    return  # Any other object is text after the calls.
            elif found := read_named_call(text, position, self._tools, self._schemas):
                calls, end = [found[0]], found[1]
            else:
                return
            yield _Value(position, end, calls, text_beside)
            position = _skip(_MARKUP, text, end)

    def drop_repeated_call(self) -> bool:
        """Remove the last complete call if it repeats an earlier one; return whether it did."""
        values = [value for value in self._values() if not any(map(_is_invalid, value.calls))]
        if not values or values[-1].calls not in [value.calls for value in values[:-1]]:
            return False
        self._calls = self._calls[: values[-1].start].rstrip(", ")
        return True

    def reply(self, first_id: int = 0) -> Reply:
        """Return the complete reply; call ids are numbered from `first_id`.

        Calls may be an array, as xLAM writes them, one object or several in a row, in code fences,
        tags and OpenAI's wrappers, with text before and after them.

        Raises:
            InvalidReply: calls begin that cannot be parsed.
        """
        if self._has_incomplete_call():
            raise InvalidReply(f"The model's tool call is incomplete: {_quoted(self.text)}")
        if self._detector.opening is None:
            return AssistantMessage(self._detector.text.strip())
        values = list(self._values())
        pairs = [pair for value in values for pair in value.calls]
        calls: list[ToolCall] = []
        for number, pair in enumerate(pairs or [NO_CALL]):
            if isinstance(pair, Invalid):
                raise InvalidReply(
                    f"The model's tool calls cannot be parsed (call {number + 1}, {pair.reason}): "
                    f"{_quoted(self._calls)}"
                )
            calls.append(ToolCall(f"call_{first_id + number}", *pair))
        before = self._detector.text[: self._detector.opening].strip()
        after = self._calls[_skip(_END_MARKUP, self._calls, values[-1].end) :].strip()
        texts = (before, *(value.text for value in values), after)
        return ToolCalls(tuple(calls), "\n".join(filter(None, texts)))


@dataclass(frozen=True, slots=True)
class _Value:
    """A JSON value in a text, and the calls in it."""

    start: int
    end: int
    calls: list[Call | Invalid]
    text: str = ""
    """The text beside a list of calls."""


NO_CALL = Invalid("it is not a call")


def _is_invalid(call: Call | Invalid) -> bool:
    return isinstance(call, Invalid)


def _skip(markup: re.Pattern[str], text: str, position: int) -> int:
    """Return the position after any markup."""
    found = markup.match(text, position)
    assert found is not None
    return found.end()


def _calls_in(value: Json) -> list[Call | Invalid]:
    """Return the calls that a JSON value describes, in any of the known forms."""
    if not isinstance(value, Mapping):
        return [NO_CALL]
    for key in _WRAPPER_KEYS:
        if isinstance(value.get(key), list):
            return [call for item in value[key] for call in _calls_in(item)]
    for key in _FUNCTION_KEYS:
        if isinstance(value.get(key), Mapping):
            return _calls_in(value[key])
    return [_call(value)]


def _text_beside(value: Json) -> str:
    """Return the text that a message in OpenAI's format has beside its calls."""
    if not isinstance(value, Mapping) or not any(key in value for key in _WRAPPER_KEYS):
        return ""
    text = value.get("content")
    return text.strip() if isinstance(text, str) else ""


def _call(value: Mapping[str, Json]) -> Call | Invalid:
    name = next((value[key] for key in _NAME_KEYS if isinstance(value.get(key), str)), None)
    if name is None:
        return NO_CALL
    key = next((key for key in _ARGUMENT_KEYS if key in value), None)
    if key is None:
        return Invalid(f"{_quoted(name)!r}: it has no arguments")
    arguments = text = value[key]
    if isinstance(text, str) and text.strip():
        arguments = decode(text)
        if arguments is INVALID:
            return Invalid(f"/{key}: {problem_at(text.strip())}")
    if not isinstance(arguments or {}, Mapping):
        return Invalid(f"/{key}: it is not an object")
    if key == "parameters" and _is_schema(arguments, "description" in value):
        return Invalid(f"{_quoted(name)!r}: it is the definition of a tool")
    return name, arguments or {}


def _is_schema(parameters: Json, described: bool) -> bool:
    """Return whether the parameters of a tool are its schema; `described` says what is beside."""
    if not isinstance(parameters, Mapping) or parameters.get("type") != "object":
        return False
    return described or isinstance(parameters.get("properties"), Mapping)


def _quoted(text: str) -> str:
    return text if len(text) <= _MAX_QUOTED_CHARS else f"{text[:_MAX_QUOTED_CHARS]}…"
