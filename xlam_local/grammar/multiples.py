"""The multiples of a number, told by their digits."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache

from ..gbnf import EMPTY, Automaton, Lit, Machine, Node, TooLarge, alt, chars, optional, repeat, seq
from .scalars import DIGIT, DIGITS, WHOLE

STATES = 3000
"""States of an automaton that divides."""
ENDINGS = 400
"""Endings that are written out."""

SIGN = optional(Lit("-"))
ZEROS = repeat(Lit("0"), 0, DIGITS)


@lru_cache(maxsize=64)
def multiples(step: Fraction, pointed: bool = True) -> Node:
    """The multiples of a step; where it is pointed, whole ones may end in a point and zeros."""
    places = next((n for n in range(DIGITS) if (step * 10**n).denominator == 1), DIGITS)
    divisor = int(step * 10**places)
    if divisor == 1 and places:
        return seq(SIGN, WHOLE, optional(seq(Lit("."), repeat(DIGIT, 1, places), ZEROS)))
    count = next((n for n in range(1, 30) if 10**n % divisor == 0), None)
    if places == 0 and count is not None and 10**count // divisor <= ENDINGS:
        tail = optional(POINT_ZERO) if pointed else EMPTY
        return seq(SIGN, alt(*_endings(divisor, count)), tail)
    if divisor * (places + 2) > STATES:
        raise TooLarge
    return Machine(_divider(divisor, places))


POINT_ZERO = seq(Lit("."), repeat(Lit("0"), 1, DIGITS))


def _endings(divisor: int, count: int) -> Iterator[Node]:
    """Whole numbers whose last digits make them multiples."""
    numbers = range(0, 10**count, divisor)
    longer = [Lit(str(number).zfill(count)) for number in numbers]
    yield from (Lit(str(number)) for number in numbers)
    yield seq(chars("19"), repeat(DIGIT, 0, DIGITS - 1 - count), alt(*longer))


def _divider(divisor: int, places: int) -> Automaton:
    """An automaton that keeps the remainder of the digits read, and how many follow the point."""
    edges = (0, 0x2D, 0x2E, 0x2F, 0x30, *range(0x31, 0x3B))
    states: dict[tuple[int, int], int] = {}
    order = [(-2, 0)]
    states[-2, 0] = 0
    rows = []
    for state in order:
        row = []
        for edge in edges:
            to = _step(state, chr(edge), divisor, places)
            if to is not None and to not in states:
                states[to] = len(order)
                order.append(to)
            row.append(-1 if to is None else states[to])
        rows.append(tuple(row))
    final = (
        number
        for (place, rest), number in states.items()
        if place == -1 or place > 0
        if rest * 10 ** max(places - max(place, 0), 0) % divisor == 0
    )
    return Automaton(edges, tuple(rows), frozenset(final))


def _step(state: tuple[int, int], char: str, divisor: int, places: int) -> tuple[int, int] | None:
    """What follows a place and a remainder: -2 is the start, -3 a sign, -1 the whole part."""
    place, rest = state
    if char == "-":
        return (-3, 0) if place == -2 else None
    if char == ".":
        return (0, rest) if place == -1 else None
    if not "0" <= char <= "9":
        return None
    if place < 0:
        return -1, (rest * 10 + int(char)) % divisor
    if place < places:
        return place + 1, (rest * 10 + int(char)) % divisor
    return (max(places, 1), rest) if char == "0" else None
