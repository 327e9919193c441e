"""Keywords of a JSON Schema validator that treat patterns and formats as the grammar does.

The work for one value is bounded: jsonschema's own functions search patterns with Python's `re`,
which can take forever, and compare all pairs of items.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from ..gbnf import TooLarge, matches
from ..regular.ecma_regex import PatternError
from ..regular.pattern_language import pattern_language
from ..regular.search import search
from . import formats
from .arrays import json_key
from .validation_messages import sentence, short
from .value_sets import exact_fraction, json_type

Keyword = Callable[[Any, Any, Any, Any], Iterator[Any] | None]
"""Yields the errors of a value: of the validator, the keyword's value, the value, the schema."""


class TooMuchWork(Exception):
    """A validation would take more work than its limit; the message says of what kind."""


@dataclass(slots=True)
class Budget:
    """The remaining work for the validation of one value."""

    references: int
    """References to follow. Thirty schemas that each refer to the next twice take days."""
    deadline: float
    """When the validation is given up, on the monotonic clock."""
    pattern_time_s: float
    """Time for all searches of backtracking patterns."""
    definitions: Mapping[str, Any] = field(default_factory=dict)
    """The schemas of the document by reference."""


budget: ContextVar[Budget] = ContextVar("budget")


def bounded(keyword: Keyword) -> Keyword:
    """Return the function of a keyword, which is given up after the deadline."""

    def checked(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[Any] | None:
        if time.monotonic() > budget.get().deadline:
            raise TooMuchWork("its schema takes too long")
        return keyword(validator, wanted, value, schema)

    return checked


def counted(follow: Keyword) -> Keyword:
    """Return the function of a reference keyword with a limit on its calls."""

    def checked(validator: Any, reference: Any, value: Any, schema: Any) -> Iterator[Any] | None:
        left = budget.get()
        left.references -= 1
        if left.references < 0:
            raise TooMuchWork("its schema has too many references")
        return follow(validator, reference, value, schema)

    return checked


def error(message: str) -> Any:
    """Return an error of the validator."""
    from jsonschema import ValidationError

    return ValidationError(message)


def pattern(validator: Any, wanted: str, value: Any, schema: Any) -> Iterator[Any]:
    """Yield an error if a string has no match of a pattern."""
    if isinstance(value, str) and not found(wanted, value):
        yield error("pattern")


def found(pattern: str, value: str) -> bool:
    """Return whether a string contains a match; backtracking patterns have a time limit."""
    left = budget.get()
    try:
        return matches(pattern_language(pattern), value)
    except (PatternError, TooLarge):
        began = time.monotonic()
    try:
        return search(pattern, value, left.pattern_time_s)
    except TimeoutError:
        raise TooMuchWork("a pattern of its schema takes too long") from None
    finally:
        left.pattern_time_s -= time.monotonic() - began


def format_(validator: Any, name: Any, value: Any, schema: Any) -> Iterator[Any]:
    """Yield an error if a string does not have a known format."""
    if isinstance(value, str) and isinstance(name, str) and not formats.has_format(name, value):
        yield error("format")


def multiple_of(validator: Any, step: float, value: Any, schema: Any) -> Iterator[Any]:
    """Yield an error if a number is not a multiple, computed exactly."""
    if json_type(value) == "number" and exact_fraction(value) % exact_fraction(step):
        yield error("multipleOf")


def required(validator: Any, names: list[str], value: Any, schema: Any) -> Iterator[Any]:
    """Yield an error for each required property that an object does not have."""
    if isinstance(value, dict):
        for name in names:
            if name not in value:
                yield error(f"the required property {short(name)} is missing")


def dependent_required(
    validator: Any, dependencies: Mapping[str, list[str]], value: Any, schema: Any
) -> Iterator[Any]:
    """Yield an error for each property that another one requires and that is missing."""
    if isinstance(value, dict):
        for name, others in dependencies.items():
            for other in others:
                if name in value and other not in value:
                    yield error(f"{short(name)} requires the property {short(other)}")


def property_names(validator: Any, inner: Any, value: Any, schema: Any) -> Iterator[Any]:
    """Yield an error for each name of a property that is not valid."""
    if isinstance(value, dict):
        for name in value:
            for problem in validator.descend(name, inner):
                yield error(f"the property name {short(name)} is not allowed: {sentence(problem)}")


def unique_items(validator: Any, unique: bool, value: Any, schema: Any) -> Iterator[Any]:
    """Yield an error if two items of an array are equal, found in one pass."""
    if unique and isinstance(value, list):
        seen: dict[Any, int] = {}
        for place, item in enumerate(value):
            first = seen.setdefault(json_key(item), place)
            if first != place:
                yield error(f"the items {first} and {place} are equal: {short(item)}")
                return


def pattern_properties(
    validator: Any, patterns: Mapping[str, Any], value: Any, schema: Any
) -> Iterator[Any]:
    """Yield the errors of properties whose names match a pattern."""
    if isinstance(value, dict):
        for wanted, inner in patterns.items():
            for name, each in value.items():
                if found(wanted, name):
                    yield from validator.descend(each, inner, path=name, schema_path=wanted)


def additional_properties(
    validator: Any, inner: Any, value: Any, schema: Mapping[str, Any]
) -> Iterator[Any]:
    """Yield the errors of properties that neither `properties` nor `patternProperties` names."""
    if isinstance(value, dict):
        for name, each in value.items():
            if not _is_named(schema, name):
                yield from validator.descend(each, inner, path=name)


def unevaluated_properties(
    validator: Any, inner: Any, value: Any, schema: Mapping[str, Any]
) -> Iterator[Any]:
    """Yield the errors of properties that no other keyword evaluates."""
    if isinstance(value, dict):
        names = set(_evaluated(validator, value, schema, skip="unevaluatedProperties"))
        for name, each in value.items():
            if name not in names:
                yield from validator.descend(each, inner, path=name)


def unevaluated_items(
    validator: Any, inner: Any, value: Any, schema: Mapping[str, Any]
) -> Iterator[Any]:
    """Yield the errors of items that no other keyword evaluates."""
    if isinstance(value, list):
        places = set(_evaluated_items(validator, value, schema, skip="unevaluatedItems"))
        for place, each in enumerate(value):
            if place not in places:
                yield from validator.descend(each, inner, path=place)


def _evaluated_items(
    validator: Any, value: list[Any], schema: Mapping[str, Any], skip: str = ""
) -> Iterator[int]:
    """Yield the places of items that the keywords of a schema, except `skip`, evaluate."""
    if schema.keys() & ({"items", "unevaluatedItems"} - {skip}):
        yield from range(len(value))
        return
    yield from range(len(schema.get("prefixItems", ())))
    if "contains" in schema:
        wanted = validator.evolve(schema=schema["contains"])
        yield from (place for place, each in enumerate(value) if wanted.is_valid(each))
    for inner in _applied(validator, value, schema):
        yield from _evaluated_items(validator, value, inner)


def _is_named(schema: Mapping[str, Any], name: str) -> bool:
    """Return whether `properties` or `patternProperties` of a schema names a property."""
    if name in schema.get("properties", {}):
        return True
    return any(found(wanted, name) for wanted in schema.get("patternProperties", {}))


def _evaluated(
    validator: Any, value: Mapping[str, Any], schema: Mapping[str, Any], skip: str = ""
) -> Iterator[str]:
    """Yield the names that the keywords of a schema, except `skip`, evaluate in a valid object."""
    if schema.keys() & ({"additionalProperties", "unevaluatedProperties"} - {skip}):
        yield from value
        return
    yield from (name for name in value if _is_named(schema, name))
    for inner in _applied(validator, value, schema):
        yield from _evaluated(validator, value, inner)


def _applied(validator: Any, value: Any, schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the subschemas that a schema applies to the same value and that it is valid for."""

    def valid(inner: Any) -> bool:
        return bool(validator.evolve(schema=inner).is_valid(value))

    for keyword in ("$ref", "$dynamicRef"):
        if keyword in schema:
            yield budget.get().definitions[schema[keyword]]
    for keyword in ("allOf", "anyOf", "oneOf"):
        yield from filter(valid, schema.get(keyword, ()))
    for name, inner in schema.get("dependentSchemas", {}).items():
        if isinstance(value, dict) and name in value:
            yield inner
    if "if" in schema:
        holds = valid(schema["if"])
        if holds:
            yield schema["if"]
        if (branch := "then" if holds else "else") in schema:
            yield schema[branch]


OWN_KEYWORDS: Mapping[str, Keyword] = {
    "pattern": pattern,
    "format": format_,
    "multipleOf": multiple_of,
    "required": required,
    "dependentRequired": dependent_required,
    "propertyNames": property_names,
    "uniqueItems": unique_items,
    "patternProperties": pattern_properties,
    "additionalProperties": additional_properties,
    "unevaluatedProperties": unevaluated_properties,
    "unevaluatedItems": unevaluated_items,
}


def keywords(library: Mapping[str, Keyword]) -> dict[str, Keyword]:
    """Return all keywords: the library's with limits, and our own."""
    merged = {**library, **OWN_KEYWORDS}
    for name in ("$ref", "$dynamicRef"):
        merged[name] = counted(merged[name])
    return {name: bounded(keyword) for name, keyword in merged.items()}


def definitions(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schemas of a normalized document by reference."""
    return {f"#/$defs/{number}": schema for number, schema in document["$defs"].items()}
