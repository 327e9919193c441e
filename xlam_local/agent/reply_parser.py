"""Parse a reply, as it is written, into text and tool calls."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidReply
from ..grammar import CALL_END_TAGS, CALL_TAGS, CallDetector
from ..json_depth import exceeds_depth
from ..types import (
    AssistantMessage,
    Reply,
    TextDelta,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    ToolCalls,
)

Json = Any
Call = tuple[str, Mapping[str, Json]]

_WRAPPER_KEYS = ("tool_calls", "function_calls", "calls")
_FUNCTION_KEYS = ("function", "function_call", "tool_call")
_NAME_KEYS = ("name", "function", "tool", "tool_name", "action")
_ARGUMENT_KEYS = ("arguments", "parameters", "args", "input", "tool_input", "action_input")
_END_TAGS = "|".join(map(re.escape, CALL_END_TAGS))
_MARKUP = re.compile(
    rf"(?:{'|'.join(map(re.escape, CALL_TAGS))}|{_END_TAGS}|```[\w-]*|[\s;,\[\]}}])*"
)
"""What models write before and between calls."""
_END_MARKUP = re.compile(rf"(?:{_END_TAGS}|```(?![\w-])|[\s;,\]}}])*")
"""What models write after the last call."""
_MAX_QUOTED_CHARS = 200
"""Characters of an invalid reply that the error message quotes."""


class ReplyParser:
    """An incremental parser: text is passed on immediately, except what may become a call.

    `tools` are the names of the tools that this reply may call; without any, all is text.
    `in_reasoning` says that the reply begins inside reasoning, because the prompt opened it.
    """

    def __init__(self, tools: Collection[str] = (), in_reasoning: bool = False) -> None:
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

    def drop_repeated_call(self) -> bool:
        """Remove the last complete call if it repeats an earlier one; return whether it did."""
        values = [value for value in _values(self._calls) if None not in value.calls]
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
        values = list(_values(self._calls))
        pairs = [pair for value in values for pair in value.calls]
        if not pairs or None in pairs:
            raise InvalidReply(f"The model's tool calls cannot be parsed: {_quoted(self._calls)}")
        calls = (
            ToolCall(f"call_{first_id + number}", *pair)
            for number, pair in enumerate(pairs)
            if pair
        )
        before = self._detector.text[: self._detector.opening].strip()
        after = self._calls[_skip(_END_MARKUP, self._calls, values[-1].end) :].strip()
        return ToolCalls(tuple(calls), "\n".join(text for text in (before, after) if text))


@dataclass(frozen=True, slots=True)
class _Value:
    """A JSON value in a text, and the calls in it."""

    start: int
    end: int
    calls: list[Call | None]
    """None stands for JSON that is not a call or cannot be decoded."""


def _values(text: str) -> Iterator[_Value]:
    """Yield the JSON values at the beginning of a text, with any markup between them.

    An array is entered, so that each of its values is yielded, also if it is not complete.
    """
    position = first = _skip(_MARKUP, text, 0)
    while text[position : position + 1] == "{":
        try:
            value, end = json.JSONDecoder().raw_decode(text, position)
        except (ValueError, RecursionError):
            yield _Value(position, len(text), [None])
            return
        calls = _calls_in(None if exceeds_depth(value) else value)
        if None in calls and position > first:
            return  # Any other object is text after the calls.
        yield _Value(position, end, calls)
        position = _skip(_MARKUP, text, end)


def _skip(markup: re.Pattern[str], text: str, position: int) -> int:
    """Return the position after any markup."""
    found = markup.match(text, position)
    assert found is not None
    return found.end()


def _calls_in(value: Json) -> list[Call | None]:
    """Return the calls that a JSON value describes, in any of the known forms."""
    if not isinstance(value, Mapping):
        return [None]
    for key in _WRAPPER_KEYS:
        if isinstance(value.get(key), list):
            return [call for item in value[key] for call in _calls_in(item)]
    for key in _FUNCTION_KEYS:
        if isinstance(value.get(key), Mapping):
            return _calls_in(value[key])
    return [_call(value)]


def _call(value: Mapping[str, Json]) -> Call | None:
    name = next((value[key] for key in _NAME_KEYS if isinstance(value.get(key), str)), None)
    arguments = next((value[key] for key in _ARGUMENT_KEYS if key in value), None)
    if isinstance(arguments, str) and arguments.strip():
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return None
        if exceeds_depth(arguments):
            return None
    if name is None or not isinstance(arguments or {}, Mapping):
        return None
    return name, arguments or {}


def _quoted(text: str) -> str:
    return text if len(text) <= _MAX_QUOTED_CHARS else f"{text[:_MAX_QUOTED_CHARS]}…"
