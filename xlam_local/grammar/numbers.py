"""Nodes for numbers of an interval, digit by digit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from math import floor

from ..gbnf import (
    EMPTY,
    NOTHING,
    AutomatonNode,
    Literal,
    Node,
    alt,
    chars,
    complement,
    intersection,
    optional,
    repeat,
    seq,
)
from ..schema.numbers import enumerate_values, tighten_to_grid
from ..schema.value_sets import Numbers
from .multiples import POINT_ZERO, multiples
from .scalars import DIGIT, FRACTION, MAX_DIGITS, WHOLE, decimal, number_spellings, to_json

Limit = tuple[Fraction, bool]
Top = tuple[Fraction | None, bool]
Make = Callable[[Limit, Top], Node]

MAX_ENUMERATED = 50
"""Sets with at most this many numbers are written as constants."""


def number(shape: Numbers, trailing_zeros: bool) -> Node:
    """Return the numbers of a set; `trailing_zeros` allows 1.0 for integers."""
    tight = tighten_to_grid(shape)
    points = enumerate_values(tight, MAX_ENUMERATED)
    if points is not None:
        return (
            alt(*(number_spellings(point) for point in points))
            if trailing_zeros
            else _plain(points)
        )
    parts = [interval(tight, trailing_zeros)]
    if tight.step is not None and tight.step != 1:
        grid = multiples(tight.step, trailing_zeros)
        free = (
            tight.minimum is None and tight.maximum is None and not isinstance(grid, AutomatonNode)
        )
        parts = [grid] if free else [*parts, grid]
    parts += [complement(multiples(step)) for step in tight.excluded_steps]
    parts += [complement(number_spellings(hole)) for hole in sorted(tight.excluded_values)]
    return intersection(*parts)


def _plain(points: list[Fraction]) -> Node:
    return alt(*(Literal(to_json(_json(point))) for point in points))


def _json(number: Fraction) -> float:
    return int(number) if number.denominator == 1 else float(number)


def interval(shape: Numbers, trailing_zeros: bool) -> Node:
    """Return the numbers between two limits."""
    if shape.step is None or shape.step.denominator != 1:
        return _signed(shape, _decimals)
    digits = _signed(shape, _integers)
    return seq(digits, optional(POINT_ZERO)) if trailing_zeros else digits


def _signed(shape: Numbers, make: Make) -> Node:
    """Return the numbers between two limits; `make` returns those without a sign."""
    low, high = (shape.minimum, shape.exclusive_minimum), (shape.maximum, shape.exclusive_maximum)
    if (low[0], high[0]) == (None, None):
        return seq(optional(Literal("-")), make((Fraction(0), False), high))
    return alt(_positive(low, high, make), _negative(low, high, make))


def _positive(low: Top, high: Top, make: Make) -> Node:
    """Return the non-negative numbers of an interval."""
    if high[0] is not None and high[0] < 0:
        return NOTHING
    bottom = (Fraction(0), False) if low[0] is None or low[0] < 0 else (low[0], low[1])
    return make(bottom, high)


def _negative(low: Top, high: Top, make: Make) -> Node:
    """Return the negative numbers of an interval."""
    if low[0] is not None and low[0] >= 0:
        return NOTHING
    top = (None, False) if low[0] is None else (-low[0], low[1])
    bottom = (Fraction(0), True) if high[0] is None or high[0] >= 0 else (-high[0], high[1])
    return seq(Literal("-"), make(bottom, top))


def _integers(low: Limit, high: Top) -> Node:
    """Return the integers from low to high, both non-negative."""
    least = floor(low[0]) + 1 if low[0] != floor(low[0]) or low[1] else int(low[0])
    if high[0] is None:
        return WHOLE if least <= 0 else _from(least)
    most = -floor(-high[0]) - 1 if high[0] != floor(high[0]) or high[1] else int(high[0])
    return alt(*_between(least, most))


def _from(least: int) -> Node:
    """Return the integers from `least` on, which is positive."""
    digits = len(str(least))
    longer = seq(chars("19"), repeat(DIGIT, digits, max(MAX_DIGITS - 1, digits)))
    return alt(*_between(least, 10**digits - 1), longer)


def _between(least: int, most: int) -> Iterator[Node]:
    """Yield the integers from least to most, by their number of digits."""
    digits = len(str(least))
    while least <= most:
        top = min(most, 10**digits - 1)
        yield _same_length(str(least), str(top))
        least, digits = top + 1, digits + 1


def _same_length(least: str, most: str) -> Node:
    """Return the integers between two limits of the same number of digits."""
    if not least:
        return EMPTY
    first, last = int(least[0]), int(most[0])
    rest = len(least) - 1
    if first == last:
        return seq(Literal(least[0]), _same_length(least[1:], most[1:]))
    if rest == 0:
        return chars(f"{first}{last}")
    low = least[1:] != "0" * rest
    high = most[1:] != "9" * rest
    middle = (first + low, last - high)
    return alt(
        *([seq(Literal(least[0]), _same_length(least[1:], "9" * rest))] if low else []),
        *(
            [seq(chars(f"{middle[0]}{middle[1]}"), repeat(DIGIT, rest, rest))]
            if middle[0] <= middle[1]
            else []
        ),
        *([seq(Literal(most[0]), _same_length("0" * rest, most[1:]))] if high else []),
    )


def _decimals(low: Limit, high: Top) -> Node:
    """Return the decimal numbers from low to high, both non-negative."""
    first, fraction = decimal(low[0])
    bottom = _at_least(fraction, low[1])
    if high[0] is None:
        return alt(seq(Literal(str(first)), bottom), seq(_from(first + 1), optional(FRACTION)))
    last, most = decimal(high[0])
    top = _at_most(most, high[1])
    if first == last:
        return seq(Literal(str(first)), intersection(bottom, top))
    return alt(
        seq(Literal(str(first)), bottom),
        *(seq(whole, optional(FRACTION)) for whole in _between(first + 1, last - 1)),
        seq(Literal(str(last)), top),
    )


def _at_least(fraction: str, above: bool) -> Node:
    """Return the fractions that are at least this one."""
    zeros = repeat(Literal("0"), 0, MAX_DIGITS)
    if not fraction:
        beyond = seq(Literal("."), zeros, chars("19"), repeat(DIGIT, 0, MAX_DIGITS))
        return beyond if above else optional(FRACTION)
    larger = [
        seq(Literal(fraction[:index]), chars(f"{int(digit) + 1}9"), repeat(DIGIT, 0, MAX_DIGITS))
        for index, digit in enumerate(fraction)
        if digit < "9"
    ]
    more = repeat(DIGIT, 0, MAX_DIGITS)
    equal = seq(Literal(fraction), seq(zeros, chars("19"), more) if above else more)
    return seq(Literal("."), alt(*larger, equal))


def _at_most(fraction: str, below: bool) -> Node:
    """Return the fractions that are at most this one."""
    zeros = repeat(Literal("0"), 0, MAX_DIGITS)
    if not fraction:
        return (
            NOTHING if below else optional(seq(Literal("."), repeat(Literal("0"), 1, MAX_DIGITS)))
        )
    smaller = [
        seq(Literal(fraction[:index]), chars(f"0{int(digit) - 1}"), repeat(DIGIT, 0, MAX_DIGITS))
        for index, digit in enumerate(fraction)
        if digit > "0"
    ]
    shorter = [Literal(fraction[:index]) for index in range(1, len(fraction))]
    equal = [] if below else [seq(Literal(fraction), zeros)]
    return optional(seq(Literal("."), alt(*smaller, *shorter, *equal)))
