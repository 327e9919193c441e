"""Read a schema into numbered schemas of draft 2020-12, with every reference resolved."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from ..errors import SchemaError
from ..regular.search import pattern_error
from ..time_limit import check_time_limit
from .dialect import (
    SCHEMA_KEYWORDS,
    SCHEMA_LIST_KEYWORDS,
    SCHEMA_MAP_KEYWORDS,
    Rewritten,
    modernize,
    original_keyword,
)
from .references import Resources, SchemaLocation

MAX_SCHEMA_DEPTH = 100
"""The deepest nesting of schemas."""
MAX_SCHEMAS = 200_000
"""The most schemas in one document."""


@dataclass(slots=True)
class Document:
    """Schemas by number; a schema refers to its subschemas by their numbers."""

    schemas: list[dict[str, Any]] = field(default_factory=list)
    pointers: list[str] = field(default_factory=list)
    """The JSON pointer of each schema in the user's schema."""
    originals: list[Mapping[str, Any]] = field(default_factory=list)
    """Each schema as the user wrote it."""
    ignored: dict[tuple[str, str], str] = field(default_factory=dict)
    """Why a keyword has no effect, by JSON pointer of its schema and keyword."""
    defaults: list[tuple[str, Any, int]] = field(default_factory=list)
    """The JSON pointer of each schema with a default, the default, and the schema's number."""
    root: int = 0
    trailing_zeros: bool = True
    """Whether 1.0 is an integer; it is not in drafts 3 and 4."""
    asserts_formats: bool = True
    """Whether "format" is an assertion; since draft 2019-09 it is an annotation by default."""


def read_schema(raw: Any, assert_formats: bool = False) -> Document:
    """Return the document of a schema; `assert_formats` overrides the draft's default.

    Raises:
        SchemaError: names the JSON pointer and what is wrong there.
    """
    document = _DocumentBuilder(raw).document
    draft = raw.get("$schema") if isinstance(raw, Mapping) else None
    document.trailing_zeros = not any(year in str(draft) for year in ("draft-03", "draft-04"))
    document.asserts_formats = assert_formats or not any(
        year in str(draft) for year in ("2019-09", "2020-12")
    )
    return document


class _DocumentBuilder:
    """Numbers schemas: equal ones share a number; targets of references have their own."""

    def __init__(self, raw: Any) -> None:
        self.document = Document()
        self.resources = Resources(raw)
        self.numbers: dict[str, int] = {}
        self.targets: dict[object, int] = {}
        self.queue: list[tuple[int, SchemaLocation]] = []
        self.new({"type": []}, SchemaLocation(False, ""))
        self.document.root = self.target(self.resources.root)
        for number, place in self.queue:
            self.fill(number, place)

    def target(self, place: SchemaLocation) -> int:
        """Return the number of a reference's target."""
        if place.key not in self.targets:
            self.targets[place.key] = self.new({}, place)
            self.queue.append((self.targets[place.key], place))
        return self.targets[place.key]

    def fill(self, number: int, place: SchemaLocation) -> None:
        self.document.schemas[number] = self.keywords(place, 0)
        self.add_default(number, place)

    def new(self, schema: dict[str, Any], place: SchemaLocation) -> int:
        if len(self.document.schemas) >= MAX_SCHEMAS:
            raise SchemaError(f"The schema has more than {MAX_SCHEMAS} subschemas.")
        self.document.schemas.append(schema)
        self.document.pointers.append(place.pointer)
        self.document.originals.append(place.raw if isinstance(place.raw, Mapping) else {})
        return len(self.document.schemas) - 1

    def number(self, place: SchemaLocation, depth: int) -> int:
        """Return the number of a subschema."""
        schema = self.keywords(place, depth)
        key = json.dumps(schema)
        if key not in self.numbers:
            self.numbers[key] = self.new(schema, place)
        self.add_default(self.numbers[key], place)
        return self.numbers[key]

    def add_default(self, number: int, place: SchemaLocation) -> None:
        if isinstance(place.raw, Mapping) and place.raw.get("default") is not None:
            self.document.defaults.append((place.pointer, place.raw["default"], number))

    def keywords(self, outer: SchemaLocation, depth: int) -> dict[str, Any]:
        check_time_limit()
        if depth > MAX_SCHEMA_DEPTH:
            raise SchemaError(
                f"{outer.pointer}: the schema is nested more than {MAX_SCHEMA_DEPTH} levels deep."
            )
        if isinstance(outer.raw, bool):
            return {} if outer.raw else {"type": []}
        if outer.raw is None and _is_property(outer.pointer):
            owner, _, name = outer.pointer.rpartition("/")
            self.document.ignored[owner, name] = "null is read as a schema that allows everything"
            return {}
        if not isinstance(outer.raw, Mapping):
            raise SchemaError(
                f"{outer.pointer or '/'}: a schema is an object, not {_short(outer.raw)}."
            )
        place = self.resources.enter(outer)
        notes: dict[str, str] = {}
        written = modernize(place.raw, notes)
        if _is_property(place.pointer) and isinstance(place.raw.get("required"), bool):
            notes.pop("required", None)  # the schema of the object has this name as required
        self.document.ignored.update({(place.pointer, key): why for key, why in notes.items()})
        return {
            keyword: self.value(place, keyword, value, depth) for keyword, value in written.items()
        }

    def value(self, place: SchemaLocation, keyword: str, value: Any, depth: int) -> Any:
        at = original_keyword(keyword, place.raw)
        if keyword in SCHEMA_KEYWORDS:
            return self.number(place.inside(value, at), depth + 1)
        if keyword in SCHEMA_LIST_KEYWORDS:
            require(isinstance(value, list), place, at, "a list of schemas")
            steps = (
                () if isinstance(inner, Rewritten) else (at, str(number))
                for number, inner in enumerate(value)
            )
            return [
                self.number(place.inside(inner, *inside), depth + 1)
                for inner, inside in zip(value, steps, strict=True)
            ]
        if keyword in SCHEMA_MAP_KEYWORDS:
            require(isinstance(value, Mapping), place, at, "an object of schemas")
            if keyword == "patternProperties":
                check_patterns(value, place, at)
            return {
                name: self.number(place.inside(inner, at, name), depth + 1)
                for name, inner in value.items()
            }
        if keyword in ("$ref", "$dynamicRef"):
            require(isinstance(value, str), place, at, "a string")
            return self.target(self.resources.resolve(place, value, keyword == "$dynamicRef"))
        return checked_value(place, keyword, at, value)


