from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fakes.grammar_checks import arguments, fits, needs_vocabulary, tool
from xlam_local.grammar import compile_schema, compile_tools
from xlam_local.schema import validate
from xlam_local.types import Tool


@needs_vocabulary
def test_a_tools_objects_are_closed_unless_the_schema_opens_them() -> None:
    inner = {"type": "object", "properties": {"x": {"type": "null"}}}
    offer = compile_tools(
        [
            tool(
                properties={
                    "closed": inner,
                    "open": {**inner, "additionalProperties": True},
                    "any": {"type": "object"},
                    "map": {"additionalProperties": {"type": "integer"}, "type": "object"},
                }
            )
        ],
        "f",
    )
    assert arguments(
        offer,
        '{"closed": {"x": null}, "open": {"y": 1}, "any": {"z": []}, "map": {"k": 1, "l": 2}}',
        '{"closed": {"y": null}}',
        '{"map": {"k": "v"}}',
        '{"open": {"x": 1}}',
        '{"other": 1}',
        '{"any": {}, "closed": {}}',
    ) == [True, False, False, False, False, False]


@needs_vocabulary
def test_a_tool_without_parameters_takes_none() -> None:
    for parameters in ({}, {"type": "object"}, {"type": "object", "properties": {}}):
        offer = compile_tools([Tool("f", "", parameters)], "f")
        assert arguments(offer, "{}", '{"a": 1}') == [True, False]


MANY = {name: {"type": "null"} for name in "abcdefgh"}


@needs_vocabulary
def test_optional_properties_keep_their_places() -> None:
    offer = compile_tools([tool(properties=MANY, required=["f"])], "f")
    assert arguments(
        offer,
        '{"f": null}',
        '{"a": null, "f": null, "h": null}',
        '{"e": null, "f": null}',
        '{"f": null, "a": null}',
        '{"a": null}',
        '{"f": null, "f": null}',
        '{"a": null, "c": null, "d": null, "e": null, "f": null, "g": null, "h": null}',
    ) == [True, True, True, False, False, False, True]


