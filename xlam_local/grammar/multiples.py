"""Nodes for the multiples of a number."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache

from ..gbnf import (
    DFA,
    EMPTY,
    AutomatonNode,
    Literal,
    Node,
    TooLarge,
    alt,
    chars,
    optional,
    repeat,
    seq,
)
from ..regular.dfa import alphabet_of
from .scalars import DIGIT, MAX_DIGITS, WHOLE

MAX_STATES = 3000
"""The most states of an automaton that computes remainders."""
MAX_ENDINGS = 400
"""The most endings that are listed."""

SIGN = optional(Literal("-"))
ZEROS = repeat(Literal("0"), 0, MAX_DIGITS)


@lru_cache(maxsize=64)
def multiples(step: Fraction, trailing_zeros: bool = True) -> Node:
    """Return the multiples of a step; `trailing_zeros` allows 1.0 for integers.

    Raises:
        TooLarge: the automaton needs more than MAX_STATES states.
    """
    places = next((n for n in range(MAX_DIGITS) if (step * 10**n).denominator == 1), MAX_DIGITS)
    if (step * 10**places).denominator != 1:
        raise TooLarge
    divisor = int(step * 10**places)
    if divisor == 1 and places:
        return seq(SIGN, WHOLE, optional(seq(Literal("."), repeat(DIGIT, 1, places), ZEROS)))
    count = next((n for n in range(1, 30) if 10**n % divisor == 0), None)
    if places == 0 and count is not None and 10**count // divisor <= MAX_ENDINGS:
        tail = optional(POINT_ZERO) if trailing_zeros else EMPTY
        return seq(SIGN, alt(*_endings(divisor, count)), tail)
    if divisor * (places + 2) > MAX_STATES:
        raise TooLarge
    return AutomatonNode(_remainder_automaton(divisor, places))


POINT_ZERO = seq(Literal("."), repeat(Literal("0"), 1, MAX_DIGITS))


def _endings(divisor: int, count: int) -> Iterator[Node]:
    """Yield the integers whose last digits make them multiples."""
    numbers = range(0, 10**count, divisor)
    longer = [Literal(str(number).zfill(count)) for number in numbers]
    yield from (Literal(str(number)) for number in numbers)
    yield seq(chars("19"), repeat(DIGIT, 0, MAX_DIGITS - 1 - count), alt(*longer))


def _remainder_automaton(divisor: int, places: int) -> DFA:
    """Return an automaton whose states are the remainder and the digits after the point."""
    alphabet = alphabet_of(((ord(char), ord(char)),) for char in "-.0123456789")
    states: dict[tuple[int, int], int] = {}
    order = [(-2, 0)]
    states[-2, 0] = 0
    rows = []
    for state in order:
        row = []
        for code in alphabet.first_characters:
            to = _step(state, chr(code), divisor, places)
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
    return DFA(alphabet, tuple(rows), frozenset(final))


def _step(state: tuple[int, int], char: str, divisor: int, places: int) -> tuple[int, int] | None:
    """Return the next state (place, remainder); place is -2: start, -3: sign, -1: integer part."""
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
