"""Rules for objects: listed properties in order, others wherever they are allowed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from ..gbnf import (
    ANYTHING,
    EMPTY,
    And,
    Literal,
    Node,
    Not,
    Quoted,
    Ref,
    TooLarge,
    alt,
    complement,
    conditions,
    intersection,
    is_empty,
    optional,
    repeat,
    seq,
    token,
)
from ..regular.nfa import to_dfa
from ..schema.value_sets import Objects, OtherProperties
from .rule_builder import RuleBuilder
from .scalars import COLON, COMMA, key

MAX_REMEMBERED = 6
"""The most properties in any order that are each generated at most once."""
MAX_ANY_ORDER_CASES = 400
"""The most cases of an object with properties in any order."""
MAX_NAME_CONDITIONS = 12
"""The most intersected patterns for the names of one object's properties."""
MAX_ROW_PROPERTIES = 100
"""The most properties in one row of rules."""
MAX_LEADING_OPTIONAL = 3
"""The most optional properties before the first required one in one rule."""

Pair = tuple[bool, Node]
Position = tuple[int, int, bool]
"""The next property, how many are written, and whether some were skipped."""
WrittenNames = tuple[frozenset[int], int]


def object_(builder: RuleBuilder, shape: Objects, rule: str) -> Node:
    """Return the objects of a type set."""
    shape = _with_distinct_names(builder, shape)
    pairs = [
        (slot.required, seq(key(name), COLON, builder.node(slot.goal)))
        for name, slot in shape.properties.items()
        if slot.required or not builder.solver.is_empty(slot.goal)
    ]
    extras = [
        seq(_names(extra, shape), COLON, builder.node(extra.goal))
        for extra in _allowed_others(builder, shape, rule)
        if not builder.solver.is_empty(extra.goal)
    ]
    if extras and shape.minimum > 1:
        builder.defer_to_validation("minProperties", "a name could be written twice and count once")
    counted = shape.minimum > _needed(pairs) or shape.maximum is not None
    free = builder.any_order and (
        len(pairs) <= MAX_REMEMBERED or _cases(pairs) <= MAX_ANY_ORDER_CASES
    )
    if free and len(pairs) > MAX_REMEMBERED and shape.minimum > _needed(pairs):
        builder.defer_to_validation("minProperties", "a name could be written twice and count once")
    if (
        not counted
        and not extras
        and _leading(pairs) <= MAX_LEADING_OPTIONAL
        and not (free and pairs[1:])
    ):
        return seq(token("{"), _members(pairs), token("}"))
    if not pairs and len(extras) > 0:
        return seq(token("{"), _repeat_pair(alt(*extras), shape.minimum, shape.maximum), token("}"))
    inside = _unordered if free else _ordered
    return seq(token("{"), inside(builder, shape, rule, pairs, extras), token("}"))


def _needed(pairs: list[Pair]) -> int:
    return sum(needed for needed, _ in pairs)


def _cases(pairs: list[Pair]) -> int:
    return len(pairs) << _needed(pairs)


def _allowed_others(builder: RuleBuilder, shape: Objects, rule: str) -> Iterator[OtherProperties]:
    """Yield the properties that are not listed and that the grammar allows."""
    closed = builder.closed and (bool(shape.properties) or rule == builder.prefix)
    for extra in shape.other_properties:
        if (extra.declared or not closed) and not _used_up(extra, shape):
            yield extra


def _used_up(extra: OtherProperties, shape: Objects) -> bool:
    """Return whether all of the names are listed properties."""
    if extra.names == ANYTHING or not shape.properties:
        return False
    return is_empty(intersection(extra.names, complement(alt(*map(Literal, shape.properties)))))


def _names(extra: OtherProperties, shape: Objects) -> Node:
    """Return the names of properties that are not listed."""
    taken = alt(*map(Literal, shape.properties))
    names = intersection(extra.names, complement(taken)) if shape.properties else extra.names
    return Ref("string") if names == ANYTHING else Quoted(names)


def _with_distinct_names(builder: RuleBuilder, shape: Objects) -> Objects:
    """Return the set with names that both grammar backends can distinguish."""
    try:
        count = sum(conditions(_names(extra, shape)) for extra in shape.other_properties)
        for extra in shape.other_properties:
            to_dfa(extra.names)
    except TooLarge:
        count = MAX_NAME_CONDITIONS + 1
    if count <= MAX_NAME_CONDITIONS:
        return shape
    builder.defer_to_validation(
        "patternProperties", "its name patterns combine to too many conditions"
    )
    loose = (replace(extra, names=_wanted(extra.names)) for extra in shape.other_properties)
    return replace(shape, other_properties=tuple(loose))


