"""Messages of validation begin with the reason, and its work is bounded."""

from __future__ import annotations

import time
from typing import Any

import pytest

from xlam_local.schema import validate

LONG = "x" * 400


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        ({"type": "integer"}, LONG, 'expected integer, not "xxx'),
        ({"type": ["integer", "null"]}, [LONG] * 9, 'expected integer or null, not ["xxx'),
        ({"enum": ["a", "b"]}, LONG, 'expected one of "a", "b", not "xxx'),
        ({"const": 1}, LONG, 'expected 1, not "xxx'),
        ({"maxLength": 3}, LONG, 'expected at most 3 characters, not 400: "xxx'),
        ({"minLength": 401}, LONG, 'expected at least 401 characters, not 400: "xxx'),
        ({"minLength": 1}, "", "expected at least 1 character, not 0."),
        ({"pattern": "^a"}, LONG, 'does not match the pattern ^a: "xxx'),
        ({"format": "date"}, LONG, 'does not have the format date: "xxx'),
        ({"minimum": 3}, 2, "expected at least 3, not 2."),
        ({"exclusiveMaximum": 3}, 3, "expected less than 3, not 3."),
        ({"multipleOf": 5}, 7, "expected a multiple of 5, not 7."),
        ({"maxItems": 1}, [LONG, LONG], 'expected at most 1 item, not 2: ["xxx'),
        ({"uniqueItems": True}, [1, LONG, LONG], 'the items 1 and 2 are equal: "xxx'),
        ({"minItems": 1.0}, [], "expected at least 1 item, not 0."),
        ({"maximum": 10**400}, 10**401, "expected at most 1000"),
        ({"enum": []}, LONG, "no value is allowed."),
        ({"anyOf": []}, LONG, "no value is allowed."),
        ({"oneOf": []}, LONG, "no value is allowed."),
        ({"contains": {"const": 1}}, [LONG], 'has no item that matches `contains`: ["xxx'),
        ({"maxContains": 1, "contains": {}}, [1, 2], "expected at most 1 items that match"),
        ({"required": ["a"]}, {LONG: 1}, 'the required property "a" is missing.'),
        ({"dependentRequired": {"a": ["b"]}}, {"a": LONG}, '"a" requires the property "b".'),
        ({"minProperties": 2}, {"a": LONG}, 'expected at least 2 properties, not 1: {"a": "xxx'),
        ({"propertyNames": {"maxLength": 2}}, {"abc": 1}, 'the property name "abc" is not allowed'),
        ({"not": {"type": "string"}}, LONG, 'must not match the schema in `not`: "xxx'),
        ({"oneOf": [{}, {"minLength": 1}]}, LONG, 'matches more than one alternative of oneOf: "x'),
        (
            {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            LONG,
            'expected integer or null, not "xxx',
        ),
        (
            {"anyOf": [{"minimum": 3, "type": "integer"}, {"type": "null"}]},
            2,
            "matches no alternative of anyOf; the closest: expected at least 3, not 2.",
        ),
    ],
)
def test_the_reason_comes_before_the_value(schema: Any, value: Any, message: str) -> None:
    (problem,) = validate(value, schema)
    assert problem.startswith(f"/: {message}")
    assert len(problem) < 350


@pytest.mark.parametrize(
    ("value", "closest"),
    [
        ({"kind": "circle", "r": LONG}, "/r: expected number, not"),
        ({"kind": "square", "side": LONG}, "/side: expected number, not"),
        ({"kind": "circle"}, 'the required property "r" is missing.'),
    ],
)
def test_the_closest_alternative_is_named(value: Any, closest: str) -> None:
    shapes = [
        {"type": "object", "properties": {"kind": {"const": kind}, size: {"type": "number"}}}
        | {"required": ["kind", size]}
        for kind, size in (("circle", "r"), ("square", "side"))
    ]
    (problem,) = validate({"a": value}, {"properties": {"a": {"anyOf": shapes}}})
    assert problem.startswith(f"/a: matches no alternative of anyOf; the closest: {closest}")


def test_the_types_of_all_alternatives_are_named_for_a_value_of_another_type() -> None:
    number = {"type": "number"}
    nullable = {"anyOf": [{"anyOf": [number, {"type": "string"}]}, {"type": "null"}]}
    assert validate([1], nullable) == ["/: expected number or string or null, not [1]."]
    assert validate({}, {"oneOf": [number, {"type": "array"}]}) == [
        "/: expected number or array, not {}."
    ]
    alternatives = [{"minimum": 3}, {"type": "string"}]
    assert "closest: expected at least 3" in validate(2, {"anyOf": alternatives})[0]


