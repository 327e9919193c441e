"""Where references lead: pointers, identifiers and anchors, within the schema itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from ..errors import SchemaError
from .dialect import NAMED, ONE, SEVERAL

Bindings = tuple[tuple[str, str], ...]
"""For each dynamic anchor the identifier of the outermost resource that has it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A schema with where it stands."""

    raw: Any
    pointer: str
    base: str = ""
    """The identifier of the resource around the schema; its own is known once it is entered."""
    bindings: Bindings = ()

    @property
    def key(self) -> tuple[int, str, Bindings]:
        """What tells this place from every other one."""
        return id(self.raw), self.base, self.bindings

    def inside(self, raw: Any, *steps: str) -> Place:
        """A place further in."""
        return replace(self, raw=raw, pointer=self.pointer + "".join(map(_step, steps)))


def _step(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")


@dataclass(slots=True)
class _Resource:
    place: Place
    anchors: dict[str, Place] = field(default_factory=dict)
    dynamic: set[str] = field(default_factory=set)


MARKS = ('"$id"', '"id"', "$anchor", "$dynamicAnchor")
"""What a schema has to contain for references to lead anywhere but along pointers."""


class Resources:
    """The schema and the resources inside it, by identifier."""

    def __init__(self, raw: Any) -> None:
        self.root = Place(raw, "")
        self.resources: dict[str, _Resource] = {"": _Resource(self.root)}
        if any(mark in json.dumps(raw) for mark in MARKS):
            self.add(self.root)

    def add(self, place: Place) -> None:
        """Note the identifiers and anchors of a schema and of those inside it."""
        todo = [place]
        while todo:
            outer = todo.pop()
            if isinstance(outer.raw, Mapping):
                here = based(outer)
                self.resources.setdefault(here.base, _Resource(outer))
                self.anchored(outer, self.resources[here.base])
                todo.extend(_inside(here))

    def anchored(self, place: Place, resource: _Resource) -> None:
        """Note the anchors that a schema sets in its resource."""
        for keyword in ("$anchor", "$dynamicAnchor"):
            name = place.raw.get(keyword)
            if isinstance(name, str):
                resource.anchors[name] = place
                if keyword == "$dynamicAnchor":
                    resource.dynamic.add(name)
        old = place.raw.get("$id", place.raw.get("id"))
        if isinstance(old, str) and old.startswith("#") and len(old) > 1:
            resource.anchors[old[1:]] = place

    def entered(self, place: Place) -> Place:
        """The place as it is seen from inside its resource."""
        here = based(place)
        if here.base not in self.resources:
            self.add(place)
        resource = self.resources[here.base]
        bound = dict(here.bindings)
        new = {name: here.base for name in sorted(resource.dynamic) if name not in bound}
        return replace(here, bindings=(*here.bindings, *new.items())) if new else here

    def found(self, place: Place, reference: str, dynamic: bool) -> Place:
        """Where a reference leads."""
        base, fragment = urldefrag(_absolute(place.base, reference))
        resource = self.resources.get(base) or self.known(base)
        if resource is None:
            raise SchemaError(
                f"{place.pointer}/$ref: {reference!r} is not part of the schema, "
                "and nothing is fetched over the network."
            )
        name = unquote(fragment)
        if dynamic and name in resource.dynamic:
            resource = self.resources[dict(place.bindings).get(name, base)]
        target = resource.anchors.get(name) or pointed(resource.place, name)
        target = target or pointed(self.root, name)
        if target is None:
            raise SchemaError(f"{place.pointer}/$ref: there is nothing at {reference!r}.")
        return replace(target, bindings=place.bindings)

    def known(self, base: str) -> _Resource | None:
        """One of the standard's own schemas."""
        from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]

        found = REGISTRY.get(base)
        if found is None:
            return None
        self.add(Place(found.contents, base))
        return self.resources[base]


def based(place: Place) -> Place:
    """The place with the identifier that its own schema sets."""
    name = place.raw.get("$id", place.raw.get("id")) if isinstance(place.raw, Mapping) else None
    if not isinstance(name, str) or name.startswith("#"):
        return place
    return replace(place, base=urldefrag(_absolute(place.base, name)).url)


def _absolute(base: str, reference: str) -> str:
    return base + reference if reference.startswith("#") else urljoin(base, reference)


def pointed(place: Place, pointer: str) -> Place | None:
    """Where a JSON pointer leads from a schema."""
    if pointer and not pointer.startswith("/"):
        return None
    for step in pointer.split("/")[1:]:
        inner = _member(place.raw, step.replace("~1", "/").replace("~0", "~"))
        if inner is MISSING:
            return None
        place = based(place).inside(inner, step)
    return place


MISSING = object()


def _member(raw: Any, step: str) -> Any:
    if isinstance(raw, Mapping):
        return raw.get(step, MISSING)
    if isinstance(raw, list) and step.isdecimal() and int(step) < len(raw):
        return raw[int(step)]
    return MISSING


def _inside(place: Place) -> Iterator[Place]:
    """The schemas right inside a schema, wherever any dialect has them."""
    for keyword, value in place.raw.items():
        if keyword in MAPS and isinstance(value, Mapping):
            for name, inner in value.items():
                yield place.inside(inner, keyword, name)
        elif keyword in LISTS and isinstance(value, list):
            for number, inner in enumerate(value):
                yield place.inside(inner, keyword, str(number))
        elif keyword in SINGLE:
            yield place.inside(value, keyword)


MAPS = NAMED | {"$defs", "definitions", "dependencies"}
LISTS = SEVERAL | {"items"}
SINGLE = ONE | {"additionalItems", "contentSchema"}
