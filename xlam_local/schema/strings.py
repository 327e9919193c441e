"""String constraints: intersection and complement of languages with lengths."""

from __future__ import annotations

from collections.abc import Iterator

from ..gbnf import ANYTHING, DFA, TooLarge, intersection, matches
from ..gbnf import is_empty as no_text
from ..regular import nodes
from ..regular.nfa import to_dfa
from .value_sets import Strings


def intersect(left: Strings, right: Strings) -> Strings:
    """Return the strings of both sets."""
    bounds = [bound for bound in (left.maximum, right.maximum) if bound is not None]
    return Strings(
        intersection(left.node, right.node),
        max(left.minimum, right.minimum),
        min(bounds, default=None),
    )


def is_possible(shape: Strings) -> bool:
    """Return whether the set has any string; True if that is too much work to decide."""
    if shape.maximum is not None and shape.minimum > shape.maximum:
        return False
    is_bounded = shape.maximum is not None or shape.minimum > 0
    if shape.node == ANYTHING or not (is_bounded or nodes.may_match_nothing(shape.node)):
        return True
    try:
        if no_text(shape.node) or not is_bounded:
            return not no_text(shape.node)
        return _has_text_of_length(to_dfa(shape.node), shape.minimum, shape.maximum)
    except TooLarge:
        return True


def complement(shape: Strings) -> Iterator[Strings]:
    """Yield the sets of all other strings."""
    if shape.minimum:
        yield Strings(maximum=shape.minimum - 1)
    if shape.maximum is not None:
        yield Strings(minimum=shape.maximum + 1)
    if shape.node != ANYTHING:
        yield Strings(nodes.complement(shape.node))


def contains(shape: Strings, value: str) -> bool:
    """Return whether the set contains a string."""
    if len(value) < shape.minimum or (shape.maximum is not None and len(value) > shape.maximum):
        return False
    return shape.node == ANYTHING or matches(shape.node, value)


def _has_text_of_length(machine: DFA, least: int, most: int | None) -> bool:
    """Return whether the automaton accepts a text of a length in this range."""
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
