"""Objects: slots for known properties and extras for all others, met and turned around."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..gbnf import ANYTHING, Node, both, matches
from ..gbnf import empty as no_text
from .shapes import FREE, Extras, Goal, Objects, Slot

Empty = Callable[[Goal], bool]
Holds = Callable[[Goal, Any], bool]


def meet(left: Objects, right: Objects) -> Objects:
    """Objects that fit both."""
    names = dict.fromkeys([*left.slots, *right.slots])
    bounds = [bound for bound in (left.most, right.most) if bound is not None]
    return Objects(
        {name: _joined(slot(left, name), slot(right, name)) for name in names},
        tuple(_crossed(left.extras, right.extras)),
        max(left.least, right.least),
        min(bounds, default=None),
    )


def slot(shape: Objects, name: str) -> Slot:
    """What is known of a property, whether it has a slot or is an extra one."""
    if name in shape.slots:
        return shape.slots[name]
    return Slot(next((extra.goal for extra in shape.extras if named(extra, name)), FREE))


def named(extra: Extras, name: str) -> bool:
    """Whether a property's name is one of these."""
    return extra.names == ANYTHING or matches(extra.names, name)


def _joined(left: Slot, right: Slot) -> Slot:
    return Slot(left.goal | right.goal, left.needed or right.needed)


def _crossed(left: tuple[Extras, ...], right: tuple[Extras, ...]) -> Iterator[Extras]:
    for one in left:
        for other in right:
            names = both(one.names, other.names)
            if (
                ANYTHING in (one.names, other.names)
                or one.names == other.names
                or not no_text(names)
            ):
                yield Extras(names, one.goal | other.goal, one.said or other.said)


def narrowed(shape: Objects, empty: Empty) -> Objects | None:
    """The shape when its needed slots can be filled; None when nothing fits."""
    needed = sum(slot.needed for slot in shape.slots.values())
    if shape.most is not None and shape.most < max(needed, shape.least):
        return None
    if any(slot.needed and slot.goal and empty(slot.goal) for slot in shape.slots.values()):
        return None
    return replace(shape, least=max(shape.least, needed)) if shape.least else shape


def complement(shape: Objects) -> Iterator[Objects] | None:
    """The objects that do not fit, or None where they cannot be told."""
    if any(extra.goal for extra in shape.extras):
        return None
    return _complement(shape)


def _complement(shape: Objects) -> Iterator[Objects]:
    if shape.least:
        yield Objects(most=shape.least - 1)
    if shape.most is not None:
        yield Objects(least=shape.most + 1)
    for name, known in shape.slots.items():
        if known.needed:
            yield Objects({name: Slot(NEVER)})
        for claim in known.goal:
            yield Objects({name: Slot(frozenset({~claim}), needed=True)})


def holds(shape: Objects, value: Mapping[str, Any], fits: Holds) -> bool:
    """Whether an object fits."""
    if len(value) < shape.least or (shape.most is not None and len(value) > shape.most):
        return False
    if any(known.needed and name not in value for name, known in shape.slots.items()):
        return False
    return all(fits(slot(shape, name).goal, inner) for name, inner in value.items())


NEVER: Goal = frozenset({0})
"""Schema 0 of every document is the one that no value fits."""

__all__ = ["NEVER", "Node", "complement", "holds", "meet", "named", "narrowed", "slot"]