def _wanted(names: Node) -> Node:
    """Return the names by their first pattern alone."""
    parts = names.parts if isinstance(names, And) else (names,)
    return next((part for part in parts if not isinstance(part, Not)), ANYTHING)


def _leading(pairs: list[Pair]) -> int:
    """Return how many optional properties precede the first required one."""
    return next((index for index, (needed, _) in enumerate(pairs) if needed), len(pairs))


def _members(pairs: list[Pair]) -> Node:
    """Return the properties in order, with commas between those present."""
    choices = [
        seq(first, *(_after(pair) for pair in pairs[index + 1 :]))
        for index, (_, first) in enumerate(pairs[: _leading(pairs) + 1])
    ]
    return alt(*choices) if any(needed for needed, _ in pairs) else alt(*choices, EMPTY)


def _after(pair: Pair) -> Node:
    needed, node = pair
    tail = seq(COMMA, node)
    return tail if needed else optional(tail)


def _repeat_pair(pair: Node, least: int, most: int | None) -> Node:
    """Return a number of properties of the same form."""
    if most == 0:
        return EMPTY
    rest = repeat(seq(COMMA, pair), max(least - 1, 0), None if most is None else most - 1)
    return seq(pair, rest) if least else optional(seq(pair, rest))


def _ordered(
    builder: RuleBuilder, shape: Objects, rule: str, pairs: list[Pair], extras: list[Node]
) -> Node:
    """Return properties in order with others anywhere between them, counted if bounded."""
    if len(pairs) > MAX_ROW_PROPERTIES:
        if shape.minimum > 1 or shape.maximum is not None:
            builder.defer_to_validation("maxProperties", "it has too many properties to count")
        shape, pairs = replace(shape, minimum=0, maximum=None), _blocks(builder, rule, pairs)
    top = shape.maximum if shape.maximum is not None else shape.minimum
    last_needed = max((index for index, (needed, _) in enumerate(pairs) if needed), default=-1)

    def done(state: Position) -> bool:
        return state[0] > last_needed and state[1] >= shape.minimum

    return builder.sequence(rule, (0, 0, False), _steps(pairs, extras, shape.maximum, top), done)


def _steps(
    pairs: list[Pair], extras: list[Node], most: int | None, top: int
) -> Callable[[Position], Iterator[tuple[Node | None, Position]]]:
    """Return the steps at a position: another property, or one of the next listed ones."""

    def steps(state: Position) -> Iterator[tuple[Node | None, Position]]:
        index, count, passed = state
        if count == most:
            return
        more = min(count + 1, top)
        if not passed:
            yield from ((extra, (index, more, False)) for extra in extras)
        for later in range(index, min(index + MAX_LEADING_OPTIONAL, len(pairs))):
            yield pairs[later][1], (later + 1, more, False)
            if pairs[later][0]:
                return
        if index + MAX_LEADING_OPTIONAL < len(pairs):
            yield None, (index + MAX_LEADING_OPTIONAL, count, True)

    return steps


def _blocks(builder: RuleBuilder, rule: str, pairs: list[Pair]) -> list[Pair]:
    """Return rows of properties as one pair each; llguidance's stack limits the length of a row."""
    blocks: list[Pair] = []
    for number, start in enumerate(range(0, len(pairs), MAX_ROW_PROPERTIES)):
        block = pairs[start : start + MAX_ROW_PROPERTIES]
        last = max((index for index, (needed, _) in enumerate(block) if needed), default=-1)
        name = builder.unused_name(f"{rule}-block-{number}")
        builder.rules[name] = builder.sequence(
            name,
            (0, 0, False),
            _steps(block, [], None, 0),
            partial(_is_past, max(last, 0)),
        )
        blocks.append((last >= 0, Ref(name)))
    return blocks


def _is_past(index: int, state: Position) -> bool:
    return state[0] > index


def _unordered(
    builder: RuleBuilder, shape: Objects, rule: str, pairs: list[Pair], extras: list[Node]
) -> Node:
    """Return properties in any order: each once if there are few, else the required ones once.

    A property that is written twice has its last value, which the schema allows as well.
    """
    top = shape.maximum if shape.maximum is not None else shape.minimum
    needed = {index for index, (must, _) in enumerate(pairs) if must}
    few = len(pairs) <= MAX_REMEMBERED

    def steps(state: WrittenNames) -> Iterator[tuple[Node | None, WrittenNames]]:
        written, count = state
        if count == shape.maximum:
            return
        more = min(count + 1, top)
        for index, (must, node) in enumerate(pairs):
            if index not in written:
                yield node, (written | {index} if must or few else written, more)
        yield from ((extra, (written, more)) for extra in extras)

    def done(state: WrittenNames) -> bool:
        return needed <= state[0] and state[1] >= shape.minimum

    return builder.sequence(rule, (frozenset[int](), 0), steps, done)
