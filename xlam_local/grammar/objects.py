"""Objects: known properties in their order, others wherever they are allowed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ..gbnf import (
    ANYTHING,
    EMPTY,
    And,
    Lit,
    Node,
    Not,
    Quoted,
    Ref,
    TooLarge,
    alt,
    automaton,
    both,
    conditions,
    empty,
    optional,
    repeat,
    seq,
    token,
    without,
)
from ..schema.shapes import Extras, Objects
from .scalars import COLON, COMMA, key

if TYPE_CHECKING:
    from .writer import Writer

FREE = 6
"""Properties that are remembered, where values without a tool have them in any order."""
CASES = 400
"""Cases of one object whose properties come in any order: what is there, and what may come."""
CONDITIONS = 12
"""Conditions on the names of one object's properties, all together."""
BLOCK = 100
"""Properties in one row of rules."""
LEADING = 3
"""Optional properties before the first needed one that one rule has room for."""

Pair = tuple[bool, Node]
Place = tuple[int, int, bool]
"""The next property, how many are written, and whether others were passed over on the way."""
Written = tuple[frozenset[int], int]


def object_(writer: Writer, shape: Objects, rule: str) -> Node:
    """The objects of a shape."""
    shape = _told(writer, shape)
    pairs = [
        (slot.needed, seq(key(name), COLON, writer.node(slot.goal)))
        for name, slot in shape.slots.items()
        if slot.needed or not writer.solver.empty(slot.goal)
    ]
    extras = [
        seq(_names(extra, shape), COLON, writer.node(extra.goal))
        for extra in _open(writer, shape, rule)
        if not writer.solver.empty(extra.goal)
    ]
    if extras and shape.least > 1:
        writer.unsure("minProperties", "a name could be written twice and count once")
    counted = shape.least > _needed(pairs) or shape.most is not None
    free = writer.free_order and (len(pairs) <= FREE or _cases(pairs) <= CASES)
    if free and len(pairs) > FREE and shape.least > _needed(pairs):
        writer.unsure("minProperties", "a name could be written twice and count once")
    if not counted and not extras and _leading(pairs) <= LEADING and not (free and pairs[1:]):
        return seq(token("{"), _members(pairs), token("}"))
    if not pairs and len(extras) > 0:
        return seq(token("{"), _only(alt(*extras), shape.least, shape.most), token("}"))
    inside = _unordered if free else _ordered
    return seq(token("{"), inside(writer, shape, rule, pairs, extras), token("}"))


def _needed(pairs: list[Pair]) -> int:
    return sum(needed for needed, _ in pairs)


def _cases(pairs: list[Pair]) -> int:
    return len(pairs) << _needed(pairs)


def _open(writer: Writer, shape: Objects, rule: str) -> Iterator[Extras]:
    """The properties without a slot that the grammar lets through."""
    closed = writer.closed and (bool(shape.slots) or rule == writer.prefix)
    for extra in shape.extras:
        if (extra.said or not closed) and not _used_up(extra, shape):
            yield extra


def _used_up(extra: Extras, shape: Objects) -> bool:
    """Whether all of the names have slots."""
    if extra.names == ANYTHING or not shape.slots:
        return False
    return empty(both(extra.names, without(alt(*map(Lit, shape.slots)))))


def _names(extra: Extras, shape: Objects) -> Node:
    """The names of properties without a slot."""
    taken = alt(*map(Lit, shape.slots))
    names = both(extra.names, without(taken)) if shape.slots else extra.names
    return Ref("string") if names == ANYTHING else Quoted(names)


def _told(writer: Writer, shape: Objects) -> Objects:
    """The shape with names that both executors can tell apart; others overlap."""
    try:
        count = sum(conditions(_names(extra, shape)) for extra in shape.extras)
        for extra in shape.extras:
            automaton(extra.names)
    except TooLarge:
        count = CONDITIONS + 1
    if count <= CONDITIONS:
        return shape
    writer.unsure("patternProperties", "its names have too many conditions")
    loose = (replace(extra, names=_wanted(extra.names)) for extra in shape.extras)
    return replace(shape, extras=tuple(loose))


def _wanted(names: Node) -> Node:
    """Names by the first pattern that they have, whatever others say."""
    parts = names.parts if isinstance(names, And) else (names,)
    return next((part for part in parts if not isinstance(part, Not)), ANYTHING)


