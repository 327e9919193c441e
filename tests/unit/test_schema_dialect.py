"""Keywords of other dialects are read as they are meant, or reported."""

from __future__ import annotations

from typing import Any

import pytest

from xlam_local.grammar import compile_tools
from xlam_local.schema import validate
from xlam_local.types import Tool


def findings(schema: Any) -> dict[str, str]:
    """Return the reason of each keyword that is not exact, by its JSON pointer."""
    report = compile_tools([Tool("f", "", schema)]).report
    return {entry.pointer: entry.reason for entry in report if entry.status != "exact"}


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        ({"type": "object", "properties": None, "required": None}, [{}, {"a": 1}], [[]]),
        ({"type": "array", "items": None, "minItems": None}, [[], [1]], [{}]),
        ({"type": "string", "enum": None, "pattern": None, "format": None}, ["x"], [1]),
        ({"const": None}, [None], [0]),
        ({"anyOf": None, "allOf": None, "$ref": None, "type": "string"}, ["x"], [1]),
        ({"properties": {"a": None}, "additionalProperties": None}, [{"a": 1, "b": 2}], []),
        (
            {"properties": {"a": {"required": True}, "b": {"required": False}}},
            [{"a": 1}, {"a": 1, "b": 2}],
            [{}, {"b": 2}],
        ),
        (
            {"properties": {"a": {"required": True}, "b": {}}, "required": ["b"]},
            [{"a": 1, "b": 2}],
            [{"a": 1}, {"b": 1}],
        ),
        ({"nullable": True, "type": "string"}, [None, "x"], [1]),
        ({"nullable": True, "enum": ["x"]}, [None, "x"], ["y"]),
        ({"nullable": True, "const": "x"}, [None, "x"], ["y"]),
        (
            {"nullable": True, "$ref": "#/$defs/s", "$defs": {"s": {"type": "string"}}},
            [None, "x"],
            [1],
        ),
        ({"nullable": True, "anyOf": [{"type": "string"}, {"type": "integer"}]}, [None, 1], [1.5]),
        ({"nullable": True, "oneOf": [{"type": "string"}, {"minimum": 3}]}, [None, 4], [1]),
        ({"nullable": True, "allOf": [{"type": "integer"}], "minimum": 2}, [None, 2], [1, "x"]),
        ({"nullable": False, "type": "string"}, ["x"], [None]),
        ({"exclusiveMinimum": True, "minimum": 3}, [4], [3]),
        ({"exclusiveMaximum": False, "maximum": 3}, [3], [4]),
        ({"type": ["String", "NULL"]}, ["x", None], [1]),
    ],
)
def test_other_dialects_are_read_as_they_are_meant(
    schema: Any, right: list[Any], wrong: list[Any]
) -> None:
    assert [value for value in right if validate(value, schema)] == []
    assert [value for value in wrong if not validate(value, schema)] == []


