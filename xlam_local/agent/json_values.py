"""Decode the JSON that models write: no key comes twice, and every text and number is valid."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from ..json_depth import MAX_JSON_DEPTH, exceeds_depth
from ..user_file import SURROGATE, SURROGATE_ESCAPE

Json = Any
INVALID: Any = ...
"""Stands for JSON that cannot be decoded, or is nested too deeply."""
MAX_KEY_CHARS = 60
"""Characters of a key that a reason shows."""


@dataclass(frozen=True, slots=True)
class Invalid:
    """Stands for a call that cannot be read."""

    reason: str
    """Why, for the model to read; it begins with the place."""


def decode(text: str) -> Json:
    """Return the value of a JSON text, or INVALID."""
    value, end = decode_at(text, len(text) - len(text.lstrip()))
    return INVALID if text[end:].strip() else value


def decode_at(text: str, position: int) -> tuple[Json, int]:
    """Return the JSON value at a position of a text and its end, or INVALID and the text's end."""
    try:
        value, end = _DECODER.raw_decode(text, position)
    except (ValueError, RecursionError):
        return INVALID, len(text)
    halves = SURROGATE_ESCAPE.search(text, position, end) and problem_in(value)
    return (INVALID if halves or exceeds_depth(value) else value), end


def problem_at(text: str, position: int = 0) -> str:
    """Return why the value at a position is INVALID."""
    try:
        value, _ = _LENIENT_DECODER.raw_decode(text, position)
    except json.JSONDecodeError as error:
        return f"character {error.pos - position + 1}: {error.msg}"
    except RecursionError:
        return f"it is nested more than {MAX_JSON_DEPTH} levels deep"
    except ValueError:
        return "an integer has too many digits"
    if exceeds_depth(value):
        return f"it is nested more than {MAX_JSON_DEPTH} levels deep"
    return problem_in(value) or "text follows the value"


def problem_in(value: Json) -> str:
    """Return the first place of a value that is not valid JSON, and why; "" if all of it is."""
    return next(_problems(value, ""), "")


def _problems(value: Json, pointer: str) -> Iterator[str]:
    if isinstance(value, _Repeated):
        yield f"{_pointer(pointer, value.key)} is written twice"
    if isinstance(value, float) and not isfinite(value):
        yield f"{pointer or '/'} is not a number that JSON can hold"
    if isinstance(value, str) and SURROGATE.search(value):
        yield f"{pointer or '/'} has half of a surrogate pair, which no text can contain"
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _problems(key, pointer)
            yield from _problems(inner, _pointer(pointer, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _problems(inner, f"{pointer}/{number}")


def _pointer(start: str, key: str) -> str:
    shown = key if len(key) <= MAX_KEY_CHARS else f"{key[:MAX_KEY_CHARS]}…"
    return SURROGATE.sub("?", f"{start}/{shown}")


class _Repeated(dict[str, Json]):
    """An object in which a key is written twice."""

    key = ""


def _lenient_object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = _Repeated(pairs)
    if len(found) == len(pairs):
        return dict(found)
    keys = [key for key, _ in pairs]
    found.key = next(key for key in keys if keys.count(key) > 1)
    return found


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is written twice")
    return found


def _float(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


def _constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


_DECODER = json.JSONDecoder(parse_float=_float, parse_constant=_constant, object_pairs_hook=_object)
_LENIENT_DECODER = json.JSONDecoder(object_pairs_hook=_lenient_object)
