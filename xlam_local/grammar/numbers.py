"""Numbers of an interval and a grid, digit by digit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from math import floor

from ..gbnf import (
    EMPTY,
    NOTHING,
    Lit,
    Machine,
    Node,
    alt,
    both,
    chars,
    optional,
    repeat,
    seq,
    without,
)
from ..schema.numbers import listed, on_grid
from ..schema.shapes import Numbers
from .multiples import POINT_ZERO, multiples
from .scalars import DIGIT, DIGITS, FRACTION, WHOLE, decimal, spelled, written

Limit = tuple[Fraction, bool]
Top = tuple[Fraction | None, bool]
Make = Callable[[Limit, Top], Node]

FEW = 50
"""Grids with so few points are written as constants."""


def number(shape: Numbers, pointed: bool) -> Node:
    """The numbers of a shape; where it is pointed, whole ones may end in a point and zeros."""
    tight = on_grid(shape)
    points = listed(tight, FEW)
    if points is not None:
        return alt(*(spelled(point) for point in points)) if pointed else _plain(points)
    parts = [interval(tight, pointed)]
    if tight.step is not None and tight.step != 1:
        grid = multiples(tight.step, pointed)
        free = tight.least is None and tight.most is None and not isinstance(grid, Machine)
        parts = [grid] if free else [*parts, grid]
    parts += [without(multiples(step)) for step in tight.off]
    parts += [without(spelled(hole)) for hole in sorted(tight.holes)]
    return both(*parts)


def _plain(points: list[Fraction]) -> Node:
    return alt(*(Lit(written(_json(point))) for point in points))


def _json(number: Fraction) -> float:
    return int(number) if number.denominator == 1 else float(number)


def interval(shape: Numbers, pointed: bool) -> Node:
    """Numbers between two limits: the negative ones, then the others."""
    if shape.step is None or shape.step.denominator != 1:
        return _signed(shape, _decimals)
    digits = _signed(shape, _wholes)
    return seq(digits, optional(POINT_ZERO)) if pointed else digits


def _signed(shape: Numbers, make: Make) -> Node:
    """Numbers between two limits, where `make` writes those without a sign."""
    low, high = (shape.least, shape.above), (shape.most, shape.below)
    if (low[0], high[0]) == (None, None):
        return seq(optional(Lit("-")), make((Fraction(0), False), high))
    return alt(_positive(low, high, make), _negative(low, high, make))


def _positive(low: Top, high: Top, make: Make) -> Node:
    """The numbers of an interval that are zero or more."""
    if high[0] is not None and high[0] < 0:
        return NOTHING
    bottom = (Fraction(0), False) if low[0] is None or low[0] < 0 else (low[0], low[1])
    return make(bottom, high)


def _negative(low: Top, high: Top, make: Make) -> Node:
    """The numbers of an interval that are less than zero."""
    if low[0] is not None and low[0] >= 0:
        return NOTHING
    top = (None, False) if low[0] is None else (-low[0], low[1])
    bottom = (Fraction(0), True) if high[0] is None or high[0] >= 0 else (-high[0], high[1])
    return seq(Lit("-"), make(bottom, top))


def _wholes(low: Limit, high: Top) -> Node:
    """Whole numbers from low to high, both at least zero."""
    least = floor(low[0]) + 1 if low[0] != floor(low[0]) or low[1] else int(low[0])
    if high[0] is None:
        return WHOLE if least <= 0 else _from(least)
    most = -floor(-high[0]) - 1 if high[0] != floor(high[0]) or high[1] else int(high[0])
    return alt(*_between(least, most))


def _from(least: int) -> Node:
    """Whole numbers of at least one."""
    digits = len(str(least))
    longer = seq(chars("19"), repeat(DIGIT, digits, max(DIGITS - 1, digits)))
    return alt(*_between(least, 10**digits - 1), longer)


def _between(least: int, most: int) -> Iterator[Node]:
    """Whole numbers from least to most, by how many digits they have."""
    digits = len(str(least))
    while least <= most:
        top = min(most, 10**digits - 1)
        yield _same_length(str(least), str(top))
        least, digits = top + 1, digits + 1


def _same_length(least: str, most: str) -> Node:
    """Numbers of as many digits as both limits have, from one to the other."""
    if not least:
        return EMPTY
    first, last = int(least[0]), int(most[0])
    rest = len(least) - 1
    if first == last:
        return seq(Lit(least[0]), _same_length(least[1:], most[1:]))
    if rest == 0:
        return chars(f"{first}{last}")
    low = least[1:] != "0" * rest
    high = most[1:] != "9" * rest
    middle = (first + low, last - high)
    return alt(
        *([seq(Lit(least[0]), _same_length(least[1:], "9" * rest))] if low else []),
        *(
            [seq(chars(f"{middle[0]}{middle[1]}"), repeat(DIGIT, rest, rest))]
            if middle[0] <= middle[1]
            else []
        ),
        *([seq(Lit(most[0]), _same_length("0" * rest, most[1:]))] if high else []),
    )


def _decimals(low: Limit, high: Top) -> Node:
    """Decimal numbers from low to high, both at least zero."""
    first, fraction = decimal(low[0])
    bottom = _at_least(fraction, low[1])
    if high[0] is None:
        return alt(seq(Lit(str(first)), bottom), seq(_from(first + 1), optional(FRACTION)))
    last, most = decimal(high[0])
    top = _at_most(most, high[1])
    if first == last:
        return seq(Lit(str(first)), both(bottom, top))
    return alt(
        seq(Lit(str(first)), bottom),
        *(seq(whole, optional(FRACTION)) for whole in _between(first + 1, last - 1)),
        seq(Lit(str(last)), top),
    )


def _at_least(fraction: str, above: bool) -> Node:
    """What follows a whole part, so that the fraction is at least this one."""
    zeros = repeat(Lit("0"), 0, DIGITS)
    if not fraction:
        beyond = seq(Lit("."), zeros, chars("19"), repeat(DIGIT, 0, DIGITS))
        return beyond if above else optional(FRACTION)
    larger = [
        seq(Lit(fraction[:index]), chars(f"{int(digit) + 1}9"), repeat(DIGIT, 0, DIGITS))
        for index, digit in enumerate(fraction)
        if digit < "9"
    ]
    more = repeat(DIGIT, 0, DIGITS)
    equal = seq(Lit(fraction), seq(zeros, chars("19"), more) if above else more)
    return seq(Lit("."), alt(*larger, equal))


def _at_most(fraction: str, below: bool) -> Node:
    """What follows a whole part, so that the fraction is at most this one."""
    zeros = repeat(Lit("0"), 0, DIGITS)
    if not fraction:
        return NOTHING if below else optional(seq(Lit("."), repeat(Lit("0"), 1, DIGITS)))
    smaller = [
        seq(Lit(fraction[:index]), chars(f"0{int(digit) - 1}"), repeat(DIGIT, 0, DIGITS))
        for index, digit in enumerate(fraction)
        if digit > "0"
    ]
    shorter = [Lit(fraction[:index]) for index in range(1, len(fraction))]
    equal = [] if below else [seq(Lit(fraction), zeros)]
    return optional(seq(Lit("."), alt(*smaller, *shorter, *equal)))
