"""What values fit several schemas at once, kind by kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..errors import SchemaError
from ..gbnf import Lit, TooLarge, alt
from . import arrays, numbers, objects, strings
from .document import Document
from .shapes import (
    EVERYTHING,
    Arrays,
    Goal,
    Kinds,
    Listed,
    Numbers,
    Objects,
    Shape,
    Strings,
    exactly,
    kind,
)

MANY = 64
"""Shapes of one kind that one value may have; more are not told apart."""
DEEP = 12
"""Levels of properties looked into for whether anything fits."""


class Endless(SchemaError):
    """A schema refers to itself before it asks anything of a value."""


class TooMany(Exception):
    """Schemas combine to more shapes than are told apart."""


class Solver:
    """Answers what fits the schemas of one document, and notes what it could not follow."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.notes: dict[tuple[int, str], str] = {}
        """Why a keyword of a schema is left to the check after decoding."""
        self.known: dict[Goal, Kinds] = {}
        self.single: dict[int, Kinds] = {}
        self.open: list[int] = []
        self.depth = 0

    def kinds(self, goal: Goal) -> Kinds:
        """What fits all schemas of the goal."""
        if goal not in self.known:
            self.known[goal] = self.all(self.claim(claim) for claim in sorted(goal, reverse=True))
        return self.known[goal]

    def claim(self, claim: int) -> Kinds:
        """What fits a schema, or with ~number what does not."""
        if claim not in self.single:
            self.single[claim] = self.schema(claim) if claim >= 0 else self.opposite(~claim)
        return self.single[claim]

    def opposite(self, number: int) -> Kinds:
        """What does not fit one schema."""
        found = self.complement(self.claim(number))
        if not found.exact:
            self.note(number, *self.any_keyword(number))
        return found

    def schema(self, number: int) -> Kinds:
        """What fits one schema: all of its keywords."""
        from .keywords import KEYWORDS

        if number in self.open:
            where = self.document.pointers[number] or "/"
            raise Endless(f"{where}: the schema refers to itself without an end.")
        schema = self.document.schemas[number]
        present = sorted(
            (KEYWORDS[keyword][1], keyword) for keyword in schema if keyword in KEYWORDS
        )
        builds = {KEYWORDS[keyword][0]: keyword for _, keyword in reversed(present)}
        found = EVERYTHING
        self.open.append(number)
        try:
            for build, keyword in reversed(builds.items()):
                found = self.narrowed(found, number, keyword, build)
        finally:
            self.open.pop()
        return found

    def narrowed(self, found: Kinds, number: int, keyword: str, build: Any) -> Kinds:
        """What fits a keyword, too; a keyword that combines too much is left to the check."""
        try:
            return self.meet(found, build(self, number, self.document.schemas[number]))
        except TooMany:
            self.note(number, keyword, "it combines to too many cases")
        except TooLarge:
            self.note(number, keyword, "its strings are too many to be told apart")
        return Kinds(found.shapes, False)

    def note(self, number: int, keyword: str, why: str) -> Kinds:
        """Leave a keyword to the check after decoding."""
        self.notes[number, keyword] = why
        return Kinds(EVERYTHING.shapes, False)

    def all(self, parts: Iterable[Kinds]) -> Kinds:
        """What fits all parts; a part that combines too much is left out."""
        found = EVERYTHING
        for part in parts:
            try:
                found = self.meet(found, part)
            except (TooMany, TooLarge):
                found = Kinds(found.shapes, False)
        return found

    def meet(self, left: Kinds, right: Kinds) -> Kinds:
        """What fits both."""
        if left.shapes is EVERYTHING.shapes or right.shapes is EVERYTHING.shapes:
            chosen = right if left.shapes is EVERYTHING.shapes else left
            return Kinds(chosen.shapes, left.exact and right.exact)
        shapes = {}
        for name in left.shapes.keys() & right.shapes.keys():
            one, other = left.shapes[name], right.shapes[name]
            if one is EVERYTHING.shapes[name] or other is EVERYTHING.shapes[name]:
                met = other if one is EVERYTHING.shapes[name] else one
            else:
                met = tuple(self.crossed(one, other))
            if met:
                shapes[name] = met
        return Kinds(shapes, left.exact and right.exact)

    def crossed(self, left: Iterable[Shape], right: tuple[Shape, ...]) -> Iterator[Shape]:
        """The shapes of values that have one of these and one of those."""
        count = 0
        for one in left:
            for other in right:
                met = self.both(one, other)
                if met is not None:
                    count += 1
                    if count > MANY:
                        raise TooMany
                    yield met

    def both(self, left: Shape, right: Shape) -> Shape | None:
        """The shape of values that have two shapes of one kind; None when there are none."""
        if left == right:
            return left
        if isinstance(left, Listed):
            return self.filtered(left.values, right)
        if isinstance(right, Listed):
            return self.filtered(right.values, left)
        return MEET[type(left)](self, left, right)

    def numbers(self, left: Numbers, right: Numbers) -> Shape | None:
        """Numbers of both shapes."""
        met = numbers.meet(left, right)
        return met if numbers.possible(met) else None

    def strings(self, left: Strings, right: Strings) -> Shape | None:
        """Strings of both shapes."""
        met = strings.meet(left, right)
        return met if strings.possible(met) else None

    def arrays(self, left: Arrays, right: Arrays) -> Shape | None:
        """Arrays of both shapes."""
        return arrays.narrowed(arrays.meet(left, right), self.empty)

    def objects(self, left: Objects, right: Objects) -> Shape | None:
        """Objects of both shapes."""
        return objects.narrowed(objects.meet(left, right), self.empty)

    def filtered(self, values: Iterable[Any], shape: Shape) -> Listed | None:
        """Those of some values that have a shape."""
        left = tuple(value for value in values if self.has(shape, value))
        return Listed(left) if left else None

    def has(self, shape: Shape, value: Any) -> bool:
        """Whether a value has a shape."""
        match shape:
            case Listed(values):
                return any(arrays.same(value, each) for each in values)
            case Numbers():
                return numbers.holds(shape, value)
            case Strings():
                return strings.holds(shape, value)
            case Arrays():
                return arrays.holds(shape, value, self.fits)
            case Objects():
                return objects.holds(shape, value, self.fits)

    def fits(self, goal: Goal, value: Any) -> bool:
        """Whether a value fits all schemas of a goal."""
        shapes = self.kinds(goal).shapes.get(kind(value), ()) if goal else None
        return shapes is None or any(self.has(shape, value) for shape in shapes)

    def empty(self, goal: Goal) -> bool:
        """Whether nothing fits a goal; where that is deep inside, something may."""
        if not goal or self.depth > DEEP:
            return False
        self.depth += 1
        try:
            return not self.kinds(goal).shapes
        except Endless:
            return False
        finally:
            self.depth -= 1

    def either(self, parts: Iterable[Kinds]) -> Kinds:
        """What fits any of the parts."""
        shapes: dict[str, list[Shape]] = {}
        exact = True
        for part in parts:
            exact = exact and part.exact
            for name, found in part.shapes.items():
                known = shapes.setdefault(name, [])
                known.extend(shape for shape in found if shape not in known)
        if any(len(found) > MANY for found in shapes.values()):
            raise TooMany
        return Kinds({name: tuple(found) for name, found in shapes.items()}, exact)

    def complement(self, inner: Kinds) -> Kinds:
        """What does not fit; where that cannot be told, everything."""
        if not inner.exact:
            return Kinds(EVERYTHING.shapes, False)
        exact, shapes = True, {}
        for name, everything in EVERYTHING.shapes.items():
            left: tuple[Shape, ...] = everything
            for shape in inner.shapes.get(name, ()):
                others = self.others(shape)
                exact = exact and others is not None
                if others is not None:
                    left, exact = self.apart(left, tuple(others), exact)
            if left:
                shapes[name] = left
        return Kinds(shapes, exact)

    def any_keyword(self, number: int) -> tuple[str, str]:
        """A keyword of a schema whose opposite cannot be followed, and that this is so."""
        keyword = next(iter(self.document.schemas[number]), "not")
        return keyword, "what does not fit this schema cannot be told exactly"

    def apart(
        self, left: tuple[Shape, ...], others: tuple[Shape, ...], exact: bool
    ) -> tuple[tuple[Shape, ...], bool]:
        """The shapes of both sides; those of the left alone where there are too many."""
        try:
            return tuple(self.crossed(left, others)), exact
        except (TooMany, TooLarge):
            return left, False

    def others(self, shape: Shape) -> Iterator[Shape] | None:
        """The shapes of all values of the same kind that do not have this one."""
        match shape:
            case Listed(values):
                return _unlisted(values)
            case Numbers():
                return numbers.complement(shape)
            case Strings():
                return iter(strings.complement(shape))
            case Arrays():
                return arrays.complement(shape)
            case Objects():
                return objects.complement(shape)


MEET: dict[type, Callable[[Solver, Any, Any], Shape | None]] = {
    Numbers: Solver.numbers,
    Strings: Solver.strings,
    Arrays: Solver.arrays,
    Objects: Solver.objects,
}


def _unlisted(values: tuple[Any, ...]) -> Iterator[Shape] | None:
    match kind(values[0]):
        case "number":
            return iter([Numbers(holes=frozenset(map(exactly, values)))])
        case "string":
            return strings.complement(Strings(alt(*map(Lit, values))))
        case "boolean":
            left = tuple(value for value in (False, True) if value not in values)
            return iter([Listed(left)] if left else [])
        case "null":
            return iter([])
    return None
