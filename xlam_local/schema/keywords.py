"""What each keyword of a schema asks of a value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from ..gbnf import ANYTHING, Lit, Node, TooLarge, alt, both, empty, matches, without
from . import formats
from .language import language
from .objects import NEVER
from .regex import PatternError
from .shapes import (
    ALL,
    EVERYTHING,
    FREE,
    NOTHING,
    Arrays,
    Contains,
    Extras,
    Goal,
    Kinds,
    Listed,
    Numbers,
    Objects,
    Shape,
    Slot,
    Strings,
    exactly,
    kind,
)
from .solver import Solver, TooMany

Schema = Mapping[str, Any]
CASES = 32
"""Cases of which patterns a property's name has."""
PAIRS = 40
"""Alternatives of a oneOf that are compared with each other."""


def only(name: str, *shapes: Shape) -> Kinds:
    """Values of every kind, where those of one kind have one of these shapes."""
    return Kinds({**ALL, name: shapes} if shapes else {k: v for k, v in ALL.items() if k != name})


def goal(*numbers: int) -> Goal:
    """These schemas, all at once."""
    return frozenset(numbers)


def types(solver: Solver, number: int, schema: Schema) -> Kinds:
    """Values of the kinds that are named."""
    names = schema["type"]
    shapes = {name: ALL[name] for name in ALL if name in names}
    if "integer" in names and "number" not in names:
        shapes["number"] = (Numbers(step=exactly(1)),)
    return Kinds(shapes)


def enum(solver: Solver, number: int, schema: Schema) -> Kinds:
    """The values listed."""
    return listed(schema["enum"])


def const(solver: Solver, number: int, schema: Schema) -> Kinds:
    """The one value."""
    return listed([schema["const"]])


def listed(values: list[Any]) -> Kinds:
    """These values, kind by kind."""
    shapes: dict[str, list[Any]] = {}
    for value in values:
        shapes.setdefault(kind(value), []).append(value)
    return Kinds({name: (Listed(tuple(found)),) for name, found in shapes.items()})


def interval(solver: Solver, number: int, schema: Schema) -> Kinds:
    """Numbers within all four limits, and on the grid."""
    found = EVERYTHING
    for keyword, shape in LIMITS.items():
        if keyword in schema:
            found = solver.meet(found, only("number", shape(exactly(schema[keyword]))))
    return found


LIMITS: dict[str, Callable[[Fraction], Numbers]] = {
    "minimum": lambda limit: Numbers(least=limit),
    "exclusiveMinimum": lambda limit: Numbers(least=limit, above=True),
    "maximum": lambda limit: Numbers(most=limit),
    "exclusiveMaximum": lambda limit: Numbers(most=limit, below=True),
    "multipleOf": lambda step: Numbers(step=step),
}


def length(solver: Solver, number: int, schema: Schema) -> Kinds:
    """Strings with so many characters."""
    least, most = _bounds(schema, "minLength", "maxLength")
    return only("string", *([Strings(least=least, most=most)] if _fit(least, most) else []))


def pattern(solver: Solver, number: int, schema: Schema) -> Kinds:
    """Strings in which the pattern is found."""
    try:
        return only("string", Strings(language(schema["pattern"])))
    except PatternError as error:
        return solver.note(number, "pattern", str(error))


def format_(solver: Solver, number: int, schema: Schema) -> Kinds:
    """Strings of a known format."""
    if solver.document.formats and schema["format"] == formats.REGEX:
        return solver.note(number, "format", "whether a pattern can be read shows when it is there")
    shape = formats.shape(schema["format"]) if solver.document.formats else None
    return EVERYTHING if shape is None else only("string", shape)


def array(solver: Solver, number: int, schema: Schema) -> Kinds:
    """Arrays with these items, so many of them."""
    least, most = _bounds(schema, "minItems", "maxItems")
    prefix = tuple(goal(each) for each in schema.get("prefixItems", ()))
    items = goal(schema["items"]) if "items" in schema else FREE
    contains: tuple[Contains, ...] = ()
    if "contains" in schema:
        bounds = _bounds(schema, "minContains", "maxContains", 1)
        contains = (Contains(goal(schema["contains"]), *bounds),)
    shape = Arrays(prefix, items, least, most, contains, schema.get("uniqueItems", False))
    met = solver.both(Arrays(), shape)
    return only("array", *([met] if met else []))


