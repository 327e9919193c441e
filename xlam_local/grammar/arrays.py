"""Arrays: items in order, so many of them, some of them of a kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import SchemaError
from ..gbnf import EMPTY, Node, optional, repeat, seq, token
from ..schema.arrays import goal
from ..schema.shapes import FREE, Arrays, Contains, Goal, Listed
from .scalars import COMMA, constant

if TYPE_CHECKING:
    from .writer import Writer

STATES = 400
"""Rules that one array may need."""
FEW = 20
"""First items that one rule has room for."""
CHOICES = 6
"""Values that an array without equal items may choose from."""


def array(writer: Writer, shape: Arrays, rule: str) -> Node:
    """The arrays of a shape."""
    values = _choices(writer, shape) if shape.unique and not shape.contains else None
    few = values is not None and len(values) <= CHOICES
    if shape.unique and shape.most not in (0, 1) and not few:
        writer.unsure("uniqueItems", "whether items are equal shows only when they are there")
    if values is not None and few:
        inside = _different(writer, shape, rule, values)
    elif shape.contains and _states(shape) <= STATES:
        inside = _counted(writer, shape, rule)
    else:
        if shape.contains:
            writer.unsure("contains", "too many items would have to be counted")
        inside = _items(writer, shape, rule)
    return seq(token("["), inside, token("]"))


def _items(writer: Writer, shape: Arrays, rule: str) -> Node:
    """Items in order, as many as the bounds allow."""
    known = len(shape.prefix) if shape.most is None else min(len(shape.prefix), shape.most)
    if known > FEW:
        return _counted(writer, replace(shape, contains=()), rule)
    node: Node = EMPTY
    if shape.most is None or shape.most > known:
        most = None if shape.most is None else shape.most - max(known, 1)
        more = seq(COMMA, writer.node(shape.items))
        node = repeat(more, max(shape.least - max(known, 1), 0), most)
        if known == 0:
            first = seq(writer.node(shape.items), node)
            return first if shape.least else optional(first)
    for index in reversed(range(known)):
        item = writer.node(shape.prefix[index])
        node = seq(COMMA if index else EMPTY, item, node)
        node = node if index < shape.least else optional(node)
    return node


def _choices(writer: Writer, shape: Arrays) -> list[Any] | None:
    """The values that items can have, if they are listed."""
    if shape.prefix or not shape.items:
        return None
    shapes = [each for found in writer.solver.kinds(shape.items).shapes.values() for each in found]
    lists = [each.values for each in shapes if isinstance(each, Listed)]
    return [value for each in lists for value in each] if len(lists) == len(shapes) else None


def _different(writer: Writer, shape: Arrays, rule: str, values: list[Any]) -> Node:
    """Items out of a few values, no two of them equal."""

    def steps(left: tuple[int, ...]) -> Iterator[tuple[Node | None, tuple[int, ...]]]:
        if shape.most is None or len(values) - len(left) < shape.most:
            for index in left:
                yield constant(values[index]), tuple(other for other in left if other != index)

    def done(left: tuple[int, ...]) -> bool:
        return len(values) - len(left) >= shape.least

    return writer.sequence(rule, tuple(range(len(values))), steps, done)


def _states(shape: Arrays) -> int:
    each = shape.contains[0]
    return (_length(shape) + 1) * (max(each.least, each.most or 0) + 1)


def _length(shape: Arrays) -> int:
    """The number of items from which on nothing changes any more."""
    return max(len(shape.prefix), shape.least, shape.most or 0)


def _counted(writer: Writer, shape: Arrays, rule: str) -> Node:
    """Items in order, where those that fit another schema are counted."""
    each = shape.contains[0] if shape.contains else Contains(FREE, 0)
    if _length(shape) > STATES:
        raise SchemaError(f"An array has more than {STATES} items that each have a schema.")
    if len(shape.contains) > 1:
        writer.unsure("contains", "only one kind of items is counted")
    top = each.most if each.most is not None else each.least

    def steps(state: tuple[int, int]) -> Iterator[tuple[Node | None, tuple[int, int]]]:
        index, count = state
        if index == shape.most:
            return
        item, after = goal(shape, index), min(index + 1, _length(shape))
        if count != each.most and shape.contains:
            yield writer.node(item | each.goal), (after, min(count + 1, top))
        yield writer.node(_others(item, each.goal, each.most)), (after, count)

    def done(state: tuple[int, int]) -> bool:
        return state[0] >= shape.least and state[1] >= each.least

    return writer.sequence(rule, (0, 0), steps, done)


def _others(item: Goal, wanted: Goal, most: int | None) -> Goal:
    """What an item that is not counted fits; without a limit it may fit anything."""
    if most is None:
        return item
    (claim,) = wanted
    return item | {~claim}
