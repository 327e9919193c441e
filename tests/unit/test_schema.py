from __future__ import annotations

import re
import time
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.benchmarks.conformance import lines
from tests.fakes.schema_strategies import schemas, values
from xlam_local.errors import SchemaError
from xlam_local.schema import normalize, read_schema, solver_for, validate
from xlam_local.schema.arrays import json_equal
from xlam_local.schema.value_sets import ValueSet


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(schemas, st.lists(values, min_size=1, max_size=6))
def test_the_normal_form_accepts_what_the_schema_accepts(schema: Any, candidates: Any) -> None:
    document = read_schema(schema)
    solver = solver_for(document)
    goal = frozenset({document.root})
    exact = solver.value_set(goal).exact
    validator = jsonschema.Draft202012Validator(schema)
    for value in candidates:
        valid, fits = validator.is_valid(value), solver.is_valid(goal, value)
        assert fits or not valid
        if exact and not solver.deferred:
            assert fits == valid
        assert (validate(value, schema) == []) == valid


def test_references_may_be_recursive() -> None:
    schema = {
        "$ref": "#/$defs/tree",
        "$defs": {"tree": {"type": "object", "properties": {"left": {"$ref": "#/$defs/tree"}}}},
    }
    document = read_schema(schema)
    solver = solver_for(document)
    goal = frozenset({document.root})
    assert solver.is_valid(goal, {"left": {"left": {}}})
    assert not solver.is_valid(goal, {"left": {"left": 1}})


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"$ref": "#"}, "infinite reference"),
        ({"$ref": "#/nowhere"}, "'#/nowhere' does not exist"),
        ({"$ref": "https://example.org/x"}, "remote references are not fetched"),
        ({"type": 5}, "/type: expected a type name or a list of type names."),
        ({"type": "blob"}, '/type: "blob" is not a type. The types are string, number, integer,'),
        (
            {"properties": {"a": {"type": ["strng"]}}},
            '/properties/a/type: "strng" is not a type; did',
        ),
        ({"anyOf": [None]}, "/anyOf/0: a schema is an object, not null."),
        ({"format": 5}, "/format: expected a string."),
        ({"nullable": "yes"}, "/nullable: expected true or false."),
        (
            {"properties": {"a": {"minimum": "1"}}},
            "/properties/a/minimum: expected a number.",
        ),
        ({"properties": {"a": 5}}, "/properties/a: a schema is an object, not 5."),
        ({"enum": "x"}, "/enum: expected a list of JSON values."),
        ({"const": float("nan")}, "/const: expected a JSON value."),
        ({"multipleOf": 0}, "/multipleOf: expected a number greater than 0."),
        ({"anyOf": {}}, "/anyOf: expected a list of schemas."),
        ({"properties": [1]}, "/properties: expected an object of schemas."),
        ({"$ref": 7}, "/$ref: expected a string."),
    ],
)
def test_a_schema_that_cannot_be_read_says_where(schema: Any, said: str) -> None:
    with pytest.raises(SchemaError, match=re.escape(said)):
        solved(schema)


def solved(schema: Any) -> ValueSet:
    document = read_schema(schema)
    return solver_for(document).value_set(frozenset({document.root}))


def test_deep_and_wide_schemas_are_refused_in_a_sentence() -> None:
    deep: Any = {}
    for _ in range(500):
        deep = {"items": deep}
    with pytest.raises(SchemaError, match="nested more than"):
        read_schema(deep)


DIALECTS: list[tuple[Any, Any, Any]] = [
    ({"type": "dict", "properties": {"x": {"type": "float"}}}, {"x": 1.5}, {"x": "a"}),
    ({"type": "tuple", "items": {"type": "String"}}, ["a"], [1]),
    ({"type": "any"}, {"x": 1}, None),
    ({"type": "HashMap"}, {}, []),
    ({"type": "string", "nullable": True, "enum": ["a"]}, None, "b"),
    ({"minimum": 1, "exclusiveMinimum": True}, 2, 1),
    ({"items": [{"type": "string"}], "additionalItems": False}, ["a"], ["a", 1]),
    ({"dependencies": {"a": ["b"], "c": {"required": ["d"]}}}, {"a": 1, "b": 1}, {"c": 1}),
    ({"divisibleBy": 3}, 6, 7),
    ({"type": "object", "required": True}, {}, []),
    ({"id": "#here", "not": {"$ref": "#there"}, "definitions": {"x": {"id": "#there"}}}, None, 1),
    ({"$ref": "#x", "$defs": {"a": {"$anchor": "x", "type": "null"}}}, None, 1),
]


