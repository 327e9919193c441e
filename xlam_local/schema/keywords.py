"""The value set of each keyword of draft 2020-12.

https://json-schema.org/draft/2020-12/json-schema-validation defines the keywords.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from ..gbnf import (
    ANY,
    ANYTHING,
    Literal,
    Node,
    Repeat,
    TooLarge,
    alt,
    complement,
    intersection,
    is_empty,
    matches,
)
from ..regular.ecma_regex import PatternError
from ..regular.pattern_language import pattern_language
from . import formats, strings
from .objects import NEVER
from .solver import Build, Keywords, Solver
from .value_sets import (
    ALL,
    EVERYTHING,
    FREE,
    NOTHING,
    Arrays,
    Contains,
    Enum,
    Numbers,
    Objects,
    OtherProperties,
    Property,
    SchemaSet,
    Strings,
    TooMany,
    TypeSet,
    ValueSet,
    exact_fraction,
    json_type,
)

Schema = Mapping[str, Any]
MAX_NAME_CASES = 32
"""Combinations of name patterns in one object."""
MAX_COUNT = 1_000_000_000
"""A larger minimum is this one, and a larger maximum is none: no value is that long."""
MAX_ONE_OF = 40
"""Alternatives of a oneOf that are compared pairwise."""


def restrict_type(name: str, *shapes: TypeSet) -> ValueSet:
    """Return all values, of which those of one JSON type are in one of these type sets."""
    return ValueSet(
        {**ALL, name: shapes} if shapes else {k: v for k, v in ALL.items() if k != name}
    )


def schema_set(*numbers: int) -> SchemaSet:
    """Return the schema set of these schemas."""
    return frozenset(numbers)


def types(solver: Solver, number: int, schema: Schema) -> ValueSet:
    """Return the values of the named types."""
    names = schema["type"]
    shapes = {name: ALL[name] for name in ALL if name in names}
    if "integer" in names and "number" not in names:
        shapes["number"] = (Numbers(step=exact_fraction(1)),)
    return ValueSet(shapes)


def enum(solver: Solver, number: int, schema: Schema) -> ValueSet:
    """Return the listed values."""
    return enum_values(schema["enum"])


def const(solver: Solver, number: int, schema: Schema) -> ValueSet:
    """Return the one value."""
    return enum_values([schema["const"]])


def enum_values(values: list[Any]) -> ValueSet:
    """Return these values by JSON type."""
    shapes: dict[str, list[Any]] = {}
    for value in values:
        shapes.setdefault(json_type(value), []).append(value)
    return ValueSet({name: (Enum(tuple(found)),) for name, found in shapes.items()})


def interval(solver: Solver, number: int, schema: Schema) -> ValueSet:
    """Return the numbers within the limits that are multiples."""
    found = EVERYTHING
    for keyword, shape in NUMBER_KEYWORDS.items():
        if keyword in schema:
            found = solver.intersect(
                found, restrict_type("number", shape(exact_fraction(schema[keyword])))
            )
    return found


NUMBER_KEYWORDS: dict[str, Callable[[Fraction], Numbers]] = {
    "minimum": lambda limit: Numbers(minimum=limit),
    "exclusiveMinimum": lambda limit: Numbers(minimum=limit, exclusive_minimum=True),
    "maximum": lambda limit: Numbers(maximum=limit),
    "exclusiveMaximum": lambda limit: Numbers(maximum=limit, exclusive_maximum=True),
    "multipleOf": lambda step: Numbers(step=step),
}


def length(solver: Solver, number: int, schema: Schema) -> ValueSet:
    """Return the strings of this length."""
    least, most = _bounds(schema, "minLength", "maxLength")
    return restrict_type(
        "string", *([Strings(minimum=least, maximum=most)] if _is_range(least, most) else [])
    )


def pattern(solver: Solver, number: int, schema: Schema) -> ValueSet:
    """Return the strings that contain a match of the pattern."""
    try:
        shape = Strings(pattern_language(schema["pattern"]))
    except PatternError as error:
        return solver.defer_to_validation(number, "pattern", str(error))
    return restrict_type("string", *([shape] if strings.is_possible(shape) else []))


def format_(solver: Solver, number: int, schema: Schema) -> ValueSet:
    """Return the strings of a known format."""
    name = schema["format"]
    shape = formats.format_strings(name) if solver.document.asserts_formats else None
    found = EVERYTHING if shape is None else restrict_type("string", shape)
    if solver.document.asserts_formats and name in formats.CHECKED_FORMATS:
        solver.defer_to_validation(number, "format", formats.CHECKED_FORMATS[name][1])
        return replace(found, exact=False)
    return found


def array(solver: Solver, number: int, schema: Schema) -> ValueSet:
    """Return the arrays with these items and this length."""
    least, most = _bounds(schema, "minItems", "maxItems")
    prefix = tuple(schema_set(each) for each in schema.get("prefixItems", ()))
    items = schema_set(schema["items"]) if "items" in schema else FREE
    contains: tuple[Contains, ...] = ()
    if "contains" in schema:
        bounds = _bounds(schema, "minContains", "maxContains", 1)
        contains = (Contains(schema_set(schema["contains"]), *bounds),)
    shape = Arrays(prefix, items, least, most, contains, schema.get("uniqueItems", False))
    met = solver.intersect_shape(Arrays(), shape)
    return restrict_type("array", *([met] if met else []))


def object_(solver: Solver, number: int, schema: Schema) -> ValueSet:
    """Return the objects with these properties and this size."""
    least, most = _bounds(schema, "minProperties", "maxProperties")
    patterns, extras = _by_name(solver, number, schema)
    exact = (number, "patternProperties") not in solver.deferred
    declared, required = schema.get("properties", {}), schema.get("required", ())
    more = schema.get("additionalProperties") if exact else None
    slots = {
        name: Property(_of_name(name, declared, patterns, more), name in required)
        for name in dict.fromkeys([*declared, *required])
    }
    met = solver.intersect_shape(Objects(), Objects(slots, extras, least, most))
    return replace(restrict_type("object", *([met] if met else [])), exact=exact)


def _by_name(
    solver: Solver, number: int, schema: Schema
) -> tuple[Mapping[Node, SchemaSet], tuple[OtherProperties, ...]]:
    """Return the schema sets by name pattern, and all properties that are not listed."""
    more = schema.get("additionalProperties")
    try:
        patterns = {
            pattern_language(name): schema_set(each)
            for name, each in schema.get("patternProperties", {}).items()
        }
        return patterns, tuple(_other_properties(patterns, more))
    except PatternError as error:
        solver.defer_to_validation(number, "patternProperties", str(error))
    except (TooMany, TooLarge):
        solver.defer_to_validation(
            number, "patternProperties", "its name patterns combine to too many cases"
        )
    return {}, tuple(_other_properties({}, None))


def _of_name(
    name: str, declared: Schema, patterns: Mapping[Node, SchemaSet], more: int | None
) -> SchemaSet:
    """Return the schema set of a property's value."""
    found = [schema_set(declared[name])] if name in declared else []
    found += [each for names, each in patterns.items() if matches(names, name)]
    if not found and more is not None:
        return schema_set(more)
    return frozenset().union(*found)


