"""Arrays: goals for items, met and turned around."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from .shapes import FREE, Arrays, Contains, Goal

Empty = Callable[[Goal], bool]
Holds = Callable[[Goal, Any], bool]


def meet(left: Arrays, right: Arrays) -> Arrays:
    """Arrays that fit both."""
    length = max(len(left.prefix), len(right.prefix))
    bounds = [bound for bound in (left.most, right.most) if bound is not None]
    return Arrays(
        tuple(goal(left, index) | goal(right, index) for index in range(length)),
        left.items | right.items,
        max(left.least, right.least),
        min(bounds, default=None),
        tuple(dict.fromkeys(left.contains + right.contains)),
        left.unique or right.unique,
    )


def goal(shape: Arrays, index: int) -> Goal:
    """What the item at an index has to fit."""
    return shape.prefix[index] if index < len(shape.prefix) else shape.items


def narrowed(shape: Arrays, empty: Empty) -> Arrays | None:
    """The shape no longer than its goals allow; None when nothing fits."""
    ends = (index for index, item in enumerate(shape.prefix) if empty(item))
    end = next(ends, len(shape.prefix) if empty(shape.items) else None)
    most = shape.most if end is None else min(end, shape.most if shape.most is not None else end)
    if most is not None and most < shape.least:
        return None
    if any(each.most is not None and each.most < each.least for each in shape.contains):
        return None
    return replace(shape, most=most, prefix=shape.prefix[:most]) if most is not None else shape


def complement(shape: Arrays) -> Iterator[Arrays] | None:
    """The arrays that do not fit, or None where they cannot be told."""
    if shape.unique or (shape.prefix and shape.items != FREE) or len(shape.contains) > 1:
        return None
    return _complement(shape)


def _complement(shape: Arrays) -> Iterator[Arrays]:
    if shape.least:
        yield Arrays(most=shape.least - 1)
    if shape.most is not None:
        yield Arrays(least=shape.most + 1)
    for index, item in enumerate(shape.prefix):
        for claim in item:
            yield Arrays((FREE,) * index + (frozenset({~claim}),), least=index + 1)
    for claim in shape.items:
        yield Arrays(contains=(Contains(frozenset({~claim})),))
    for each in shape.contains:
        if each.least:
            yield Arrays(contains=(Contains(each.goal, 0, each.least - 1),))
        if each.most is not None:
            yield Arrays(contains=(Contains(each.goal, each.most + 1),))


def holds(shape: Arrays, value: Sequence[Any], fits: Holds) -> bool:
    """Whether an array fits."""
    if len(value) < shape.least or (shape.most is not None and len(value) > shape.most):
        return False
    if shape.unique and any(same(a, b) for i, a in enumerate(value) for b in value[:i]):
        return False
    if not all(fits(goal(shape, index), item) for index, item in enumerate(value)):
        return False
    return all(
        each.least <= sum(fits(each.goal, item) for item in value)
        and (each.most is None or sum(fits(each.goal, item) for item in value) <= each.most)
        for each in shape.contains
    )


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal: 1 is 1.0, and true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return bool(left == right)