def _is_property(pointer: str) -> bool:
    """Return whether a JSON pointer leads to the schema of a property."""
    return pointer.split("/")[-2:-1] == ["properties"]


def checked_value(place: SchemaLocation, keyword: str, at: str, value: Any) -> Any:
    """Return the value of a keyword without subschemas, after checking its form."""
    if keyword == "type":
        check_types(value, place)
    if keyword in VALUE_CHECKS:
        fits, expected = VALUE_CHECKS[keyword]
        require(fits(value), place, at, expected)
    if keyword == "pattern":
        check_patterns([value], place, at)
    return value


def check_types(value: Any, place: SchemaLocation) -> None:
    """Raise a SchemaError for a name in `type` that is not a type."""
    for name in value if _names(value) else ():
        if name not in TYPES:
            close = difflib.get_close_matches(name.lower(), TYPES, 1)
            hint = f"; did you mean {close[0]!r}?" if close else f". The types are {LISTED_TYPES}."
            raise SchemaError(f"{place.pointer}/type: {_short(name)} is not a type{hint}")


def check_patterns(patterns: Iterable[str], place: SchemaLocation, keyword: str) -> None:
    """Raise a SchemaError for a pattern that is not valid."""
    for pattern in patterns:
        if why := pattern_error(pattern):
            raise SchemaError(f"{place.pointer}/{keyword}: {why}")


def require(fits: bool, place: SchemaLocation, keyword: str, expected: str) -> None:
    """Raise a SchemaError unless a keyword's value has the right form."""
    if not fits:
        raise SchemaError(f"{place.pointer}/{keyword}: expected {expected}.")


def _number(value: Any) -> bool:
    if isinstance(value, float):
        return isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _count(value: Any) -> bool:
    return _number(value) and value >= 0 and value == int(value)


def _json(value: Any) -> bool:
    """Return whether a value is JSON; infinite numbers are not."""
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError):
        return False
    return True


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


TYPES = ("string", "number", "integer", "boolean", "array", "object", "null")
LISTED_TYPES = f"{', '.join(TYPES[:-1])} and {TYPES[-1]}"


def _lists_of_names(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_names, value.values()))


VALUE_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(
        ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), (_number, "a number")
    ),
    "multipleOf": (lambda value: _number(value) and value > 0, "a number greater than 0"),
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
        (_count, "a non-negative integer"),
    ),
    "required": (_names, "a list of names"),
    "dependentRequired": (_lists_of_names, "an object of lists of names"),
    "type": (_names, "a type name or a list of type names"),
    "enum": (lambda value: isinstance(value, list) and _json(value), "a list of JSON values"),
    "const": (_json, "a JSON value"),
    "pattern": (lambda value: isinstance(value, str), "a string"),
    **dict.fromkeys(
        ("uniqueItems", "nullable"), (lambda value: isinstance(value, bool), "true or false")
    ),
    "format": (lambda value: isinstance(value, str), "a string"),
    "dependencies": (lambda value: isinstance(value, Mapping), "an object of names and schemas"),
}


def to_draft_2020_12(document: Document) -> dict[str, Any]:
    """Return the document as one schema of draft 2020-12, for a JSON Schema validator."""
    names = {number: f"#/$defs/{number}" for number in range(len(document.schemas))}
    definitions = {
        str(number): {
            keyword: _written(keyword, value, names)
            for keyword, value in schema.items()
            if keyword != "format" or document.asserts_formats
        }
        for number, schema in enumerate(document.schemas)
    }
    return {"$ref": names[document.root], "$defs": definitions}


def _written(keyword: str, value: Any, names: Mapping[int, str]) -> Any:
    if keyword in SCHEMA_KEYWORDS:
        return {"$ref": names[value]}
    if keyword in SCHEMA_LIST_KEYWORDS:
        return [{"$ref": names[number]} for number in value]
    if keyword in SCHEMA_MAP_KEYWORDS:
        return {name: {"$ref": names[number]} for name, number in value.items()}
    return names[value] if keyword in ("$ref", "$dynamicRef") else value


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 40 else text[:40] + "…"