def object_(solver: Solver, number: int, schema: Schema) -> Kinds:
    """Objects with these properties, so many of them."""
    least, most = _bounds(schema, "minProperties", "maxProperties")
    patterns, extras = _by_name(solver, number, schema)
    exact = (number, "patternProperties") not in solver.notes
    declared, required = schema.get("properties", {}), schema.get("required", ())
    more = schema.get("additionalProperties") if exact else None
    slots = {
        name: Slot(_of_name(name, declared, patterns, more), name in required)
        for name in dict.fromkeys([*declared, *required])
    }
    met = solver.both(Objects(), Objects(slots, extras, least, most))
    return replace(only("object", *([met] if met else [])), exact=exact)


def _by_name(
    solver: Solver, number: int, schema: Schema
) -> tuple[Mapping[Node, Goal], tuple[Extras, ...]]:
    """Patterns of names, and the properties that have no slot; what is too much is left out."""
    more = schema.get("additionalProperties")
    try:
        patterns = {
            language(name): goal(each) for name, each in schema.get("patternProperties", {}).items()
        }
        return patterns, tuple(_extras(patterns, more))
    except PatternError as error:
        solver.note(number, "patternProperties", str(error))
    except (TooMany, TooLarge):
        solver.note(number, "patternProperties", "its names have too many cases")
    return {}, tuple(_extras({}, None))


def _of_name(name: str, declared: Schema, patterns: Mapping[Node, Goal], more: int | None) -> Goal:
    """What the value of a property has to fit."""
    found = [goal(declared[name])] if name in declared else []
    found += [each for names, each in patterns.items() if matches(names, name)]
    if not found and more is not None:
        return goal(more)
    return frozenset().union(*found)


def _extras(patterns: Mapping[Node, Goal], more: int | None) -> Iterator[Extras]:
    """Properties without a slot, by which of the patterns their names have."""
    parts: list[tuple[Node, Goal]] = [(ANYTHING, FREE)]
    for names, wanted in patterns.items():
        split = [
            (both(there, side), found | more_)
            for there, found in parts
            for side, more_ in ((names, wanted), (without(names), FREE))
        ]
        parts = [(there, found) for there, found in split if not empty(there)]
        if len(parts) > CASES:
            raise TooMany
    for names, found in parts:
        if found or more is None:
            yield Extras(names, found, bool(found))
        else:
            yield Extras(names, goal(more), True)


def property_names(solver: Solver, number: int, schema: Schema) -> Kinds:
    """Objects whose properties' names fit a schema."""
    found = solver.kinds(goal(schema["propertyNames"]))
    if not found.exact:
        return solver.note(number, "propertyNames", "its schema is not followed exactly")
    names = alt(*(_names(shape) for shape in found.shapes.get("string", ())))
    extras = [Extras(names, FREE, False), Extras(without(names), NEVER, False)]
    return only("object", Objects({}, tuple(each for each in extras if not empty(each.names))))


def _names(shape: Shape) -> Node:
    from ..gbnf import ANY, Repeat

    if isinstance(shape, Strings):
        return both(shape.node, Repeat(ANY, shape.least, shape.most))
    assert isinstance(shape, Listed)
    return alt(*map(Lit, shape.values))


def dependent_required(solver: Solver, number: int, schema: Schema) -> Kinds:
    """Objects in which some properties bring others along."""
    found = EVERYTHING
    for name, others in schema["dependentRequired"].items():
        with_it = Objects({each: Slot(FREE, True) for each in (name, *others)})
        found = solver.meet(found, only("object", Objects({name: Slot(NEVER)}), with_it))
    return found


def dependent_schemas(solver: Solver, number: int, schema: Schema) -> Kinds:
    """Objects in which some properties bring a schema along."""
    found = EVERYTHING
    for name, inner in schema["dependentSchemas"].items():
        there = only("object", Objects({name: Slot(FREE, True)}))
        absent = only("object", Objects({name: Slot(NEVER)}))
        met = solver.meet(there, solver.kinds(goal(inner)))
        objects = absent.shapes.get("object", ()) + met.shapes.get("object", ())
        found = solver.meet(found, Kinds({**ALL, "object": objects}, met.exact))
    return found


def reference(solver: Solver, number: int, schema: Schema) -> Kinds:
    """Whatever fits the schema that is referred to."""
    targets = [schema[keyword] for keyword in ("$ref", "$dynamicRef") if keyword in schema]
    return solver.kinds(goal(*targets))