@pytest.mark.parametrize(
    ("schema", "pointer", "reason"),
    [
        ({"type": "number", "exclusiveMinimum": True}, "/exclusiveMinimum", "only beside minimum"),
        ({"exclusiveMaximum": True}, "/exclusiveMaximum", "only beside maximum"),
        ({"nullable": True}, "/nullable", "only beside type"),
        ({"items": {"required": True}}, "/items/required", "only in the schema of a property"),
        ({"items": {}, "additionalItems": False}, "/additionalItems", "beside a list of schemas"),
        ({"minContains": 2}, "/minContains", "only beside contains"),
        ({"then": {"type": "string"}}, "/then", "only beside if"),
        ({"if": {"type": "string"}}, "/if", "only beside then or else"),
        ({"type": "integer", "minLength": 2}, "/minLength", "only values of type string"),
        ({"type": "string", "minimum": 2}, "/minimum", "only values of type number"),
        ({"type": ["string", "null"], "items": {}}, "/items", "only values of type array"),
        ({"type": "string", "properties": {}}, "/properties", "only values of type object"),
        ({"type": None}, "/type", "null is read as no type"),
        ({"properties": {"b": None}}, "/properties/b", "null is read as a schema"),
        ({"strict": True}, "/strict", "not a keyword of JSON Schema"),
        ({"additionalproperties": False}, "/additionalproperties", "mean 'additionalProperties'?"),
        ({"descripton": "x"}, "/descripton", "did you mean 'description'?"),
        ({"minlength": 3}, "/minlength", "did you mean 'minLength'?"),
        ({"enums": ["a"]}, "/enums", "did you mean 'enum'?"),
        ({"optional": True}, "/optional", "not a keyword"),
        ({"format": "datetime"}, "/format", "did you mean 'date-time'?"),
        ({"format": "unheard-of"}, "/format", "unknown format"),
        ({"pattern": "/^a+$/"}, "/pattern", "slashes match slashes"),
        ({"pattern": "/ab/i"}, "/pattern", "write (?i) at its start"),
        ({"pattern": "^[[:alnum:]_]+$"}, "/pattern", "Write A-Za-z0-9 within the brackets"),
        ({"pattern": "[^[:space:]]"}, "/pattern", "[:space:] is read as single characters"),
        ({"pattern": r"^\h+$"}, "/pattern", r"\h is read as the letter h"),
        ({"pattern": r"^\\d+$"}, "/pattern", "two backslashes"),
        ({"pattern": "[a-z&&[^b]]"}, "/pattern", "not as an intersection"),
        ({"patternProperties": {"/^x/i": {}}}, "/patternProperties", "slashes match"),
        ({"type": "integer", "enum": [1, "2"]}, "/enum", '"2" is not of type integer'),
        ({"type": "string", "const": 1}, "/const", "1 is not of type string"),
        ({"type": "integer", "enum": [1, 1.5]}, "/enum", "1.5 is not of type integer"),
        ({"type": ["string", "null"], "enum": ["a", False]}, "/enum", "false is not of type"),
        ({"properties": {"city": {}}, "required": ["City"]}, "/required", "did you mean 'city'?"),
        ({"type": "string", "required": ["a"]}, "/required", "only values of type object"),
        ({"properties": {"required": True}}, "/properties/required", "stands beside properties"),
        (
            {"properties": {"additionalProperties": False}},
            "/properties/additionalProperties",
            "this is a parameter named",
        ),
        ({"type": "string", "format": "int64"}, "/format", "a format of numbers"),
        ({"type": "integer", "format": "date"}, "/format", "a format of strings"),
        ({"type": "string", "format": "hostname"}, "/format", "pattern and length"),
        ({"pattern": r"^\pL+$"}, "/pattern", r"write \p{L}"),
        ({"pattern": r"^\ud83c[\udf00-\udfff]|a$"}, "/pattern", "half of a surrogate pair"),
        ({"pattern": "a|[]a]"}, "/pattern", "a class without characters"),
    ],
)
def test_a_keyword_without_effect_is_reported(schema: Any, pointer: str, reason: str) -> None:
    found = findings({"type": "object", "properties": {"a": schema}})
    assert reason in found[f"/properties/a{pointer}"]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "title": "A", "default": None, "examples": ["x"], "x-order": 3},
        {"type": "integer", "format": "int64", "minimum": 0},
        {"type": "integer", "enum": [1, 2.0]},
        {"type": ["string", "null"], "enum": ["a", None]},
        {"properties": {"a": {}}, "required": ["a", "other"]},
        {"type": "string", "pattern": "^/api/v1/"},
        {"type": "string", "pattern": r"^[a-z]:\\dir\/[\w.-]+$"},
        {"type": ["object", "null"], "properties": {}, "required": [], "propertyOrdering": []},
        {"if": {"type": "string"}, "then": {"minLength": 1}},
        {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None, "deprecated": True},
        {"type": "string", "pattern": r"^[^\ud800-\udfff]*$"},
        {"type": "string", "pattern": r"^[[(\]]\ud83d\ude00\\pL$"},
        {"type": ["string", "null"], "format": "date"},
    ],
)
def test_what_has_an_effect_or_restricts_nothing_is_no_finding(schema: Any) -> None:
    assert findings({"type": "object", "properties": {"a": schema}}) == {}