def _other_properties(
    patterns: Mapping[Node, SchemaSet], more: int | None
) -> Iterator[OtherProperties]:
    """Yield the properties that are not listed, by the patterns that their names match."""
    parts: list[tuple[Node, SchemaSet]] = [(ANYTHING, FREE)]
    for names, wanted in patterns.items():
        split = [
            (intersection(there, side), found | more_)
            for there, found in parts
            for side, more_ in ((names, wanted), (complement(names), FREE))
        ]
        parts = [(there, found) for there, found in split if not is_empty(there)]
        if len(parts) > MAX_NAME_CASES:
            raise TooMany
    for names, found in parts:
        if found or more is None:
            yield OtherProperties(names, found, bool(found))
        else:
            yield OtherProperties(names, schema_set(more), True)


def property_names(solver: Solver, number: int, schema: Schema) -> ValueSet:
    """Return the objects whose property names are valid for a schema."""
    found = solver.value_set(schema_set(schema["propertyNames"]))
    if not found.exact:
        return solver.defer_to_validation(
            number, "propertyNames", "its schema cannot be enforced exactly"
        )
    names = alt(*(_names(shape) for shape in found.shapes.get("string", ())))
    extras = [
        OtherProperties(names, FREE, False),
        OtherProperties(complement(names), NEVER, False),
    ]
    return restrict_type(
        "object", Objects({}, tuple(each for each in extras if not is_empty(each.names)))
    )


def _names(shape: TypeSet) -> Node:
    if isinstance(shape, Strings):
        return intersection(shape.node, Repeat(ANY, shape.minimum, shape.maximum))
    assert isinstance(shape, Enum)
    return alt(*map(Literal, shape.values))


def dependent_required(solver: Solver, number: int, schema: Schema) -> ValueSet:
    """Return the objects in which some properties require others."""
    found = EVERYTHING
    for name, others in schema["dependentRequired"].items():
        with_it = Objects({each: Property(FREE, True) for each in (name, *others)})
        found = solver.intersect(
            found, restrict_type("object", Objects({name: Property(NEVER)}), with_it)
        )
    return found