def all_of(solver: Solver, number: int, schema: Schema) -> Kinds:
    """What fits all of the schemas."""
    found = EVERYTHING
    for inner in schema["allOf"]:
        found = solver.meet(found, solver.kinds(goal(inner)))
    return found


def any_of(solver: Solver, number: int, schema: Schema) -> Kinds:
    """What fits any of the schemas."""
    return solver.either(solver.kinds(goal(inner)) for inner in schema["anyOf"])


def one_of(solver: Solver, number: int, schema: Schema) -> Kinds:
    """What fits one of the schemas and none of the others."""
    inner = schema["oneOf"]
    if len(inner) > PAIRS:
        solver.note(number, "oneOf", "so many alternatives are not told apart")
        return replace(solver.either(solver.kinds(goal(each)) for each in inner), exact=False)
    return solver.either(_alone(solver, number, index, inner) for index in range(len(inner)))


def _alone(solver: Solver, number: int, index: int, inner: list[int]) -> Kinds:
    """What fits the schema at an index and none of the others."""
    found = solver.kinds(goal(inner[index]))
    for other in inner[:index] + inner[index + 1 :]:
        if other == inner[index]:
            return NOTHING
        if solver.meet(found, solver.kinds(goal(other))).shapes:
            apart = solver.kinds(goal(~other))
            if not apart.exact:
                solver.note(number, "oneOf", "not all alternatives can be told apart")
            found = solver.meet(found, apart)
    return found


def not_(solver: Solver, number: int, schema: Schema) -> Kinds:
    """What does not fit the schema."""
    found = solver.kinds(goal(~schema["not"]))
    if not found.exact:
        solver.note(number, "not", "what does not fit it cannot be told exactly")
    return found


def if_(solver: Solver, number: int, schema: Schema) -> Kinds:
    """What fits both "if" and "then", or "else" alone."""
    # A condition without consequences is looked at as well: it could lead back to its own schema.
    condition = solver.kinds(goal(schema["if"]))
    then = [solver.kinds(goal(schema["then"]))] if "then" in schema else []
    other = [solver.kinds(goal(schema["else"]))] if "else" in schema else []
    if not then and not other:
        return EVERYTHING
    against = solver.kinds(goal(~schema["if"]))
    if not against.exact:
        solver.note(number, "if", "when it holds cannot be told exactly")
    return solver.either([solver.all([condition, *then]), solver.all([against, *other])])


def unevaluated(keyword: str) -> Callable[[Solver, int, Schema], Kinds]:
    """What no other keyword has looked at."""

    def build(solver: Solver, number: int, schema: Schema) -> Kinds:
        if not solver.document.schemas[schema[keyword]]:
            return EVERYTHING
        return solver.note(number, keyword, "what other keywords look at depends on the value")

    return build


def _bounds(schema: Schema, least: str, most: str, default: int = 0) -> tuple[int, int | None]:
    return int(schema.get(least, default)), int(schema[most]) if most in schema else None


def _fit(least: int, most: int | None) -> bool:
    return most is None or least <= most


Build = Callable[[Solver, int, Schema], Kinds]
KEYWORDS: dict[str, tuple[Build, int]] = {
    "type": (types, 0),
    "const": (const, 1),
    "enum": (enum, 1),
    **dict.fromkeys(LIMITS, (interval, 2)),
    **dict.fromkeys(("minLength", "maxLength"), (length, 2)),
    "pattern": (pattern, 2),
    "format": (format_, 2),
    **dict.fromkeys(
        ("items", "prefixItems", "minItems", "maxItems", "contains", "uniqueItems"), (array, 2)
    ),
    **dict.fromkeys(
        (
            "properties",
            "required",
            "additionalProperties",
            "patternProperties",
            "minProperties",
            "maxProperties",
        ),
        (object_, 2),
    ),
    "propertyNames": (property_names, 3),
    "$ref": (reference, 3),
    "$dynamicRef": (reference, 3),
    "allOf": (all_of, 3),
    "not": (not_, 4),
    "dependentRequired": (dependent_required, 4),
    "dependentSchemas": (dependent_schemas, 4),
    "anyOf": (any_of, 5),
    "oneOf": (one_of, 5),
    "if": (if_, 5),
    "unevaluatedProperties": (unevaluated("unevaluatedProperties"), 6),
    "unevaluatedItems": (unevaluated("unevaluatedItems"), 6),
}
"""For each keyword what builds it, and how late: the simple ones first, the branching ones last."""