CASES: list[tuple[Any, list[str], list[str]]] = [
    (True, ["1", '{"a": [null, "x"]}'], ["", "{"]),
    ({"type": "integer"}, ["0", "-12", "3.0"], ["01", "1.5", "1e3", "-", '"1"']),
    ({"type": "number"}, ["1", "1.5", "-0.5e-7", "2E+10"], [".5", "1.", "1e999", "+1"]),
    ({"minimum": -2, "maximum": 11}, ["-2", "11", "0.5", "-1.99", "11.0"], ["-2.1", "12", "11.1"]),
    ({"exclusiveMinimum": 0.25, "exclusiveMaximum": 0.5}, ["0.3", "0.251"], ["0.25", "0.5", "0"]),
    ({"type": "integer", "minimum": 95, "maximum": 1203}, ["95", "1203"], ["94", "1204", "0100"]),
    ({"type": "integer", "minimum": 10**30}, ["1" + "0" * 30], ["9"]),
    ({"multipleOf": 7}, ["0", "-14", "7.0", "700000007"], ["1", "15", "7.5", "700000001"]),
    ({"multipleOf": 0.01}, ["0.01", "5", "-1.50", "0.010"], ["0.001", "1.005"]),
    ({"multipleOf": 2.5, "minimum": 2}, ["2.5", "10", "12.50"], ["0", "2", "2.6"]),
    ({"type": "integer", "multipleOf": 20}, ["0", "40", "-120"], ["10", "30"]),
    ({"not": {"type": "integer"}, "type": "number"}, ["0.5", "-7.25"], ["1", "2.0", "2"]),
    ({"type": "number", "not": {"enum": [5]}}, ["4", "5.5"], ["5", "5.0"]),
    (
        {"enum": ["a", 1, None, {"k": [1.0]}]},
        ['"a"', "1", "null", '{"k": [1]}'],
        ['"b"', "2", "{}"],
    ),
    ({"enum": [f"v{n}" for n in range(30)]}, ['"v0"', '"v29"', '"v7"'], ['"v30"', '"v"']),
    ({"const": {"a": 1, "b": 2}}, ['{"a": 1, "b": 2}', '{"b": 2, "a": 1}'], ['{"a": 1}']),
    (
        {"type": "string"},
        ['"é💡"', '"\\n\\u00e9"', '""'],
        ['"', '"\\x"', '"\\ud800"', '"\t"', "''"],
    ),
    (
        {"minLength": 2, "maxLength": 3},
        ['"ab"', '"\\u00e9é"', '"\\ud83d\\ude00x"'],
        ['"a"', '"abcd"'],
    ),
    ({"type": "string", "maxLength": 3000, "minLength": 2500}, ['"' + "x" * 3000 + '"'], ['"x"']),
    ({"pattern": '^["\\\\/]+$'}, ['"\\"\\\\/\\/"'], ['"a"', '""']),
    ({"pattern": "^[a-z]+$", "maxLength": 4}, ['"abc"'], ['"abcde"', '""']),
    ({"pattern": "a.*b", "maxLength": 4, "minLength": 3}, ['"axb"', '"xabx"'], ['"ab"', '"axxxb"']),
    ({"format": "date", "type": "string"}, ['"2024-02-29"'], ['"2023-02-29"', '"x"']),
    ({"items": {"type": "null"}, "minItems": 1, "maxItems": 2}, ["[null]"], ["[]", "[1]"]),
    ({"type": "array", "maxItems": 0}, ["[]"], ["[1]"]),
    ({"prefixItems": [{"const": 1}, {"const": 2}], "items": False}, ["[]", "[1, 2]"], ["[2]"]),
    ({"prefixItems": [{}, {}], "items": {"const": 3}, "minItems": 3}, ["[1, 2, 3]"], ["[1, 2]"]),
    ({"contains": {"const": 1}, "type": "array"}, ["[1]", "[2, 1, 2]"], ["[]", "[2]"]),
    (
        {"contains": {"const": 1}, "minContains": 2, "maxContains": 2, "maxItems": 4},
        ["[1, 1]", "[2, 1, 1, 2]"],
        ["[1]", "[1, 1, 1]", "[1, 1, 2, 2, 2]"],
    ),
    ({"items": {"enum": [1, 2]}, "uniqueItems": True, "minItems": 1}, ["[2, 1]"], ["[1, 1]", "[]"]),
    ({"required": ["a"], "type": "object"}, ['{"a": 1}', '{"b": 1, "a": 2}'], ["{}", '{"b": 1}']),
    (
        {"properties": {"a": {"const": 1}}, "additionalProperties": {"const": 2}},
        ['{"a": 1, "b": 2}', '{"b": 2, "a": 1}', '{"ab": 2}', '{"": 2}'],
        ['{"a": 2}', '{"b": 1}'],
    ),
    (
        {"patternProperties": {"^x": {"const": 1}, "y$": {"type": "integer"}}, "type": "object"},
        ['{"x": 1}', '{"xy": 1}', '{"y": 2, "z": null}'],
        ['{"x": 2}', '{"xy": 2}', '{"y": ""}'],
    ),
    ({"propertyNames": {"pattern": "^a"}, "type": "object"}, ['{"ab": 1}', "{}"], ['{"b": 1}']),
    ({"propertyNames": {"enum": ["a"]}, "type": "object"}, ['{"a": 1}'], ['{"b": 1}']),
    ({"maxProperties": 1, "type": "object"}, ["{}", '{"a": 1}'], ['{"a": 1, "b": 2}']),
    (
        {"properties": MANY, "maxProperties": 2, "minProperties": 1, "additionalProperties": False},
        ['{"a": null}', '{"a": null, "h": null}'],
        ["{}", '{"a": null, "b": null, "c": null}'],
    ),
    (
        {"dependentRequired": {"a": ["b"]}, "type": "object"},
        ["{}", '{"b": 1}', '{"a": 1, "b": 1}'],
        ['{"a": 1}'],
    ),
    (
        {"oneOf": [{"required": ["a"]}, {"required": ["b"]}], "type": "object"},
        ['{"a": 1}', '{"b": 1}'],
        ["{}", '{"a": 1, "b": 1}'],
    ),
    (
        {"if": {"properties": {"k": {"const": 1}}}, "then": {"required": ["x"]}, "type": "object"},
        ['{"k": 1, "x": 0}', '{"k": 2}'],
        ['{"k": 1}'],
    ),
    (
        {"anyOf": [{"type": "null"}, {"type": "string", "maxLength": 1}]},
        ["null", '"a"'],
        ['"ab"', "1"],
    ),
    (
        {"prefixItems": [{"const": n} for n in range(25)], "items": False, "type": "array"},
        ["[0, 1]", "[]"],
        ["[1]"],
    ),
    ({"enum": ["a" * n for n in range(40)]}, ['"aaa"', '""'], ['"b"', '"' + "a" * 40 + '"']),
    ({"enum": [1e30, 1]}, ["1e+30", "1.0"], ["1e31"]),
    ({"properties": {"a": {}, "b": {"const": 1}}, "maxProperties": 0}, ["{}"], ['{"a": 1}']),
    ({"pattern": "^a{2,3}b*$", "maxLength": 2, "minLength": 2}, ['"aa"'], ['"aab"']),
    ({"allOf": [{"minimum": 2}, {"maximum": 2}], "type": "integer"}, ["2"], ["1", "3"]),
    (
        {"$ref": "#/$defs/t", "$defs": {"t": {"items": {"$ref": "#/$defs/t"}, "type": "array"}}},
        ["[]", "[[], [[]]]"],
        ["[1]"],
    ),
    ({"type": "integer", "$ref": "#/$defs/p", "$defs": {"p": {"minimum": 0}}}, ["0"], ["-1", '""']),
]