def dependent_schemas(solver: Solver, number: int, schema: Schema) -> ValueSet:
    """Return the objects in which some properties require a schema."""
    found = EVERYTHING
    for name, inner in schema["dependentSchemas"].items():
        there = restrict_type("object", Objects({name: Property(FREE, True)}))
        absent = restrict_type("object", Objects({name: Property(NEVER)}))
        met = solver.intersect(there, solver.value_set(schema_set(inner)))
        objects = absent.shapes.get("object", ()) + met.shapes.get("object", ())
        found = solver.intersect(found, ValueSet({**ALL, "object": objects}, met.exact))
    return found


def reference(solver: Solver, number: int, schema: Schema) -> ValueSet:
    """Return the values of the schema that is referred to."""
    targets = [schema[keyword] for keyword in ("$ref", "$dynamicRef") if keyword in schema]
    return solver.value_set(schema_set(*targets))


def all_of(solver: Solver, number: int, schema: Schema) -> ValueSet:
    """Return the values that are valid for all of the schemas."""
    found = EVERYTHING
    for inner in schema["allOf"]:
        found = solver.intersect(found, solver.value_set(schema_set(inner)))
    return found


def any_of(solver: Solver, number: int, schema: Schema) -> ValueSet:
    """Return the values that are valid for any of the schemas."""
    return solver.union(solver.value_set(schema_set(inner)) for inner in schema["anyOf"])


def one_of(solver: Solver, number: int, schema: Schema) -> ValueSet:
    """Return the values that are valid for exactly one of the schemas."""
    inner = schema["oneOf"]
    if len(inner) > MAX_ONE_OF:
        solver.defer_to_validation(number, "oneOf", "it has too many alternatives to compare")
        return replace(
            solver.union(solver.value_set(schema_set(each)) for each in inner), exact=False
        )
    return solver.union(
        _only_alternative(solver, number, index, inner) for index in range(len(inner))
    )


def _only_alternative(solver: Solver, number: int, index: int, inner: list[int]) -> ValueSet:
    """Return the values that are valid for the schema at an index and for no other."""
    found = solver.value_set(schema_set(inner[index]))
    for other in inner[:index] + inner[index + 1 :]:
        if other == inner[index]:
            return NOTHING
        if solver.intersect(found, solver.value_set(schema_set(other))).shapes:
            apart = solver.value_set(schema_set(~other))
            if not apart.exact:
                solver.defer_to_validation(
                    number, "oneOf", "not all alternatives can be negated exactly"
                )
            found = solver.intersect(found, apart)
    return found


def not_(solver: Solver, number: int, schema: Schema) -> ValueSet:
    """Return the values that are not valid for the schema."""
    found = solver.value_set(schema_set(~schema["not"]))
    if not found.exact:
        solver.defer_to_validation(number, "not", "the schema cannot be negated exactly")
    return found


def if_(solver: Solver, number: int, schema: Schema) -> ValueSet:
    """Return the values that satisfy "if" and "then", or "else" and not "if"."""
    # A condition without consequences is solved too, because it may be an infinite reference.
    condition = solver.value_set(schema_set(schema["if"]))
    then = [solver.value_set(schema_set(schema["then"]))] if "then" in schema else []
    other = [solver.value_set(schema_set(schema["else"]))] if "else" in schema else []
    if not then and not other:
        return EVERYTHING
    against = solver.value_set(schema_set(~schema["if"]))
    if not against.exact:
        solver.defer_to_validation(number, "if", "the condition cannot be negated exactly")
    return solver.union(
        [solver.intersect_all([condition, *then]), solver.intersect_all([against, *other])]
    )


def unevaluated(keyword: str) -> Build:
    """Return the function of a keyword that depends on what other keywords evaluated."""

    def build(solver: Solver, number: int, schema: Schema) -> ValueSet:
        if not solver.document.schemas[schema[keyword]]:
            return EVERYTHING
        return solver.defer_to_validation(
            number, keyword, "what other keywords evaluate depends on the value"
        )

    return build


def _bounds(schema: Schema, least: str, most: str, default: int = 0) -> tuple[int, int | None]:
    low = min(int(schema.get(least, default)), MAX_COUNT)
    high = int(schema[most]) if most in schema else MAX_COUNT
    return low, high if high < MAX_COUNT else None


def _is_range(least: int, most: int | None) -> bool:
    return most is None or least <= most


KEYWORDS: Keywords = {
    "type": (types, 0),
    "const": (const, 1),
    "enum": (enum, 1),
    **dict.fromkeys(NUMBER_KEYWORDS, (interval, 2)),
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