@pytest.mark.parametrize(("schema", "right", "wrong"), DIALECTS)
def test_every_dialect_has_the_same_normal_form(schema: Any, right: Any, wrong: Any) -> None:
    if "not" not in schema:
        assert validate(right, schema) == []
    if wrong is not None:
        assert validate(wrong, schema)
    assert set(normalize(schema)) == {"$ref", "$defs"}


IDENTIFIED = {
    "$id": "http://x.org/root.json",
    "properties": {
        "a": {"$ref": "inner.json#/$defs/n"},
        "b": {"$ref": "#/prefixItems/1/0"},
        "c": {"$ref": "other.json"},
        "d": {"$ref": "https://json-schema.org/draft/2020-12/schema"},
        "e": {"$ref": "#/unknown/place"},
    },
    "prefixItems": [True, [{"type": "null"}]],
    "unknown": {"place": {"$id": "http://x.org/placed.json", "$ref": "#/here", "here": {}}},
    "$defs": {
        "inner": {"$id": "inner.json", "$defs": {"n": {"type": "integer"}}},
        "other": {
            "$id": "other.json",
            "items": {"$dynamicRef": "#it"},
            "$defs": {"it": {"$dynamicAnchor": "it", "type": "string"}},
        },
    },
}


def test_references_follow_identifiers_and_anchors() -> None:
    schema = {**IDENTIFIED, "prefixItems": [True]} | {"extra": [{"type": "null"}]}
    schema["properties"] = {**IDENTIFIED["properties"], "b": {"$ref": "#/extra/0"}}  # type: ignore[dict-item]
    right = {"a": 1, "b": None, "c": ["x"], "d": {"minimum": 1}, "e": 5}
    assert validate(right, schema) == []
    assert len(validate({"a": "", "b": 1, "c": [1], "d": {"minimum": ""}}, schema)) == 4
    for wrong in ("#/extra/1", "#/extra/x", "#nothing", "#/a/b"):
        with pytest.raises(SchemaError, match="does not exist"):
            read_schema({**schema, "$ref": wrong})


TREE = {
    "$id": "http://x.org/strict.json",
    "$dynamicAnchor": "node",
    "$ref": "tree.json",
    "required": ["name"],
    "$defs": {
        "tree": {
            "$id": "tree.json",
            "$dynamicAnchor": "node",
            "properties": {"child": {"$dynamicRef": "#node"}},
        }
    },
}


def test_a_dynamic_reference_leads_to_the_outermost_anchor() -> None:
    assert validate({"name": 1, "child": {"name": 2}}, TREE) == []
    assert validate({"name": 1, "child": {}}, TREE)
    assert validate({"child": {}}, TREE["$defs"]["tree"]) == []  # type: ignore[index]


def test_a_value_nested_too_deeply_is_a_problem() -> None:
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    said = validate(deep, {"items": {"$ref": "#"}, "type": "array"})
    assert said == ["/: the value is nested too deeply to be validated."]