@pytest.mark.parametrize(
    ("schema", "value", "problem"),
    [
        ({"unevaluatedItems": False}, [1], "/0: additional item is not allowed."),
        ({"allOf": [{"prefixItems": [{}]}], "unevaluatedItems": False}, [1, 2], "/1: additional"),
        ({"unevaluatedItems": {"type": "integer"}}, [1, LONG], '/1: expected integer, not "xxx'),
        (
            {"contains": {"type": "string"}, "unevaluatedItems": {"type": "integer"}},
            ["a", 1, None],
            "/2: expected integer, not null.",
        ),
        (
            {
                "if": {"prefixItems": [{"const": 1}]},
                "then": {"prefixItems": [{}, {}]},
                "dependentSchemas": {"a": {"items": {}}},
                "unevaluatedItems": False,
            },
            [1, 2, 3],
            "/2: additional item is not allowed.",
        ),
        ({"anyOf": [{"items": {"type": "string"}}, {}], "unevaluatedItems": False}, [1], "/0: "),
    ],
)
def test_items_that_no_keyword_evaluates_are_named(schema: Any, value: Any, problem: str) -> None:
    (found,) = validate(value, schema)
    assert found.startswith(problem)


def test_items_that_a_keyword_evaluates_are_valid() -> None:
    schema = {"$ref": "#/$defs/L", "unevaluatedItems": False, "$defs": {"L": {"items": {}}}}
    assert validate([1, 2], schema) == []
    nested = {"allOf": [{"unevaluatedItems": {"type": "integer"}}], "unevaluatedItems": False}
    assert validate([1, 2], nested) == []


def test_long_names_are_shortened_in_pointers() -> None:
    (problem,) = validate({LONG: 1}, {"additionalProperties": {"type": "string"}})
    assert problem.startswith("/xxx")
    assert problem.endswith("…: expected string, not 1.")


def test_only_the_first_errors_are_reported() -> None:
    assert len(validate([1] * 1000, {"items": {"type": "string"}})) == 20


@pytest.mark.parametrize(
    ("schema", "value", "valid"),
    [
        ({"uniqueItems": True}, [1, True, "1", [1], {"a": 1}, None], True),
        ({"uniqueItems": True}, [{"a": 1, "b": [2]}, {"b": [2.0], "a": 1.0}], False),
        ({"patternProperties": {"^a": {}}, "additionalProperties": False}, {"ab": 1}, True),
        ({"patternProperties": {"^a": {}}, "additionalProperties": False}, {"ba": 1}, False),
        ({"properties": {"a": {}}, "unevaluatedProperties": False}, {"a": 1}, True),
        ({"properties": {"a": {}}, "unevaluatedProperties": False}, {"b": 1}, False),
        (
            {"anyOf": [{"properties": {"a": {"type": "string"}}}], "unevaluatedProperties": False},
            {"a": "x"},
            True,
        ),
        (
            {
                "anyOf": [{"properties": {"a": {"const": 1}}}, {"patternProperties": {"^b": {}}}],
                "unevaluatedProperties": False,
            },
            {"a": 2, "b": 1},
            False,
        ),
        (
            {
                "if": {"properties": {"a": {"const": 1}}, "required": ["a"]},
                "then": {"properties": {"b": {}}},
                "unevaluatedProperties": False,
            },
            {"a": 1, "b": 2},
            True,
        ),
        (
            {
                "$ref": "#/$defs/base",
                "$defs": {"base": {"properties": {"a": {}}}},
                "unevaluatedProperties": False,
            },
            {"a": 1},
            True,
        ),
        (
            {
                "dependentSchemas": {"a": {"properties": {"a": {}, "b": {}}}},
                "unevaluatedProperties": False,
            },
            {"a": 1, "b": 1},
            True,
        ),
        ({"allOf": [{"additionalProperties": {}}], "unevaluatedProperties": False}, {"z": 1}, True),
        ({"additionalProperties": {}, "unevaluatedProperties": False}, {"z": 1}, True),
    ],
)
def test_own_keywords_decide_as_the_standard_says(schema: Any, value: Any, valid: bool) -> None:
    assert (validate(value, schema) == []) is valid


@pytest.mark.slow
def test_thousands_of_equal_looking_items_are_compared_in_one_pass() -> None:
    start = time.process_time()
    items = [{"id": number, "tags": ["a", {"b": number % 7}]} for number in range(20_000)]
    assert validate(items, {"uniqueItems": True}) == []
    assert validate([*items, items[5]], {"uniqueItems": True}) != []
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        ({"items": False}, [1], "/0: additional item is not allowed."),
        ({"properties": {"a": False}}, {"a": 1}, "/a: additional property is not allowed."),
        (False, 1, "/: no value is allowed."),
    ],
)
def test_what_no_schema_allows_is_named(schema: Any, value: Any, message: str) -> None:
    assert validate(value, schema) == [message]
