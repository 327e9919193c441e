"""From what the model writes to an answer or calls, piece by piece."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import ReplyError
from .types import Answer, CallDelta, Calls, Delta, Reply, ToolCall

DEEPEST = 100
"""Levels of what a model writes as JSON."""
_KEYS = ("name", "arguments", "parameters")
_FENCE = r"```\w*\s*|<tool_call>\s*"
_OPENING = re.compile(rf'(?:{_FENCE})?(?:\[\s*)?\{{\s*"(?:{"|".join(_KEYS)})"\s*:')
"""Where the JSON of calls begins, with the fence before it."""
_OBJECT = re.compile(rf'(?:\[\s*)?\{{\s*"(?:{"|".join(_KEYS)})"\s*:')
_MEANT = re.compile(r'\A\s*\[\s*\{\s*"name"\s*:|\{\s*"name"\s*:\s*"[^"]*"\s*,\s*"arguments"\s*:')
"""What nobody writes who does not mean a call."""
_MARKUP = re.compile(r"```\w*|</?tool_call>")


def _beginnings(word: str) -> str:
    """A pattern for every beginning of `word`, the empty one and the whole included."""
    pattern = ""
    for letter in reversed(word):
        pattern = f"(?:{re.escape(letter)}{pattern})?"
    return pattern


_KEY = "|".join(rf'{_beginnings(key)}|{key}"\s*' for key in _KEYS)
_JSON = rf'(?:\[\s*)?(?:\{{\s*(?:"(?:{_KEY}))?)?'
_UNSURE = re.compile(rf"(?:(?:{_FENCE})?{_JSON}|`{{1,2}}|{_beginnings('<tool_call>')})\Z")
"""An end of the text that may turn out to be the beginning of calls."""


class ReplyReader:
    """Reads a reply piece by piece: words go through at once, calls are told apart."""

    def __init__(self) -> None:
        self.text = ""
        """All that was read."""
        self._shown = 0
        self._calling = False

    def feed(self, piece: str) -> Iterator[Delta | CallDelta]:
        """Take the next piece; give what is sure to be words, or part of a call."""
        self.text += piece
        if not self._calling:
            begun = _OPENING.search(self.text, self._shown)
            self._calling = begun is not None
            sure = begun.start() if begun else _unsure(self.text, self._shown)
            if sure > self._shown:
                yield Delta(self.text[self._shown : sure])
                self._shown = sure
        if self._calling and len(self.text) > self._shown:
            yield CallDelta(self.text[self._shown :])
            self._shown = len(self.text)

    def repeats(self) -> bool:
        """Whether the last call that is whole is one made before; it is forgotten then."""
        values = [value for value in _values(self.text) if value.calls]
        if not values or values[-1].calls not in [value.calls for value in values[:-1]]:
            return False
        self.text = self.text[: values[-1].start].rstrip(", ")
        return True

    def rest(self) -> Iterator[Delta]:
        """What was held back and turned out to be words."""
        if not self._calling and len(self.text) > self._shown:
            yield Delta(self.text[self._shown :])
            self._shown = len(self.text)


def read(text: str, first: int = 0) -> Reply:
    """A whole text as an answer or calls; the calls' ids are numbered from `first`.

    Takes xLAM's array, a single call, several in a row, calls in fences and after words.

    Raises:
        ReplyError: the model began a call and did not write it to the end.
    """
    values = list(_values(text))
    if any(_MEANT.search(part) for part in _outside(text, values)):
        raise ReplyError(f"The model wrote calls that cannot be read: {_short(text)}")
    holding = [value for value in values if value.calls]
    if not holding:
        return Answer(text.strip())
    named = [call for value in holding for call in value.calls]
    calls = (ToolCall(f"call_{first + number}", *call) for number, call in enumerate(named))
    return Calls(tuple(calls), _words(_outside(text, holding)))


@dataclass(frozen=True, slots=True)
class _Value:
    """A JSON value in a text, with the calls in it: none where it is something else."""

    start: int
    end: int
    calls: Sequence[tuple[str, Mapping[str, Any]]]


def _values(text: str) -> Iterator[_Value]:
    at = 0
    while begun := _OBJECT.search(text, at):
        start = begun.start()
        try:
            value, end = json.JSONDecoder().raw_decode(text, start)
        except (ValueError, RecursionError):
            at = start + 1
            continue
        if deep(value):
            at = start + 1
            continue
        at = end
        read = [_call(item) for item in (value if isinstance(value, list) else [value])]
        yield _Value(start, at, [call for call in read if call] if None not in read else [])


def _outside(text: str, values: Sequence[_Value]) -> Sequence[str]:
    """What stands before, between and after `values`."""
    ends = [0, *(value.end for value in values)]
    starts = [*(value.start for value in values), len(text)]
    return [text[end:start] for end, start in zip(ends, starts, strict=True)]


def _unsure(text: str, start: int) -> int:
    """Where the end of `text` begins that may still become a call; its length if nowhere."""
    found = _UNSURE.search(text, start)
    return found.start() if found else len(text)


def _call(item: Any) -> tuple[str, Mapping[str, Any]] | None:
    if not isinstance(item, Mapping) or not isinstance(item.get("name"), str):
        return None
    arguments = item.get("arguments", item.get("parameters"))
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return None
        if deep(arguments):
            return None
    return (item["name"], arguments) if isinstance(arguments, Mapping) else None


def deep(value: object) -> bool:
    """Whether a value is nested so deeply that not every part of the program could take it."""
    level: list[object] = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for one in level
            if isinstance(one, Mapping | list)
            for inner in (one.values() if isinstance(one, Mapping) else one)
        ]
    return bool(level)


def _words(beside: Sequence[str]) -> str:
    """The text beside calls, without the markup and separators that only held them."""
    kept = (_MARKUP.sub("", part).strip(" \n\t\r;,[]") for part in beside)
    return "\n".join(part for part in kept if part)


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"
