"""Array constraints: intersection and complement."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from .value_sets import FREE, Arrays, Contains, SchemaSet

Empty = Callable[[SchemaSet], bool]
Holds = Callable[[SchemaSet, Any], bool]


def intersect(left: Arrays, right: Arrays) -> Arrays:
    """Return the arrays of both sets."""
    length = max(len(left.prefix), len(right.prefix))
    bounds = [bound for bound in (left.maximum, right.maximum) if bound is not None]
    return Arrays(
        tuple(item_schemas(left, index) | item_schemas(right, index) for index in range(length)),
        left.items | right.items,
        max(left.minimum, right.minimum),
        min(bounds, default=None),
        tuple(dict.fromkeys(left.contains + right.contains)),
        left.unique or right.unique,
    )


def item_schemas(shape: Arrays, index: int) -> SchemaSet:
    """Return the schema set of the item at an index."""
    return shape.prefix[index] if index < len(shape.prefix) else shape.items


def simplify(shape: Arrays, empty: Empty) -> Arrays | None:
    """Return the set with the length that its items allow, or None if it is empty."""
    ends = (index for index, item in enumerate(shape.prefix) if empty(item))
    end = next(ends, len(shape.prefix) if empty(shape.items) else None)
    most = (
        shape.maximum
        if end is None
        else min(end, shape.maximum if shape.maximum is not None else end)
    )
    if most is not None and most < shape.minimum:
        return None
    if any(each.maximum is not None and each.maximum < each.minimum for each in shape.contains):
        return None
    return replace(shape, maximum=most, prefix=shape.prefix[:most]) if most is not None else shape


def complement(shape: Arrays) -> Iterator[Arrays] | None:
    """Return the sets of all other arrays, or None if they cannot be expressed."""
    if shape.unique or (shape.prefix and shape.items != FREE) or len(shape.contains) > 1:
        return None
    return _complement(shape)


def _complement(shape: Arrays) -> Iterator[Arrays]:
    if shape.minimum:
        yield Arrays(maximum=shape.minimum - 1)
    if shape.maximum is not None:
        yield Arrays(minimum=shape.maximum + 1)
    for index, item in enumerate(shape.prefix):
        for claim in item:
            yield Arrays((FREE,) * index + (frozenset({~claim}),), minimum=index + 1)
    for claim in shape.items:
        yield Arrays(contains=(Contains(frozenset({~claim})),))
    for each in shape.contains:
        if each.minimum:
            yield Arrays(contains=(Contains(each.goal, 0, each.minimum - 1),))
        if each.maximum is not None:
            yield Arrays(contains=(Contains(each.goal, each.maximum + 1),))


def contains(shape: Arrays, value: Sequence[Any], fits: Holds) -> bool:
    """Return whether the set contains an array."""
    if len(value) < shape.minimum or (shape.maximum is not None and len(value) > shape.maximum):
        return False
    if shape.unique and len(set(map(json_key, value))) < len(value):
        return False
    if not all(fits(item_schemas(shape, index), item) for index, item in enumerate(value)):
        return False
    return all(
        each.minimum <= sum(fits(each.goal, item) for item in value)
        and (each.maximum is None or sum(fits(each.goal, item) for item in value) <= each.maximum)
        for each in shape.contains
    )


def json_key(value: Any) -> Hashable:
    """Return a key that two JSON values share if they are equal: 1 and 1.0, but not 1 and true."""
    if isinstance(value, bool):
        return "boolean", value
    if isinstance(value, list | tuple):
        return "array", tuple(map(json_key, value))
    if isinstance(value, dict):
        return "object", frozenset((name, json_key(inner)) for name, inner in value.items())
    return value  # type: ignore[no-any-return]


def json_equal(left: Any, right: Any) -> bool:
    """Return whether two JSON values are equal."""
    return json_key(left) == json_key(right)
