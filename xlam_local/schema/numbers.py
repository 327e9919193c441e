"""Numeric constraints: intersection and complement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor, gcd, lcm

from .value_sets import Enum, Numbers, TypeSet, exact_fraction


def intersect(left: Numbers, right: Numbers) -> Numbers:
    """Return the numbers of both sets."""
    least, above = _tighter(
        (left.minimum, left.exclusive_minimum), (right.minimum, right.exclusive_minimum), 1
    )
    most, below = _tighter(
        (left.maximum, left.exclusive_maximum), (right.maximum, right.exclusive_maximum), -1
    )
    return Numbers(
        least,
        above,
        most,
        below,
        _grid(left.step, right.step),
        tuple(dict.fromkeys(left.excluded_steps + right.excluded_steps)),
        left.excluded_values | right.excluded_values,
    )


def is_possible(shape: Numbers) -> bool:
    """Return whether the set has any number."""
    if shape.step is not None:
        if any(shape.step % step == 0 for step in shape.excluded_steps):
            return False
        values = enumerate_values(shape, 1000)
        return values is None or bool(values)
    if shape.minimum is None or shape.maximum is None or shape.minimum < shape.maximum:
        return True
    point = shape.minimum
    return shape.minimum == shape.maximum and contains(shape, point)


def complement(shape: Numbers) -> Iterator[TypeSet]:
    """Yield the sets of all other numbers."""
    if shape.minimum is not None:
        yield Numbers(maximum=shape.minimum, exclusive_maximum=not shape.exclusive_minimum)
    if shape.maximum is not None:
        yield Numbers(minimum=shape.maximum, exclusive_minimum=not shape.exclusive_maximum)
    if shape.step is not None:
        yield Numbers(excluded_steps=(shape.step,))
    for step in shape.excluded_steps:
        yield Numbers(step=step)
    if shape.excluded_values:
        yield Enum(tuple(map(_json, sorted(shape.excluded_values))))


def contains(shape: Numbers, value: float | Fraction) -> bool:
    """Return whether the set contains a number."""
    number = value if isinstance(value, Fraction) else exact_fraction(value)
    return (
        (
            shape.minimum is None
            or number > shape.minimum
            or (number == shape.minimum and not shape.exclusive_minimum)
        )
        and (
            shape.maximum is None
            or number < shape.maximum
            or (number == shape.maximum and not shape.exclusive_maximum)
        )
        and (shape.step is None or number % shape.step == 0)
        and all(number % step for step in shape.excluded_steps)
        and number not in shape.excluded_values
    )


def enumerate_values(shape: Numbers, limit: int) -> list[Fraction] | None:
    """Return every number of the set, or None if there are more than `limit`."""
    if shape.step is None or shape.minimum is None or shape.maximum is None:
        return None
    first, last = ceil(shape.minimum / shape.step), floor(shape.maximum / shape.step)
    if last - first >= limit:
        return None
    points = (number * shape.step for number in range(first, last + 1))
    return [point for point in points if contains(shape, point)]


def tighten_to_grid(shape: Numbers) -> Numbers:
    """The same numbers, with limits that lie on the grid."""
    step = shape.step
    if step is None:
        return shape
    least, most = shape.minimum, shape.maximum
    if least is not None:
        number = floor(least / step) + 1 if shape.exclusive_minimum else ceil(least / step)
        least = number * step
    if most is not None:
        number = ceil(most / step) - 1 if shape.exclusive_maximum else floor(most / step)
        most = number * step
    return replace(
        shape, minimum=least, exclusive_minimum=False, maximum=most, exclusive_maximum=False
    )


def _json(number: Fraction) -> float:
    return int(number) if number.denominator == 1 else float(number)


def _tighter(
    left: tuple[Fraction | None, bool], right: tuple[Fraction | None, bool], sign: int
) -> tuple[Fraction | None, bool]:
    """The narrower of two limits; sign 1 for the least, -1 for the most."""
    if left[0] is None or right[0] is None:
        return right if left[0] is None else left
    return max(left, right, key=lambda limit: ((limit[0] or 0) * sign, limit[1]))


def _grid(left: Fraction | None, right: Fraction | None) -> Fraction | None:
    if left is None or right is None:
        return left or right
    return Fraction(lcm(left.numerator, right.numerator), gcd(left.denominator, right.denominator))