def _leading(pairs: list[Pair]) -> int:
    """How many optional properties stand in front of the first needed one."""
    return next((index for index, (needed, _) in enumerate(pairs) if needed), len(pairs))


def _members(pairs: list[Pair]) -> Node:
    """Properties in order, with commas only between those that are there."""
    choices = [
        seq(first, *(_after(pair) for pair in pairs[index + 1 :]))
        for index, (_, first) in enumerate(pairs[: _leading(pairs) + 1])
    ]
    return alt(*choices) if any(needed for needed, _ in pairs) else alt(*choices, EMPTY)


def _after(pair: Pair) -> Node:
    needed, node = pair
    tail = seq(COMMA, node)
    return tail if needed else optional(tail)


def _only(pair: Node, least: int, most: int | None) -> Node:
    """So many properties, all alike."""
    if most == 0:
        return EMPTY
    rest = repeat(seq(COMMA, pair), max(least - 1, 0), None if most is None else most - 1)
    return seq(pair, rest) if least else optional(seq(pair, rest))


def _ordered(
    writer: Writer, shape: Objects, rule: str, pairs: list[Pair], extras: list[Node]
) -> Node:
    """Properties in order and others anywhere between them, counted where bounds ask for it."""
    if len(pairs) > BLOCK:
        if shape.least > 1 or shape.most is not None:
            writer.unsure("maxProperties", "there are too many properties to be counted")
        shape, pairs = replace(shape, least=0, most=None), _blocks(writer, rule, pairs)
    top = shape.most if shape.most is not None else shape.least
    last_needed = max((index for index, (needed, _) in enumerate(pairs) if needed), default=-1)

    def done(state: Place) -> bool:
        return state[0] > last_needed and state[1] >= shape.least

    return writer.sequence(rule, (0, 0, False), _steps(pairs, extras, shape.most, top), done)


def _steps(
    pairs: list[Pair], extras: list[Node], most: int | None, top: int
) -> Callable[[Place], Iterator[tuple[Node | None, Place]]]:
    """What may come at a place: another property, or one of the next ones."""

    def steps(state: Place) -> Iterator[tuple[Node | None, Place]]:
        index, count, passed = state
        if count == most:
            return
        more = min(count + 1, top)
        if not passed:
            yield from ((extra, (index, more, False)) for extra in extras)
        for later in range(index, min(index + LEADING, len(pairs))):
            yield pairs[later][1], (later + 1, more, False)
            if pairs[later][0]:
                return
        if index + LEADING < len(pairs):
            yield None, (index + LEADING, count, True)

    return steps


def _blocks(writer: Writer, rule: str, pairs: list[Pair]) -> list[Pair]:
    """Rows of properties as one each: llguidance has no stack for longer rows of rules."""
    blocks: list[Pair] = []
    for number, start in enumerate(range(0, len(pairs), BLOCK)):
        block = pairs[start : start + BLOCK]
        last = max((index for index, (needed, _) in enumerate(block) if needed), default=-1)
        name = writer.free(f"{rule}-block-{number}")
        writer.rules[name] = writer.sequence(
            name,
            (0, 0, False),
            _steps(block, [], None, 0),
            lambda state, last=last: state[0] > max(last, 0),  # type: ignore[misc]
        )
        blocks.append((last >= 0, Ref(name)))
    return blocks


def _unordered(
    writer: Writer, shape: Objects, rule: str, pairs: list[Pair], extras: list[Node]
) -> Node:
    """Properties in any order; of few each one once, of many the needed ones.

    A property that is written twice has its last value, which the schema allows as well.
    """
    top = shape.most if shape.most is not None else shape.least
    needed = {index for index, (must, _) in enumerate(pairs) if must}
    few = len(pairs) <= FREE

    def steps(state: Written) -> Iterator[tuple[Node | None, Written]]:
        written, count = state
        if count == shape.most:
            return
        more = min(count + 1, top)
        for index, (must, node) in enumerate(pairs):
            if index not in written:
                yield node, (written | {index} if must or few else written, more)
        yield from ((extra, (written, more)) for extra in extras)

    def done(state: Written) -> bool:
        return needed <= state[0] and state[1] >= shape.least

    return writer.sequence(rule, (frozenset[int](), 0), steps, done)
