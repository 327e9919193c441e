"""Calls whose JSON is still being written, as far as they can be read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CLOSING = {"{": "}", "[": "]"}


@dataclass(frozen=True, slots=True)
class Partial:
    """A call, with the arguments that are there so far."""

    name: str
    arguments: Mapping[str, Any]


def read(text: str) -> list[Partial]:
    """The calls at the beginning of an array that may break off anywhere."""
    found = _value(text)
    if isinstance(found, dict):
        found = [found]
    if not isinstance(found, list):
        return []
    return [_partial(one) for one in found if isinstance(one, dict) and one.get("name")]


def _partial(one: Mapping[str, Any]) -> Partial:
    arguments = one.get("arguments")
    return Partial(str(one["name"]), arguments if isinstance(arguments, dict) else {})


def _value(text: str) -> Any:
    """What the text says with all that is open closed, less what makes no sense yet."""
    for part, closing in _closings(text):
        try:
            return json.loads(part + closing)
        except ValueError:
            continue
    return None


def _closings(text: str) -> list[tuple[str, str]]:
    """Ways to end the text, the longest first: at its end, or before its last comma or bracket."""
    open_, quoted, escaped = [], False, False
    ways: list[tuple[int, str]] = []
    for place, letter in enumerate(text):
        if quoted:
            quoted = escaped or letter != '"'
            escaped = letter == "\\" and not escaped
        elif letter == '"':
            quoted = True
        elif letter in CLOSING:
            open_.append(CLOSING[letter])
            ways.append((place + 1, "".join(reversed(open_))))
        elif letter in "}]" and open_:
            open_.pop()
        elif letter == ",":
            ways.append((place, "".join(reversed(open_))))
    end = "".join(reversed(open_))
    whole = text[:-1] if escaped else text
    last = [(f'{whole}"' if quoted else whole, end)]
    return last + [(text[:place], closing) for place, closing in reversed(ways[-3:])]
