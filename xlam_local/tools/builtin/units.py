"""Convert between units, exactly by the definition of each unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from ...errors import ToolError

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
class UnitDefinition:
    """The quantity that a unit measures, and its value in that quantity's base unit."""

    quantity: str
    factor: Fraction
    offset: Fraction = Fraction(0)
    """Added after the factor, for temperature scales whose zero is not absolute zero."""


def _length(meters: str) -> UnitDefinition:
    return UnitDefinition("length", Fraction(meters))


def _mass(kilograms: str) -> UnitDefinition:
    return UnitDefinition("mass", Fraction(kilograms))


def _volume(liters: str) -> UnitDefinition:
    return UnitDefinition("volume", Fraction(liters))


def _speed(meters_per_second: str) -> UnitDefinition:
    return UnitDefinition("speed", Fraction(meters_per_second))


# The international yard and pound of 1959, the US gallon, and kelvin since 2019.
UNITS: Mapping[Unit, UnitDefinition] = {
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
    "celsius": UnitDefinition("temperature", Fraction(1), Fraction("273.15")),
    "fahrenheit": UnitDefinition(
        "temperature", Fraction(5, 9), Fraction("459.67") * Fraction(5, 9)
    ),
    "kelvin": UnitDefinition("temperature", Fraction(1)),
}


def convert(value: Fraction, source: Unit, target: Unit) -> Fraction:
    """Convert a value from the unit `source` to the unit `target`.

    Raises:
        ToolError: the units measure different quantities.
    """
    old, new = UNITS[source], UNITS[target]
    if old.quantity != new.quantity:
        raise ToolError(
            f"{source} is a unit of {old.quantity}, but {target} is a unit of {new.quantity}."
        )
    return (value * old.factor + old.offset - new.offset) / new.factor
