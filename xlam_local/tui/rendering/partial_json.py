"""Parse tool calls whose JSON is still being written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CLOSING_BRACKETS = {"{": "}", "[": "]"}
MAX_CUTS = 3
"""How many earlier positions are tried if the whole text cannot be completed."""


@dataclass(frozen=True, slots=True)
class PartialCall:
    """A tool call with the arguments that are written so far."""

    name: str
    arguments: Mapping[str, Any]


def parse_partial_calls(text: str) -> list[PartialCall]:
    """Return the calls in the beginning of a JSON array, which may end anywhere."""
    value = _parse_prefix(text)
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        return []
    return [_partial_call(item) for item in value if isinstance(item, dict) and item.get("name")]


def _partial_call(item: Mapping[str, Any]) -> PartialCall:
    arguments = item.get("arguments")
    return PartialCall(str(item["name"]), arguments if isinstance(arguments, dict) else {})


def _parse_prefix(text: str) -> Any:
    """Parse the longest part of the text that closing quotes and brackets make valid."""
    for part, closing in _completions(text):
        try:
            return json.loads(part + closing)
        except (ValueError, RecursionError):
            continue
    return None


def _completions(text: str) -> list[tuple[str, str]]:
    """Return parts of the text with the brackets that close them, the longest first.

    The text ends at its end, before one of its last commas or after one of its last open brackets.
    """
    brackets, quoted, escaped = [], False, False
    cuts: list[tuple[int, str]] = []
    for index, letter in enumerate(text):
        if quoted:
            quoted = escaped or letter != '"'
            escaped = letter == "\\" and not escaped
        elif letter == '"':
            quoted = True
        elif letter in CLOSING_BRACKETS:
            brackets.append(CLOSING_BRACKETS[letter])
            cuts.append((index + 1, "".join(reversed(brackets))))
        elif letter in "}]" and brackets:
            brackets.pop()
        elif letter == ",":
            cuts.append((index, "".join(reversed(brackets))))
    closing = "".join(reversed(brackets))
    whole = text[:-1] if escaped else text
    completed = [(f'{whole}"' if quoted else whole, closing)]
    return completed + [(text[:index], closing) for index, closing in reversed(cuts[-MAX_CUTS:])]
