"""Object constraints: intersection and complement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..gbnf import ANYTHING, Node, intersection, matches
from ..gbnf import is_empty as no_text
from .value_sets import FREE, Objects, OtherProperties, Property, SchemaSet

Empty = Callable[[SchemaSet], bool]
Holds = Callable[[SchemaSet, Any], bool]


def intersect(left: Objects, right: Objects) -> Objects:
    """Return the objects of both sets."""
    names = dict.fromkeys([*left.properties, *right.properties])
    bounds = [bound for bound in (left.maximum, right.maximum) if bound is not None]
    return Objects(
        {name: _joined(property_of(left, name), property_of(right, name)) for name in names},
        tuple(_crossed(left.other_properties, right.other_properties)),
        max(left.minimum, right.minimum),
        min(bounds, default=None),
    )


def property_of(shape: Objects, name: str) -> Property:
    """Return the schema set of a property, listed or not."""
    if name in shape.properties:
        return shape.properties[name]
    return Property(
        next((extra.goal for extra in shape.other_properties if has_name(extra, name)), FREE)
    )


def has_name(extra: OtherProperties, name: str) -> bool:
    """Return whether a property's name is in the language of these properties."""
    return extra.names == ANYTHING or matches(extra.names, name)


def _joined(left: Property, right: Property) -> Property:
    return Property(left.goal | right.goal, left.required or right.required)


def _crossed(
    left: tuple[OtherProperties, ...], right: tuple[OtherProperties, ...]
) -> Iterator[OtherProperties]:
    for one in left:
        for other in right:
            names = intersection(one.names, other.names)
            if (
                ANYTHING in (one.names, other.names)
                or one.names == other.names
                or not no_text(names)
            ):
                yield OtherProperties(names, one.goal | other.goal, one.declared or other.declared)


def simplify(shape: Objects, empty: Empty) -> Objects | None:
    """Return the set, or None if a required property cannot have a value."""
    needed = sum(slot.required for slot in shape.properties.values())
    if shape.maximum is not None and shape.maximum < max(needed, shape.minimum):
        return None
    if any(slot.required and slot.goal and empty(slot.goal) for slot in shape.properties.values()):
        return None
    return replace(shape, minimum=max(shape.minimum, needed)) if shape.minimum else shape


def complement(shape: Objects) -> Iterator[Objects] | None:
    """Return the sets of all other objects, or None if they cannot be expressed."""
    if any(extra.goal for extra in shape.other_properties):
        return None
    return _complement(shape)


def _complement(shape: Objects) -> Iterator[Objects]:
    if shape.minimum:
        yield Objects(maximum=shape.minimum - 1)
    if shape.maximum is not None:
        yield Objects(minimum=shape.maximum + 1)
    for name, known in shape.properties.items():
        if known.required:
            yield Objects({name: Property(NEVER)})
        for claim in known.goal:
            yield Objects({name: Property(frozenset({~claim}), required=True)})


def contains(shape: Objects, value: Mapping[str, Any], fits: Holds) -> bool:
    """Return whether the set contains an object."""
    if len(value) < shape.minimum or (shape.maximum is not None and len(value) > shape.maximum):
        return False
    if any(known.required and name not in value for name, known in shape.properties.items()):
        return False
    return all(fits(property_of(shape, name).goal, inner) for name, inner in value.items())


NEVER: SchemaSet = frozenset({0})
"""Schema 0 of every document allows no value."""

__all__ = [
    "NEVER",
    "Node",
    "complement",
    "contains",
    "has_name",
    "intersect",
    "property_of",
    "simplify",
]