@needs_vocabulary
@pytest.mark.parametrize(("schema", "right", "wrong"), CASES)
def test_a_grammar_accepts_what_its_schema_accepts(
    schema: Any, right: list[str], wrong: list[str]
) -> None:
    assert fits(schema, *right, *wrong) == [True] * len(right) + [False] * len(wrong)
    for each in right:
        assert validate(json.loads(each), schema) == []


@needs_vocabulary
def test_the_oldest_drafts_know_no_integer_with_a_point() -> None:
    old = {"$schema": "http://json-schema.org/draft-04/schema#", "type": "integer"}
    assert fits(old, "1", "1.0") == [True, False]


TWENTY = {f"p{n}": {"type": "integer"} for n in range(20)}


@needs_vocabulary
def test_many_properties_of_a_value_come_in_any_order_too() -> None:
    schema = {
        "type": "object",
        "properties": TWENTY,
        "required": ["p3", "p7"],
        "additionalProperties": False,
    }
    right = ['{"p7": 1, "p3": 1}', '{"p19": 1, "p3": 1, "p0": 1, "p7": 1}']
    wrong = ['{"p7": 1, "p0": 1}', '{"p3": 1, "p7": 1, "q": 1}', '{"p3": 1, "p7": "a"}']
    assert fits(schema, *right, *wrong) == [True] * 2 + [False] * 3
    _, report = compile_schema(schema)
    assert {entry.status for entry in report} == {"exact"}


def test_properties_that_could_be_written_twice_are_counted_by_the_check() -> None:
    schema = {"type": "object", "properties": TWENTY, "minProperties": 3}
    _, report = compile_schema(schema)
    assert {e.keyword for e in report if e.status == "checked"} == {"minProperties"}


@needs_vocabulary
@pytest.mark.slow
def test_what_would_be_too_large_in_any_order_keeps_its_order() -> None:
    def wide(number: int) -> Any:
        names = {f"p{n}": {"const": number} for n in range(50)}
        return {"type": "object", "properties": names, "required": ["p0", "p1", "p2"]}

    schema = {"prefixItems": [wide(number) for number in range(30)], "type": "array"}
    ordered, other = '[{"p0": 0, "p1": 0, "p2": 0}]', '[{"p1": 0, "p0": 0, "p2": 0}]'
    assert fits(schema, ordered, other) == [True, False]


@needs_vocabulary
def test_a_text_that_has_to_be_a_pattern_is_left_to_the_check() -> None:
    schema = {"type": "string", "format": "regex"}
    assert fits(schema, '"["', '"(a)\\\\1"') == [True, True]
    assert [e.status for e in compile_schema(schema)[1] if e.keyword == "format"] == ["checked"]
    assert validate("[", schema) == ['/: does not have the format regex: "[".']
    assert validate(r"(a)\1", schema) == validate(r"\p{L}+", schema) == []
    assert validate(3, {"format": "regex"}) == []
