"""Rules for arrays: items in order, their number, and counted items."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..errors import SchemaError
from ..gbnf import EMPTY, Node, optional, repeat, seq, token
from ..schema.arrays import item_schemas
from ..schema.value_sets import FREE, Arrays, Contains, Enum, SchemaSet
from .rule_builder import RuleBuilder
from .scalars import COMMA, constant

MAX_ARRAY_RULES = 400
"""The most rules of one array."""
MAX_INLINE_ITEMS = 20
"""The most prefix items in one rule."""
MAX_UNIQUE_CHOICES = 6
"""The most listed values for which `uniqueItems` is enforced by the grammar."""


def array(builder: RuleBuilder, shape: Arrays, rule: str) -> Node:
    """Return the arrays of a type set."""
    values = _choices(builder, shape) if shape.unique and not shape.contains else None
    few = values is not None and len(values) <= MAX_UNIQUE_CHOICES
    if shape.unique and shape.maximum not in (0, 1) and not few:
        builder.defer_to_validation("uniqueItems", "equal items are found only after decoding")
    if values is not None and few:
        inside = _unique_items(builder, shape, rule, values)
    elif shape.contains and _states(shape) <= MAX_ARRAY_RULES:
        inside = _counted(builder, shape, rule)
    else:
        if shape.contains:
            builder.defer_to_validation("contains", "it has too many items to count")
        inside = _items(builder, shape, rule)
    return seq(token("["), inside, token("]"))


def _items(builder: RuleBuilder, shape: Arrays, rule: str) -> Node:
    """Return items in order, as many as the bounds allow."""
    known = len(shape.prefix) if shape.maximum is None else min(len(shape.prefix), shape.maximum)
    if known > MAX_INLINE_ITEMS:
        return _counted(builder, replace(shape, contains=()), rule)
    node: Node = EMPTY
    if shape.maximum is None or shape.maximum > known:
        most = None if shape.maximum is None else shape.maximum - max(known, 1)
        more = seq(COMMA, builder.node(shape.items))
        node = repeat(more, max(shape.minimum - max(known, 1), 0), most)
        if known == 0:
            first = seq(builder.node(shape.items), node)
            return first if shape.minimum else optional(first)
    for index in reversed(range(known)):
        item = builder.node(shape.prefix[index])
        node = seq(COMMA if index else EMPTY, item, node)
        node = node if index < shape.minimum else optional(node)
    return node


def _choices(builder: RuleBuilder, shape: Arrays) -> list[Any] | None:
    """Return the values that items can have, if they are listed."""
    if shape.prefix or not shape.items:
        return None
    shapes = [
        each for found in builder.solver.value_set(shape.items).shapes.values() for each in found
    ]
    lists = [each.values for each in shapes if isinstance(each, Enum)]
    return [value for each in lists for value in each] if len(lists) == len(shapes) else None


def _unique_items(builder: RuleBuilder, shape: Arrays, rule: str, values: list[Any]) -> Node:
    """Return items from a few values, no two of them equal."""

    def steps(left: tuple[int, ...]) -> Iterator[tuple[Node | None, tuple[int, ...]]]:
        if shape.maximum is None or len(values) - len(left) < shape.maximum:
            for index in left:
                yield constant(values[index]), tuple(other for other in left if other != index)

    def done(left: tuple[int, ...]) -> bool:
        return len(values) - len(left) >= shape.minimum

    return builder.sequence(rule, tuple(range(len(values))), steps, done)


def _states(shape: Arrays) -> int:
    each = shape.contains[0]
    return (_length(shape) + 1) * (max(each.minimum, each.maximum or 0) + 1)


def _length(shape: Arrays) -> int:
    """Return the number of items after which the states repeat."""
    return max(len(shape.prefix), shape.minimum, shape.maximum or 0)


def _counted(builder: RuleBuilder, shape: Arrays, rule: str) -> Node:
    """Return items in order, counting those that are valid for `contains`."""
    each = shape.contains[0] if shape.contains else Contains(FREE, 0)
    if _length(shape) > MAX_ARRAY_RULES:
        raise SchemaError(
            f"An array has more than {MAX_ARRAY_RULES} items with schemas of their own."
        )
    if len(shape.contains) > 1:
        builder.defer_to_validation("contains", "only one `contains` is counted")
    top = each.maximum if each.maximum is not None else each.minimum

    def steps(state: tuple[int, int]) -> Iterator[tuple[Node | None, tuple[int, int]]]:
        index, count = state
        if index == shape.maximum:
            return
        item, after = item_schemas(shape, index), min(index + 1, _length(shape))
        if count != each.maximum and shape.contains:
            yield builder.node(item | each.goal), (after, min(count + 1, top))
        yield builder.node(_uncounted(item, each.goal, each.maximum)), (after, count)

    def done(state: tuple[int, int]) -> bool:
        return state[0] >= shape.minimum and state[1] >= each.minimum

    return builder.sequence(rule, (0, 0), steps, done)


def _uncounted(item: SchemaSet, wanted: SchemaSet, most: int | None) -> SchemaSet:
    """Return the schema set of an item that is not counted."""
    if most is None:
        return item
    (claim,) = wanted
    return item | {~claim}
