"""A schema as numbered schemas in one dialect, with every reference resolved."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from ..errors import SchemaError
from .backtracking import unreadable
from .dialect import KINDS, NAMED, ONE, SEVERAL, former, modern
from .references import Place, Resources

DEPTH = 100
"""Levels of schemas inside schemas."""
SIZE = 200_000
"""Schemas in one document."""


@dataclass(slots=True)
class Document:
    """Schemas by number; where a schema holds schemas, it holds their numbers."""

    schemas: list[dict[str, Any]] = field(default_factory=list)
    pointers: list[str] = field(default_factory=list)
    """Where each schema stands in what the user wrote."""
    written: list[Mapping[str, Any]] = field(default_factory=list)
    """Each schema as the user wrote it."""
    root: int = 0
    pointed: bool = True
    """Whether 1.0 is an integer, as in all drafts but the oldest."""
    formats: bool = True
    """Whether "format" asks for something, or is an annotation as the newest drafts have it."""


def read(raw: Any, formats: bool = False) -> Document:
    """The document of a schema; `formats`: they are asked for whatever the draft says."""
    document = _Reader(raw).document
    draft = raw.get("$schema") if isinstance(raw, Mapping) else None
    document.pointed = not any(year in str(draft) for year in ("draft-03", "draft-04"))
    document.formats = formats or not any(year in str(draft) for year in ("2019-09", "2020-12"))
    return document


class _Reader:
    """Numbers schemas: equal ones share a number, and those that are referred to have their own."""

    def __init__(self, raw: Any) -> None:
        self.document = Document()
        self.resources = Resources(raw)
        self.numbers: dict[str, int] = {}
        self.targets: dict[object, int] = {}
        self.queue: list[tuple[int, Place]] = []
        self.new({"type": []}, Place(False, ""))
        self.document.root = self.target(self.resources.root)
        for number, place in self.queue:
            self.fill(number, place)

    def target(self, place: Place) -> int:
        """The number of a schema that references lead to."""
        if place.key not in self.targets:
            self.targets[place.key] = self.new({}, place)
            self.queue.append((self.targets[place.key], place))
        return self.targets[place.key]

    def fill(self, number: int, place: Place) -> None:
        self.document.schemas[number] = self.keywords(place, 0)

    def new(self, schema: dict[str, Any], place: Place) -> int:
        if len(self.document.schemas) >= SIZE:
            raise SchemaError(f"The schema has more than {SIZE} parts.")
        self.document.schemas.append(schema)
        self.document.pointers.append(place.pointer)
        self.document.written.append(place.raw if isinstance(place.raw, Mapping) else {})
        return len(self.document.schemas) - 1

    def number(self, place: Place, depth: int) -> int:
        """The number of a schema that stands inside another one."""
        schema = self.keywords(place, depth)
        key = json.dumps(schema)
        if key not in self.numbers:
            self.numbers[key] = self.new(schema, place)
        return self.numbers[key]

    def keywords(self, outer: Place, depth: int) -> dict[str, Any]:
        if depth > DEPTH:
            raise SchemaError(
                f"{outer.pointer}: the schema is nested more than {DEPTH} levels deep."
            )
        if isinstance(outer.raw, bool):
            return {} if outer.raw else {"type": []}
        if not isinstance(outer.raw, Mapping):
            raise SchemaError(
                f"{outer.pointer or '/'}: a schema is an object, not {_short(outer.raw)}."
            )
        place = self.resources.entered(outer)
        written = modern(place.raw)
        return {
            keyword: self.value(place, keyword, value, depth) for keyword, value in written.items()
        }

    def value(self, place: Place, keyword: str, value: Any, depth: int) -> Any:
        at = former(keyword, place.raw)
        if keyword in ONE:
            return self.number(place.inside(value, at), depth + 1)
        if keyword in SEVERAL:
            wanted(isinstance(value, list), place, at, "a list of schemas")
            return [
                self.number(place.inside(inner, at, str(i)), depth + 1)
                for i, inner in enumerate(value)
            ]
        if keyword in NAMED:
            wanted(isinstance(value, Mapping), place, at, "an object of schemas")
            if keyword == "patternProperties":
                read_through(value, place, at)
            return {
                name: self.number(place.inside(inner, at, name), depth + 1)
                for name, inner in value.items()
            }
        if keyword in ("$ref", "$dynamicRef"):
            wanted(isinstance(value, str), place, at, "a string")
            return self.target(self.resources.found(place, value, keyword == "$dynamicRef"))
        return plain(place, keyword, at, value)


def plain(place: Place, keyword: str, at: str, value: Any) -> Any:
    """The value of a keyword without schemas in it, if it is what it should be."""
    if keyword in EXPECTED:
        fits, expected = EXPECTED[keyword]
        wanted(fits(value), place, at, expected)
    if keyword == "pattern":
        read_through([value], place, at)
    return value


def read_through(patterns: Iterable[str], place: Place, keyword: str) -> None:
    """Refuse patterns that cannot be read."""
    for pattern in patterns:
        if why := unreadable(pattern):
            raise SchemaError(f"{place.pointer}/{keyword}: {why}")


def wanted(fits: bool, place: Place, keyword: str, expected: str) -> None:
    """Refuse a keyword whose value has the wrong form."""
    if not fits:
        raise SchemaError(f"{place.pointer}/{keyword}: this has to be {expected}.")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _count(value: Any) -> bool:
    return _number(value) and value >= 0 and value == int(value)


def _json(value: Any) -> bool:
    """Whether JSON can hold a value: it has no numbers that are not finite."""
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError):
        return False
    return True


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _types(value: Any) -> bool:
    return _names(value) and set(value) <= {*KINDS, "integer"}


def _lists_of_names(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_names, value.values()))


EXPECTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(
        ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), (_number, "a number")
    ),
    "multipleOf": (lambda value: _number(value) and value > 0, "a number above zero"),
    **dict.fromkeys(
        (
            "minLength",
            "maxLength",
            "minItems",
            "maxItems",
            "minProperties",
            "maxProperties",
            "minContains",
            "maxContains",
        ),
        (_count, "a whole number, zero or more"),
    ),
    "required": (_names, "a list of names"),
    "dependentRequired": (_lists_of_names, "an object of lists of names"),
    "type": (_types, "a type's name or a list of such names"),
    "enum": (lambda value: isinstance(value, list) and _json(value), "a list of JSON's values"),
    "const": (_json, "a value that JSON has"),
    "pattern": (lambda value: isinstance(value, str), "a string"),
    "uniqueItems": (lambda value: isinstance(value, bool), "true or false"),
}


def standard(document: Document) -> dict[str, Any]:
    """The document as one schema of draft 2020-12, for a validator that reads JSON."""
    names = {number: f"#/$defs/{number}" for number in range(len(document.schemas))}
    definitions = {
        str(number): {
            keyword: _written(keyword, value, names)
            for keyword, value in schema.items()
            if keyword != "format" or document.formats
        }
        for number, schema in enumerate(document.schemas)
    }
    return {"$ref": names[document.root], "$defs": definitions}


def _written(keyword: str, value: Any, names: Mapping[int, str]) -> Any:
    if keyword in ONE:
        return {"$ref": names[value]}
    if keyword in SEVERAL:
        return [{"$ref": names[number]} for number in value]
    if keyword in NAMED:
        return {name: {"$ref": names[number]} for name, number in value.items()}
    return names[value] if keyword in ("$ref", "$dynamicRef") else value


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 40 else text[:40] + "…"
