"""What values of one kind can look like: the shapes that schemas become."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from ..gbnf import ANYTHING, Node

Goal = frozenset[int]
"""Schemas, by number, that a value has to fit all at once; ~number: it must not fit that one."""

FREE: Goal = frozenset()


@dataclass(frozen=True, slots=True)
class Listed:
    """These very values, all of one kind."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers of an interval, on a grid or off it."""

    least: Fraction | None = None
    above: bool = False
    """The least number itself is left out."""
    most: Fraction | None = None
    below: bool = False
    """The greatest number itself is left out."""
    step: Fraction | None = None
    off: tuple[Fraction, ...] = ()
    """Steps whose multiples are left out."""
    holes: frozenset[Fraction] = frozenset()


@dataclass(frozen=True, slots=True)
class Strings:
    """Strings of a regular language, within bounds of length."""

    node: Node = ANYTHING
    least: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Contains:
    """How many items of an array fit a goal."""

    goal: Goal
    least: int = 1
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Arrays:
    """Arrays: a goal for each of the first items, one for all others."""

    prefix: tuple[Goal, ...] = ()
    items: Goal = FREE
    least: int = 0
    most: int | None = None
    contains: tuple[Contains, ...] = ()
    unique: bool = False


@dataclass(frozen=True, slots=True)
class Slot:
    """What is known of one property."""

    goal: Goal
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Extras:
    """Properties without a slot whose names are in a regular language."""

    names: Node
    goal: Goal
    said: bool
    """A schema names these properties in words, so they are wanted, not only tolerated."""


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects: a slot for each known property, extras for all others."""

    slots: Mapping[str, Slot] = field(default_factory=dict)
    extras: tuple[Extras, ...] = (Extras(ANYTHING, FREE, False),)
    """Their languages have no name in common, and hold each name that has no slot."""
    least: int = 0
    most: int | None = None


Shape = Listed | Numbers | Strings | Arrays | Objects

ALL: Mapping[str, tuple[Shape, ...]] = {
    "null": (Listed((None,)),),
    "boolean": (Listed((False, True)),),
    "number": (Numbers(),),
    "string": (Strings(),),
    "array": (Arrays(),),
    "object": (Objects(),),
}


@dataclass(frozen=True, slots=True)
class Kinds:
    """Values of every kind: for each kind the shapes of which one must fit."""

    shapes: Mapping[str, tuple[Shape, ...]]
    exact: bool = True
    """No value fits that the schemas do not allow."""


EVERYTHING = Kinds(ALL)
NOTHING = Kinds({})


def kind(value: object) -> str:
    """The kind of a JSON value."""
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


def exactly(number: float) -> Fraction:
    """A JSON number as the decimal that was written, not as the nearest binary one."""
    return Fraction(number) if isinstance(number, int) else Fraction(repr(number))