FITTING: list[tuple[Any, list[Any], list[Any]]] = [
    ({"multipleOf": 2, "not": {"multipleOf": 1}}, [], [2, 3, "x"]),
    ({"not": {"not": {"enum": [1, 2.5]}}}, [1, 2.5], [3, None]),
    ({"not": {"enum": ["a", True, None, 3]}}, ["b", False, 4], ["a", True, None, 3]),
    ({"not": {"enum": [False, True]}, "type": "boolean"}, [], [True, False]),
    ({"not": {"contains": {"const": 1}, "type": "array"}}, [[2], 1], [[1], [2, 1]]),
    ({"not": {"contains": {"const": 1}, "maxContains": 1, "minContains": 0}}, [[1, 1]], [[1], 1]),
    ({"not": {"prefixItems": [{"const": 1}]}}, [[2]], [[], [1, 2]]),
    ({"not": {"items": {"const": 1}}}, [[2], [1, 2]], [[], [1]]),
    ({"not": {"minItems": 1, "maxItems": 2}}, [[], [1, 2, 3]], [[1], 1]),
    ({"not": {"minProperties": 1, "maxProperties": 2}}, [{}, {"a": 1, "b": 2, "c": 3}], [{"a": 1}]),
    ({"not": {"minLength": 1, "maxLength": 2}}, ["", "abc"], ["a", 1]),
    ({"not": {"exclusiveMinimum": 1, "maximum": 3, "multipleOf": 2}}, [1, 4, 3], [2, ""]),
    (
        {"items": {"contains": {"type": "null"}, "maxContains": 1}},
        [[[None, 1]]],
        [[[1]], [[None] * 2]],
    ),
    ({"pattern": "^(ab)*$", "minLength": 3, "maxLength": 3}, [1], ["ab", "abab"]),
    ({"pattern": "^(ab)*$", "minLength": 3}, ["abab"], ["ab"]),
    ({"pattern": "^a{2}$", "minLength": 3}, [1], ["aa"]),
    ({"allOf": [{"const": "a"}, {"pattern": "b"}]}, [], ["a"]),
    ({"oneOf": [{"const": 1}, {"const": 1}]}, [], [1]),
    ({"if": {"const": 1}}, [1, 2], []),
    ({"unevaluatedProperties": True, "unevaluatedItems": {}}, [{"a": 1}], []),
    (
        {
            "required": ["a", "b"],
            "patternProperties": {"^a": {"const": 1}},
            "additionalProperties": {"const": 2},
        },
        [{"a": 1, "b": 2}],
        [{"a": 2, "b": 2}, {"a": 1, "b": 1}],
    ),
    ({"maxProperties": 1, "required": ["a", "b"]}, [1], [{"a": 1, "b": 1}]),
    (
        {"properties": {"a": True}, "not": {"properties": {"a": {"const": 1}}}},
        [{"a": 2}],
        [{"a": 1}, {}],
    ),
    ({"minItems": 2, "maxItems": 1}, [1], [[], [1, 2]]),
    ({"contains": True, "minContains": 2, "maxContains": 1}, [1], [[1, 2]]),
    ({"not": {"uniqueItems": True}}, [[1, 1]], []),
    ({"not": {"additionalProperties": False}}, [{"a": 1}], []),
    ({"uniqueItems": True}, [[1, 2]], [[1, 1.0]]),
]


@pytest.mark.parametrize(("schema", "right", "wrong"), FITTING, ids=range(len(FITTING)))
def test_the_solver_tells_values_apart(schema: Any, right: list[Any], wrong: list[Any]) -> None:
    document = read_schema(schema)
    solver = solver_for(document)
    goal = frozenset({document.root})
    assert [value for value in right if not solver.is_valid(goal, value)] == []
    assert [value for value in wrong if solver.is_valid(goal, value)] == []


def test_too_many_cases_are_left_to_the_check() -> None:
    either = [{"anyOf": [{"required": [f"{i}{j}"]} for j in range(9)]} for i in range(9)]
    for schema in (
        {"allOf": either},
        {
            "properties": {"x": {"allOf": either}},
            "not": {"properties": {"x": {"not": {"allOf": either}}}},
        },
        {"anyOf": [{"required": [f"a{n}"]} for n in range(70)]},
        {
            "not": {
                "oneOf": [
                    {"properties": {f"a{i}{j}": {"const": i} for j in range(9)}} for i in range(5)
                ]
            }
        },
        {"pattern": ".*a.{12}$", "not": {"pattern": "b.{13}$"}},
        {"allOf": [{"pattern": ".*a.{14}$"}, {"pattern": ".*b.{15}$"}], "minLength": 3},
    ):
        document = read_schema(schema)
        solver = solver_for(document)
        kinds = solver.value_set(frozenset({document.root}))
        assert kinds.exact or solver.deferred


