"""Solve which values are valid for several schemas at once, by JSON type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ..errors import SchemaError
from ..gbnf import Literal, TooLarge, alt
from ..time_limit import check_time_limit
from . import arrays, numbers, objects, strings
from .document import Document
from .value_sets import (
    EVERYTHING,
    Arrays,
    Enum,
    Numbers,
    Objects,
    SchemaSet,
    Strings,
    TooMany,
    TypeSet,
    ValueSet,
    exact_fraction,
    json_type,
)

MAX_SHAPES = 64
"""The most type sets of one JSON type in a value set."""
MAX_EMPTINESS_DEPTH = 12
"""Levels of nested properties that are searched to prove that a value set is empty."""


class InfiniteReference(SchemaError):
    """A schema refers to itself without any condition in between."""


Build = Callable[["Solver", int, Mapping[str, Any]], ValueSet]
"""Returns the value set of a keyword, of the schema with this number and these keywords."""
Keywords = Mapping[str, tuple[Build, int]]
"""For each keyword its function, and its order: lower ones first."""


class Solver:
    """Solves the schemas of one document, and records which keywords it could not follow."""

    def __init__(self, document: Document, keywords: Keywords) -> None:
        self.document = document
        self.keywords = keywords
        self.deferred: dict[tuple[int, str], str] = {}
        """Why a keyword is checked only after decoding, by schema number and keyword."""
        self.value_sets: dict[SchemaSet, ValueSet] = {}
        self.claims: dict[int, ValueSet] = {}
        self.in_progress: list[int] = []
        self.depth = 0

    def value_set(self, goal: SchemaSet) -> ValueSet:
        """Return the values that are valid for all schemas of a schema set."""
        if goal not in self.value_sets:
            self.value_sets[goal] = self.intersect_all(
                self.claim(claim) for claim in sorted(goal, reverse=True)
            )
        return self.value_sets[goal]

    def claim(self, claim: int) -> ValueSet:
        """Return the values that are valid for a schema, or for ~number those that are not."""
        if claim not in self.claims:
            self.claims[claim] = self.schema(claim) if claim >= 0 else self.negation(~claim)
        return self.claims[claim]

    def negation(self, number: int) -> ValueSet:
        """Return the values that are not valid for a schema."""
        found = self.complement(self.claim(number))
        if not found.exact:
            self.defer_to_validation(number, *self.undecidable_keyword(number))
        return found

    def schema(self, number: int) -> ValueSet:
        """Return the values that satisfy all keywords of a schema.

        Raises:
            InfiniteReference: the schema refers to itself.
        """
        if number in self.in_progress:
            where = self.document.pointers[number] or "/"
            raise InfiniteReference(f"{where}: infinite reference: the schema refers to itself.")
        schema = self.document.schemas[number]
        present = sorted(
            (self.keywords[keyword][1], keyword) for keyword in schema if keyword in self.keywords
        )
        builds = {self.keywords[keyword][0]: keyword for _, keyword in reversed(present)}
        found = EVERYTHING
        self.in_progress.append(number)
        try:
            for build, keyword in reversed(builds.items()):
                found = self.with_keyword(found, number, keyword, build)
        finally:
            self.in_progress.pop()
        return found

    def with_keyword(self, found: ValueSet, number: int, keyword: str, build: Any) -> ValueSet:
        """Return the intersection with a keyword, deferred if it has too many cases."""
        try:
            return self.intersect(found, build(self, number, self.document.schemas[number]))
        except TooMany:
            self.defer_to_validation(number, keyword, "it combines to too many cases")
        except TooLarge:
            self.defer_to_validation(number, keyword, "its strings need too many automaton states")
        return ValueSet(found.shapes, False)

    def defer_to_validation(self, number: int, keyword: str, why: str) -> ValueSet:
        """Record that a keyword is checked only after decoding, and why."""
        self.deferred[number, keyword] = why
        return ValueSet(EVERYTHING.shapes, False)

    def intersect_all(self, parts: Iterable[ValueSet]) -> ValueSet:
        """Return the intersection of the parts, without those that have too many cases."""
        found = EVERYTHING
        for part in parts:
            try:
                found = self.intersect(found, part)
            except (TooMany, TooLarge):
                found = ValueSet(found.shapes, False)
        return found

    def intersect(self, left: ValueSet, right: ValueSet) -> ValueSet:
        """Return the intersection of two value sets."""
        if left.shapes is EVERYTHING.shapes or right.shapes is EVERYTHING.shapes:
            chosen = right if left.shapes is EVERYTHING.shapes else left
            return ValueSet(chosen.shapes, left.exact and right.exact)
        shapes = {}
        for name in left.shapes.keys() & right.shapes.keys():
            one, other = left.shapes[name], right.shapes[name]
            if one is EVERYTHING.shapes[name] or other is EVERYTHING.shapes[name]:
                met = other if one is EVERYTHING.shapes[name] else one
            else:
                met = tuple(self.intersect_shapes(one, other))
            if met:
                shapes[name] = met
        return ValueSet(shapes, left.exact and right.exact)

    def intersect_shapes(
        self, left: Iterable[TypeSet], right: tuple[TypeSet, ...]
    ) -> Iterator[TypeSet]:
        """Yield the pairwise intersections of type sets."""
        count = 0
        for one in left:
            for other in right:
                met = self.intersect_shape(one, other)
                if met is not None:
                    count += 1
                    if count > MAX_SHAPES:
                        raise TooMany
                    yield met

    def intersect_shape(self, left: TypeSet, right: TypeSet) -> TypeSet | None:
        """Return the intersection of two type sets of one JSON type, or None if it is empty."""
        check_time_limit()
        if left == right:
            return left
        if isinstance(left, Enum):
            return self.filter_values(left.values, right)
        if isinstance(right, Enum):
            return self.filter_values(right.values, left)
        return MEET[type(left)](self, left, right)

    def numbers(self, left: Numbers, right: Numbers) -> TypeSet | None:
        """Return the numbers of both sets."""
        met = numbers.intersect(left, right)
        return met if numbers.is_possible(met) else None

    def strings(self, left: Strings, right: Strings) -> TypeSet | None:
        """Return the strings of both sets."""
        met = strings.intersect(left, right)
        return met if strings.is_possible(met) else None

    def arrays(self, left: Arrays, right: Arrays) -> TypeSet | None:
        """Return the arrays of both sets."""
        return arrays.simplify(arrays.intersect(left, right), self.is_empty)

    def objects(self, left: Objects, right: Objects) -> TypeSet | None:
        """Return the objects of both sets."""
        return objects.simplify(objects.intersect(left, right), self.is_empty)

    def filter_values(self, values: Iterable[Any], shape: TypeSet) -> Enum | None:
        """Return the values that a type set contains, or None."""
        if isinstance(shape, Enum):
            keys = set(map(arrays.json_key, shape.values))
            left = tuple(value for value in values if arrays.json_key(value) in keys)
        else:
            left = tuple(value for value in values if self.contains(shape, value))
        return Enum(left) if left else None

    def contains(self, shape: TypeSet, value: Any) -> bool:
        """Return whether a type set contains a value."""
        check_time_limit()
        match shape:
            case Enum(values):
                return any(arrays.json_equal(value, each) for each in values)
            case Numbers():
                return numbers.contains(shape, value)
            case Strings():
                return strings.contains(shape, value)
            case Arrays():
                return arrays.contains(shape, value, self.is_valid)
            case Objects():
                return objects.contains(shape, value, self.is_valid)

    def is_valid(self, goal: SchemaSet, value: Any) -> bool:
        """Return whether a value is valid for all schemas of a schema set."""
        shapes = self.value_set(goal).shapes.get(json_type(value), ()) if goal else None
        return shapes is None or any(self.contains(shape, value) for shape in shapes)

    def is_empty(self, goal: SchemaSet) -> bool:
        """Return whether no value is valid for a schema set; False if that is too deep to prove."""
        if not goal or self.depth > MAX_EMPTINESS_DEPTH:
            return False
        self.depth += 1
        try:
            return not self.value_set(goal).shapes
        except InfiniteReference:
            return False
        finally:
            self.depth -= 1

    def union(self, parts: Iterable[ValueSet]) -> ValueSet:
        """Return the union of the parts."""
        shapes: dict[str, list[TypeSet]] = {}
        exact = True
        for part in parts:
            exact = exact and part.exact
            for name, found in part.shapes.items():
                known = shapes.setdefault(name, [])
                known.extend(shape for shape in found if shape not in known)
        if any(len(found) > MAX_SHAPES for found in shapes.values()):
            raise TooMany
        return ValueSet({name: tuple(found) for name, found in shapes.items()}, exact)

    def complement(self, inner: ValueSet) -> ValueSet:
        """Return the complement of a value set; everything, not exact, if it cannot be computed."""
        if not inner.exact:
            return ValueSet(EVERYTHING.shapes, False)
        exact, shapes = True, {}
        for name, everything in EVERYTHING.shapes.items():
            left: tuple[TypeSet, ...] = everything
            for shape in inner.shapes.get(name, ()):
                others = self.complement_shape(shape)
                exact = exact and others is not None
                if others is not None:
                    left, exact = self.subtract(left, tuple(others), exact)
            if left:
                shapes[name] = left
        return ValueSet(shapes, exact)

    def undecidable_keyword(self, number: int) -> tuple[str, str]:
        """Return a keyword of a schema that cannot be negated, and the reason."""
        keyword = next(iter(self.document.schemas[number]), "not")
        return keyword, "this schema cannot be negated exactly"

    def subtract(
        self, left: tuple[TypeSet, ...], others: tuple[TypeSet, ...], exact: bool
    ) -> tuple[tuple[TypeSet, ...], bool]:
        """Return the intersections with `others`, or `left` alone if there are too many."""
        try:
            return tuple(self.intersect_shapes(left, others)), exact
        except (TooMany, TooLarge):
            return left, False

    def complement_shape(self, shape: TypeSet) -> Iterator[TypeSet] | None:
        """Return the complement of a type set within its JSON type, or None if it has none."""
        match shape:
            case Enum(values):
                return _complement_of_enum(values)
            case Numbers():
                return numbers.complement(shape)
            case Strings():
                return iter(strings.complement(shape))
            case Arrays():
                return arrays.complement(shape)
            case Objects():
                return objects.complement(shape)


MEET: dict[type, Callable[[Solver, Any, Any], TypeSet | None]] = {
    Numbers: Solver.numbers,
    Strings: Solver.strings,
    Arrays: Solver.arrays,
    Objects: Solver.objects,
}


def _complement_of_enum(values: tuple[Any, ...]) -> Iterator[TypeSet] | None:
    match json_type(values[0]):
        case "number":
            return iter([Numbers(excluded_values=frozenset(map(exact_fraction, values)))])
        case "string":
            return strings.complement(Strings(alt(*map(Literal, values))))
        case "boolean":
            left = tuple(value for value in (False, True) if value not in values)
            return iter([Enum(left)] if left else [])
        case "null":
            return iter([])
    return None
