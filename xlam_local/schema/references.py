"""Resolve references within a schema: JSON pointers, identifiers, anchors, dynamic anchors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from ..errors import SchemaError
from .dialect import SCHEMA_KEYWORDS, SCHEMA_LIST_KEYWORDS, SCHEMA_MAP_KEYWORDS

Bindings = tuple[tuple[str, str], ...]
"""For each dynamic anchor the identifier of the outermost resource that defines it."""


@dataclass(frozen=True, slots=True)
class SchemaLocation:
    """A schema with its location."""

    raw: Any
    pointer: str
    base: str = ""
    """The identifier of the enclosing resource; the schema's own is added by `Resources.enter`."""
    bindings: Bindings = ()

    @property
    def key(self) -> tuple[int, str, Bindings]:
        """Return the identity of this location."""
        return id(self.raw), self.base, self.bindings

    def inside(self, raw: Any, *steps: str) -> SchemaLocation:
        """Return the location of a subschema."""
        return replace(self, raw=raw, pointer=self.pointer + "".join(map(_step, steps)))


def _step(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")


@dataclass(slots=True)
class _Resource:
    place: SchemaLocation
    anchors: dict[str, SchemaLocation] = field(default_factory=dict)
    dynamic: set[str] = field(default_factory=set)


IDENTIFIER_KEYWORDS = ('"$id"', '"id"', "$anchor", "$dynamicAnchor")
"""Without any of these a schema has no references except JSON pointers."""


class Resources:
    """The resources of a schema by identifier."""

    def __init__(self, raw: Any) -> None:
        self.root = SchemaLocation(raw, "")
        self.resources: dict[str, _Resource] = {"": _Resource(self.root)}
        if any(mark in json.dumps(raw) for mark in IDENTIFIER_KEYWORDS):
            self.add(self.root)

    def add(self, place: SchemaLocation) -> None:
        """Add the identifiers and anchors of a schema and of its subschemas."""
        todo = [place]
        while todo:
            outer = todo.pop()
            if isinstance(outer.raw, Mapping):
                here = with_base(outer)
                self.resources.setdefault(here.base, _Resource(outer))
                self.add_anchors(outer, self.resources[here.base])
                todo.extend(_inside(here))

    def add_anchors(self, place: SchemaLocation, resource: _Resource) -> None:
        """Add the anchors that a schema defines in its resource."""
        for keyword in ("$anchor", "$dynamicAnchor"):
            name = place.raw.get(keyword)
            if isinstance(name, str):
                resource.anchors[name] = place
                if keyword == "$dynamicAnchor":
                    resource.dynamic.add(name)
        old = place.raw.get("$id", place.raw.get("id"))
        if isinstance(old, str) and old.startswith("#") and len(old) > 1:
            resource.anchors[old[1:]] = place

    def enter(self, place: SchemaLocation) -> SchemaLocation:
        """Return the location with its resource's identifier and dynamic anchors."""
        here = with_base(place)
        if here.base not in self.resources:
            self.add(place)
        resource = self.resources[here.base]
        bound = dict(here.bindings)
        new = {name: here.base for name in sorted(resource.dynamic) if name not in bound}
        return replace(here, bindings=(*here.bindings, *new.items())) if new else here

    def resolve(self, place: SchemaLocation, reference: str, dynamic: bool) -> SchemaLocation:
        """Return the target of a reference.

        Raises:
            SchemaError: the target is not part of the schema.
        """
        base, fragment = urldefrag(_absolute(place.base, reference))
        resource = self.resources.get(base) or self.add_standard(base)
        if resource is None:
            raise SchemaError(
                f"{place.pointer}/$ref: {reference!r} is not part of the schema, "
                "and remote references are not fetched."
            )
        name = unquote(fragment)
        if dynamic and name in resource.dynamic:
            resource = self.resources[dict(place.bindings).get(name, base)]
        target = resource.anchors.get(name) or follow_pointer(resource.place, name)
        target = target or follow_pointer(self.root, name)
        if target is None:
            raise SchemaError(f"{place.pointer}/$ref: {reference!r} does not exist.")
        return replace(target, bindings=place.bindings)

    def add_standard(self, base: str) -> _Resource | None:
        """Add a meta-schema of the standard; return None for any other identifier."""
        from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]

        found = REGISTRY.get(base)
        if found is None:
            return None
        self.add(SchemaLocation(found.contents, base))
        return self.resources[base]


def with_base(place: SchemaLocation) -> SchemaLocation:
    """Return the location with the identifier that its schema sets."""
    name = place.raw.get("$id", place.raw.get("id")) if isinstance(place.raw, Mapping) else None
    if not isinstance(name, str) or name.startswith("#"):
        return place
    return replace(place, base=urldefrag(_absolute(place.base, name)).url)


def _absolute(base: str, reference: str) -> str:
    return base + reference if reference.startswith("#") else urljoin(base, reference)


def follow_pointer(place: SchemaLocation, pointer: str) -> SchemaLocation | None:
    """Return the target of a JSON pointer, or None."""
    if pointer and not pointer.startswith("/"):
        return None
    for step in pointer.split("/")[1:]:
        inner = _member(place.raw, step.replace("~1", "/").replace("~0", "~"))
        if inner is MISSING:
            return None
        place = with_base(place).inside(inner, step)
    return place


MISSING = object()


def _member(raw: Any, step: str) -> Any:
    if isinstance(raw, Mapping):
        return raw.get(step, MISSING)
    if isinstance(raw, list) and step.isdecimal() and int(step) < len(raw):
        return raw[int(step)]
    return MISSING


def _inside(place: SchemaLocation) -> Iterator[SchemaLocation]:
    """Yield the direct subschemas of a schema, in every dialect's keywords."""
    for keyword, value in place.raw.items():
        if keyword in MAPS and isinstance(value, Mapping):
            for name, inner in value.items():
                yield place.inside(inner, keyword, name)
        elif keyword in LISTS and isinstance(value, list):
            for number, inner in enumerate(value):
                yield place.inside(inner, keyword, str(number))
        elif keyword in SINGLE:
            yield place.inside(value, keyword)


MAPS = SCHEMA_MAP_KEYWORDS | {"$defs", "definitions", "dependencies"}
LISTS = SCHEMA_LIST_KEYWORDS | {"items"}
SINGLE = SCHEMA_KEYWORDS | {"additionalItems", "contentSchema"}