def test_problems_are_sentences_with_pointers() -> None:
    schema = {
        "properties": {"a/b": {"items": {"pattern": "^x"}}, "d": {"format": "date"}},
        "patternProperties": {"^n": {"multipleOf": 0.1}},
    }
    assert validate({"a/b": ["y"], "d": "x", "n": 0.25}, schema) == [
        '/a~1b/0: does not match the pattern ^x: "y".',
        '/d: does not have the format date: "x".',
        "/n: expected a multiple of 0.1, not 0.25.",
    ]
    assert validate({"n": 0.3}, schema) == []
    assert validate("aba", {"pattern": r"^(.)b\1$"}) == []


def test_formats_are_annotations_where_the_draft_says_so() -> None:
    newest = {"$schema": "https://json-schema.org/draft/2020-12/schema", "format": "date"}
    assert validate("x", newest) == []
    assert validate("x", {"format": "date"})
    assert validate("x", {"format": "unheard-of"}) == []


def test_equal_values_are_found_in_all_kinds() -> None:
    assert json_equal([1, {"a": None}], [1.0, {"a": None}])
    assert not json_equal([True], [1])
    assert not json_equal({"a": 1}, {"b": 1})
    assert not json_equal([1], [1, 2])


def test_lines_are_read_packed_and_plain(tmp_path: Any) -> None:
    plain = tmp_path / "x.jsonl"
    plain.write_text('{"a": 1}\n\n{"b": "\u2028"}\n', encoding="utf-8")
    assert lines(plain) == [{"a": 1}, {"b": "\u2028"}]


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        (r"^(a+)-\1$", "aa-aa", True),
        (r"^(a+)-\1$", "aa-a", False),
        (r"(?<=x)y", "xy", True),
        (r"(?<=x)y", "zy", False),
        (r"^(?<letter>\p{Lu})(?<!B)$", "A", True),
        (r"^(?<year>\d{4})-\k<year>$", "2020-2020", True),
        (r"^(?<year>\d{4})-\k<year>$", "2020-2021", False),
        (r"^(a)\1$", "aa\n", False),
        (r"(?<!a)\d$", "\u0661", False),
        (r"^(\s)\1$", "\xa0\xa0", True),
        (r"^(\S)[\s]\1$", "x\u3000x", True),
        (r"^(.)\1$", "\r\r", False),
        (r"^([^])\1$", "\n\n", True),
        (r"^(\u{1F600})\1$", "😀😀", True),
    ],
)
def test_what_no_regular_language_tells_is_searched(pattern: str, value: str, fits: bool) -> None:
    schema = {"type": "string", "pattern": pattern}
    assert (
        solver_for(read_schema(schema)).value_set(frozenset({read_schema(schema).root})).exact
        is False
    )
    assert (not validate(value, schema)) is fits


@pytest.mark.slow
@pytest.mark.parametrize("keyword", ["pattern", "patternProperties"])
def test_a_search_without_an_end_is_ended(keyword: str) -> None:
    endless = r"^(a|a)*(?<=b)$"
    inner: Any = (
        {"pattern": endless} if keyword == "pattern" else {"patternProperties": {endless: {}}}
    )
    text = "a" * 40
    value = [text] * 50 if keyword == "pattern" else [{f"{text}{n}": 1 for n in range(50)}]
    began = time.monotonic()
    assert validate(value, {"items": inner}) == [
        "/: the value cannot be validated: a pattern of its schema takes too long."
    ]
    assert time.monotonic() - began < 20


@pytest.mark.slow
def test_what_is_followed_exactly_takes_no_time_from_searches() -> None:
    schema = {
        "prefixItems": [{"items": {"pattern": "^(a|b)*c$"}}],
        "items": {"pattern": r"(x+)\1y"},
    }
    assert (
        validate(
            [["ab" * 500 + "c"] * 2000, "x" * 600 + "z" + "xxy"], schema, pattern_timeout_s=0.2
        )
        == []
    )


@pytest.mark.parametrize("pattern", ["(", "a{2,1}", "[z-a]", r"(a)\2", "*"])
def test_a_pattern_that_nobody_reads_is_refused(pattern: str) -> None:
    with pytest.raises(SchemaError, match=r"^/properties/a/pattern: Pattern .* is not valid"):
        read_schema({"properties": {"a": {"pattern": pattern}}})
    with pytest.raises(SchemaError, match=r"^/patternProperties: Pattern .* is not valid"):
        read_schema({"patternProperties": {pattern: {}}})
