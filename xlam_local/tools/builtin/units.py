"""Conversion between units, exact to the definition of each unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from ..errors import ToolError

Unit = Literal[
    "millimeter",
    "centimeter",
    "meter",
    "kilometer",
    "inch",
    "foot",
    "yard",
    "mile",
    "gram",
    "kilogram",
    "ounce",
    "pound",
    "milliliter",
    "liter",
    "gallon",
    "kilometer_per_hour",
    "mile_per_hour",
    "celsius",
    "fahrenheit",
    "kelvin",
]


@dataclass(frozen=True, slots=True)
class Measure:
    """What a unit measures, and how one of it relates to that quantity's base unit."""

    quantity: str
    factor: Fraction
    offset: Fraction = Fraction(0)
    """Added after the factor, for scales with a zero of their own."""


def _length(metres: str) -> Measure:
    return Measure("length", Fraction(metres))


def _mass(kilograms: str) -> Measure:
    return Measure("mass", Fraction(kilograms))


def _volume(litres: str) -> Measure:
    return Measure("volume", Fraction(litres))


def _speed(metres_a_second: str) -> Measure:
    return Measure("speed", Fraction(metres_a_second))


# The international yard and pound of 1959, the US gallon, and kelvin since 2019.
MEASURES: Mapping[Unit, Measure] = {
    "millimeter": _length("0.001"),
    "centimeter": _length("0.01"),
    "meter": _length("1"),
    "kilometer": _length("1000"),
    "inch": _length("0.0254"),
    "foot": _length("0.3048"),
    "yard": _length("0.9144"),
    "mile": _length("1609.344"),
    "gram": _mass("0.001"),
    "kilogram": _mass("1"),
    "ounce": _mass("0.028349523125"),
    "pound": _mass("0.45359237"),
    "milliliter": _volume("0.001"),
    "liter": _volume("1"),
    "gallon": _volume("3.785411784"),
    "kilometer_per_hour": _speed("5/18"),
    "mile_per_hour": _speed("0.44704"),
    "celsius": Measure("temperature", Fraction(1), Fraction("273.15")),
    "fahrenheit": Measure("temperature", Fraction(5, 9), Fraction("459.67") * Fraction(5, 9)),
    "kelvin": Measure("temperature", Fraction(1)),
}


def convert(value: Fraction, source: Unit, target: Unit) -> Fraction:
    """`value` of the unit `source` as an amount of the unit `target`.

    Raises:
        ToolError: the two do not measure the same.
    """
    one, other = MEASURES[source], MEASURES[target]
    if one.quantity != other.quantity:
        raise ToolError(f"A {source} is a {one.quantity}, a {target} is a {other.quantity}.")
    return (value * one.factor + one.offset - other.offset) / other.factor
