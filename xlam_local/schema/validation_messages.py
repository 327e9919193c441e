"""Messages of validation: the reason first, then the value, shortened."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

MAX_SENTENCE_CHARS = 300
MAX_VALUE_CHARS = 60
MAX_PATTERN_CHARS = 100
MAX_CHOICES_CHARS = 150
NO_VALUE = "no value is allowed"


def sentence(error: Any) -> str:
    """Return what is wrong, without a full stop, for an error of the validator."""
    message = SENTENCES.get(error.validator, _own_message)
    return cut(message(error), MAX_SENTENCE_CHARS)


def pointer(path: Iterable[object]) -> str:
    """Return the JSON pointer of a path, with long names shortened."""
    steps = (cut(str(step), MAX_VALUE_CHARS) for step in path)
    written = (step.replace("~", "~0").replace("/", "~1") for step in steps)
    return "".join(f"/{step}" for step in written) or "/"


def short(value: Any) -> str:
    """Return a value as JSON, shortened."""
    return cut(json.dumps(value, ensure_ascii=False), MAX_VALUE_CHARS)


def cut(text: str, limit: int) -> str:
    """Return a text with at most `limit` characters and a mark."""
    return text if len(text) <= limit else text[:limit] + "…"


def _own_message(error: Any) -> str:
    return str(error.message)


def _type(error: Any) -> str:
    if not error.validator_value:  # the schema that allows nothing
        if not error.absolute_path:
            return NO_VALUE
        what = "item" if isinstance(error.absolute_path[-1], int) else "property"
        return f"additional {what} is not allowed"
    return f"expected {' or '.join(error.validator_value)}, not {short(error.instance)}"


def _enum(error: Any) -> str:
    if not error.validator_value:
        return NO_VALUE
    choices = cut(", ".join(map(short, error.validator_value)), MAX_CHOICES_CHARS)
    return f"expected one of {choices}, not {short(error.instance)}"


def _limit(words: str) -> Callable[[Any], str]:
    return lambda error: (
        f"expected {words} {short(error.validator_value)}, not {short(error.instance)}"
    )


def _size(words: str, one: str, several: str) -> Callable[[Any], str]:
    def message(error: Any) -> str:
        value, limit = error.instance, int(error.validator_value)
        expected = f"expected {words} {limit} {one if limit == 1 else several}, not {len(value)}"
        return f"{expected}: {short(value)}" if value else expected

    return message


def _alternatives(error: Any) -> str:
    """Name the first error of the alternative that is closest to the value."""
    if not error.validator_value:
        return NO_VALUE
    if not error.context:
        return f"matches more than one alternative of oneOf: {short(error.instance)}"
    if types := _expected_types(error):
        return f"expected {' or '.join(types)}, not {short(error.instance)}"
    first, *_ = min(_by_alternative(error), key=_distance)
    place = pointer(first.relative_path)
    if place == "/" and first.context:
        return sentence(first)
    where = "" if place == "/" else f"{place}: "
    return f"matches no alternative of {error.validator}; the closest: {where}{sentence(first)}"


def _by_alternative(error: Any) -> Iterable[list[Any]]:
    """Return the errors of each alternative."""
    alternatives: dict[int, list[Any]] = {}
    for inner in error.context:
        alternatives.setdefault(inner.schema_path[0], []).append(inner)
    return alternatives.values()


def _expected_types(error: Any) -> list[str]:
    """Return the types that an error names if the value is of none of them; [] otherwise."""
    if error.validator == "type":
        return list(error.validator_value)
    types: dict[str, None] = {}
    for errors in _by_alternative(error) if error.context else ():
        found = [each for e in errors if not e.relative_path for each in _expected_types(e)]
        if not found:
            return []
        types.update(dict.fromkeys(found))
    return list(types)


def _distance(errors: list[Any]) -> tuple[bool, int, int]:
    """Return how far a value is from an alternative: another type, another kind, other faults."""
    other_type = any(each.validator == "type" and not each.relative_path for each in errors)
    other_kind = sum(each.validator in ("const", "enum") for each in errors)
    return other_type, other_kind, len(errors)


SENTENCES: Mapping[str | None, Callable[[Any], str]] = {
    "type": _type,
    "enum": _enum,
    "const": lambda error: f"expected {short(error.validator_value)}, not {short(error.instance)}",
    "minimum": _limit("at least"),
    "maximum": _limit("at most"),
    "exclusiveMinimum": _limit("more than"),
    "exclusiveMaximum": _limit("less than"),
    "multipleOf": _limit("a multiple of"),
    "minLength": _size("at least", "character", "characters"),
    "maxLength": _size("at most", "character", "characters"),
    "minItems": _size("at least", "item", "items"),
    "maxItems": _size("at most", "item", "items"),
    "minProperties": _size("at least", "property", "properties"),
    "maxProperties": _size("at most", "property", "properties"),
    "pattern": lambda error: (
        f"does not match the pattern {cut(error.validator_value, MAX_PATTERN_CHARS)}: "
        f"{short(error.instance)}"
    ),
    "format": lambda error: (
        f"does not have the format {error.validator_value}: {short(error.instance)}"
    ),
    "contains": lambda error: f"has no item that matches `contains`: {short(error.instance)}",
    "minContains": lambda error: (
        f"expected at least {error.validator_value} items that match `contains`: "
        f"{short(error.instance)}"
    ),
    "maxContains": lambda error: (
        f"expected at most {error.validator_value} items that match `contains`: "
        f"{short(error.instance)}"
    ),
    "anyOf": _alternatives,
    "oneOf": _alternatives,
    "not": lambda error: f"must not match the schema in `not`: {short(error.instance)}",
}
"""For each keyword of the validator the sentence about its errors."""
