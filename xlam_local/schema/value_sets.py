"""Value sets: the JSON values that schemas allow, by JSON type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from ..gbnf import ANYTHING, Node

SchemaSet = frozenset[int]
"""Numbers of schemas that a value must all be valid for; ~number negates a schema."""

FREE: SchemaSet = frozenset()


class TooMany(Exception):
    """Schemas combine to more shapes than the limit."""


@dataclass(frozen=True, slots=True)
class Enum:
    """Exactly these values, all of one JSON type."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers of an interval, restricted to multiples."""

    minimum: Fraction | None = None
    exclusive_minimum: bool = False
    """Whether `minimum` itself is excluded."""
    maximum: Fraction | None = None
    exclusive_maximum: bool = False
    """Whether `maximum` itself is excluded."""
    step: Fraction | None = None
    excluded_steps: tuple[Fraction, ...] = ()
    """Steps whose multiples are excluded."""
    excluded_values: frozenset[Fraction] = frozenset()


@dataclass(frozen=True, slots=True)
class Strings:
    """Strings of a regular language with a length in characters."""

    node: Node = ANYTHING
    minimum: int = 0
    maximum: int | None = None


@dataclass(frozen=True, slots=True)
class Contains:
    """How many items of an array are valid for a schema set."""

    goal: SchemaSet
    minimum: int = 1
    maximum: int | None = None


@dataclass(frozen=True, slots=True)
class Arrays:
    """Arrays: a schema set for each of the first items, and one for all others."""

    prefix: tuple[SchemaSet, ...] = ()
    items: SchemaSet = FREE
    minimum: int = 0
    maximum: int | None = None
    contains: tuple[Contains, ...] = ()
    unique: bool = False


@dataclass(frozen=True, slots=True)
class Property:
    """The schema set of one property."""

    goal: SchemaSet
    required: bool = False


@dataclass(frozen=True, slots=True)
class OtherProperties:
    """Properties that are not listed and whose names are in a regular language."""

    names: Node
    goal: SchemaSet
    declared: bool
    """Whether a schema declares these properties, so that the grammar generates them."""


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects: the listed properties, and all others by their names."""

    properties: Mapping[str, Property] = field(default_factory=dict)
    other_properties: tuple[OtherProperties, ...] = (OtherProperties(ANYTHING, FREE, False),)
    """Their languages are disjoint and together hold every name that is not listed."""
    minimum: int = 0
    maximum: int | None = None


TypeSet = Enum | Numbers | Strings | Arrays | Objects

ALL: Mapping[str, tuple[TypeSet, ...]] = {
    "null": (Enum((None,)),),
    "boolean": (Enum((False, True)),),
    "number": (Numbers(),),
    "string": (Strings(),),
    "array": (Arrays(),),
    "object": (Objects(),),
}


@dataclass(frozen=True, slots=True)
class ValueSet:
    """Values by JSON type: a value is in one of the type sets of its type."""

    shapes: Mapping[str, tuple[TypeSet, ...]]
    exact: bool = True
    """Whether the set holds no value that the schemas forbid."""


EVERYTHING = ValueSet(ALL)
NOTHING = ValueSet({})


def json_type(value: object) -> str:
    """Return the JSON type of a value."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
    return "array" if isinstance(value, list | tuple) else "object"


def exact_fraction(number: float) -> Fraction:
    """Return a JSON number as the decimal that was written, not as the nearest binary fraction."""
    return Fraction(number) if isinstance(number, int) else Fraction(repr(number))
