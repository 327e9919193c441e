"""Strings: regular languages within bounds of length, met and turned around."""

from __future__ import annotations

from collections.abc import Iterator

from ..gbnf import ANYTHING, And, Automaton, TooLarge, automaton, both, matches, without
from ..gbnf import empty as no_text
from .shapes import Strings


def meet(left: Strings, right: Strings) -> Strings:
    """Strings that fit both."""
    bounds = [bound for bound in (left.most, right.most) if bound is not None]
    return Strings(
        both(left.node, right.node),
        max(left.least, right.least),
        min(bounds, default=None),
    )


def possible(shape: Strings) -> bool:
    """Whether some string fits; when it is too much work to tell, it may."""
    if shape.most is not None and shape.least > shape.most:
        return False
    if shape.node == ANYTHING or (shape.most is None and not shape.least and not _sets(shape)):
        return True
    try:
        if no_text(shape.node) or (shape.most is None and not shape.least):
            return not no_text(shape.node)
        return _reaches(automaton(shape.node), shape.least, shape.most)
    except TooLarge:
        return True


def complement(shape: Strings) -> Iterator[Strings]:
    """The strings that do not fit."""
    if shape.least:
        yield Strings(most=shape.least - 1)
    if shape.most is not None:
        yield Strings(least=shape.most + 1)
    if shape.node != ANYTHING:
        yield Strings(without(shape.node))


def holds(shape: Strings, value: str) -> bool:
    """Whether a string fits."""
    if len(value) < shape.least or (shape.most is not None and len(value) > shape.most):
        return False
    return shape.node == ANYTHING or matches(shape.node, value)


def _sets(shape: Strings) -> bool:
    return isinstance(shape.node, And)


def _reaches(machine: Automaton, least: int, most: int | None) -> bool:
    """Whether the automaton accepts a text of such a length."""
    states, lengths = frozenset({0}), set[frozenset[int]]()
    for length in range((most if most is not None else least + len(machine.moves)) + 1):
        if length >= least and states & machine.final:
            return True
        if length > least and states in lengths:
            return False
        lengths.add(states)
        states = frozenset(to for state in states for to in machine.moves[state] if to >= 0)
        if not states:
            return False
    return False
