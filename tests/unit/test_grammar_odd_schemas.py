from __future__ import annotations

import time
from typing import Any

import pytest

from tests.fakes.grammar_backends import (
    LlamaCppGrammar,
    LLGuidanceGrammar,
    accepts,
    vocabulary,
)
from tests.fakes.grammar_checks import needs_vocabulary, tool
from xlam_local.errors import SchemaError, Unsatisfiable
from xlam_local.gbnf import to_lark
from xlam_local.grammar import compile_schema, compile_tools, for_schema
from xlam_local.types import Tool


def test_a_schema_that_nothing_matches_is_refused() -> None:
    impossible: list[Any] = [False, {"type": "string", "minLength": 2, "maxLength": 1}, {"not": {}}]
    for schema in impossible:
        with pytest.raises(Unsatisfiable):
            for_schema(schema)


LEFT_TO_THE_CHECK: dict[str, Any] = {
    "pattern": {"pattern": r"^(a+)\1$"},
    "uniqueItems": {"uniqueItems": True, "type": "array"},
    "contains": {"allOf": [{"contains": {"const": 1}}, {"contains": {"const": 2}}]},
    "minProperties": {"minProperties": 2, "type": "object"},
    "maxLength": {"pattern": "(a|bc)+d", "maxLength": 9000, "type": "string"},
    "multipleOf": {"multipleOf": 99991},
    "unevaluatedProperties": {"unevaluatedProperties": False},
    "unevaluatedItems": {"unevaluatedItems": False},
    "propertyNames": {"propertyNames": {"pattern": r"(.)\1"}},
    "patternProperties": {"patternProperties": {r"(.)\1": {}}},
    "oneOf": {"oneOf": [{"uniqueItems": True}, {"minItems": 2}, {"maxItems": 3}]},
    "not": {"not": {"uniqueItems": True}},
    "if": {"if": {"uniqueItems": True}, "then": {"minItems": 1}},
    "maxProperties": {
        "properties": {f"a{n}": {} for n in range(150)},
        "required": ["a1", "a2"],
        "maxProperties": 3,
    },
    "contains ": {"contains": {"const": 1}, "minContains": 30, "minItems": 100, "type": "array"},
    "multipleOf ": {"allOf": [{"multipleOf": 997}, {"not": {"multipleOf": 991}}], "minimum": 0.5},
    "patternProperties ": {"patternProperties": {"a.{12}$": {}, "b": {"const": 1}}},
}


@pytest.mark.parametrize("keyword", LEFT_TO_THE_CHECK)
def test_what_a_grammar_cannot_say_is_left_to_the_check(keyword: str) -> None:
    _, report = compile_schema(LEFT_TO_THE_CHECK[keyword])
    checked = {entry.keyword for entry in report if entry.status == "checked"}
    assert keyword.strip() in checked


ODD: list[Any] = [
    {"properties": {"a": {"pattern": r"^(?=.*a.{12}$)(?=.*b.{13}$).*$"}}},
    {"properties": {"a": {"pattern": "(a|aa)+$|(x+x+)+y|(.*a){25}"}}},
    {"properties": {"a\ud800": {"enum": ["\ud800", "\x7f"]}}},
    {"properties": {'a\x01"': {"enum": ['a\x00"\\', "\u2028"]}, "p\n": {"pattern": "[\0-\x1f]"}}},
    {"properties": {"a": {"minimum": float("nan")}}},
    {"properties": {"a": {"maximum": float("inf")}}},
    {"properties": {"a": {"maximum": 1e300, "minimum": -1e300}, "b": {"minimum": 1e-300}}},
    {"properties": {"a": {"minLength": 10**9}, "b": {"type": "array", "minItems": 10**7}}},
    {"properties": {"a": {"enum": {1, 2}}}},
    {
        "allOf": [
            {"anyOf": [{"properties": {f"a{i}": {"const": j}}} for j in range(9)]} for i in range(9)
        ]
    },
    {
        "$defs": {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(300)}
        | {"d300": {}},
        "$ref": "#/$defs/d0",
    },
    {"properties": {"a": {"enum": list(range(20_000))}}},
    {"properties": {f"a{n}": {"type": "string", "minLength": n} for n in range(1000)}},
    {"patternProperties": {f"{n}.*x": {"const": n} for n in range(12)}},
    {"properties": {"a": {"enum": []}}, "required": ["a"]},
    None,
    7,
    "{}",
]


@pytest.mark.slow
@needs_vocabulary
@pytest.mark.parametrize("schema", ODD, ids=range(len(ODD)))
def test_an_odd_schema_is_offered_or_refused_in_bounded_time(schema: Any) -> None:
    good = tool("good")
    start = time.monotonic()
    offer = compile_tools([Tool('odd\n\0"', "", schema), good], "required")
    assert good in offer.tools
    assert not LLGuidanceGrammar(offer.grammar).error()
    assert LlamaCppGrammar(offer.grammar).sampler
    assert time.monotonic() - start < 20


@pytest.mark.slow
def test_sizes_are_bounded() -> None:
    words = [f"word {number}" for number in range(50_000)]
    assert len(to_lark(for_schema({"enum": words}))) > 100_000
    wide = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(3000)}}
    assert compile_tools([Tool("f", "", wide)]).tools
    many = [{"required": [f"a{n}"]} for n in range(60)]
    _, report = compile_schema({"oneOf": many, "type": "object"})
    assert any(entry.status == "checked" for entry in report)
    with pytest.raises(SchemaError, match="more than 400 items"):
        for_schema({"prefixItems": [{"const": n} for n in range(500)]})
    with pytest.raises(SchemaError, match="nested too deeply"):
        for_schema(
            {
                "$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}]} for n in range(300)}
                | {"d300": {}},
                "$ref": "#/$defs/d0",
            }
        )
    lists = [
        {"type": "object", "properties": {n: {"const": i} for n in "abcdef"}} for i in range(30)
    ]
    assert len(for_schema({"anyOf": lists}).rules) < 3000
    endless = {"properties": {"x": {"$ref": "#"}}, "required": ["x"], "type": "object"}
    with pytest.raises(SchemaError):
        for_schema(endless)


WRITTEN = (
    r'"a\/b"',
    r'"a\/c"',
    '"a/b"',
    '"a/c"',
    r'{"a\/b": 1}',
    r'{"\/x": 1}',
    r'"\u00e9b"',
    '"éb"',
)


@pytest.mark.parametrize(
    "schema",
    [
        {"patternProperties": {"^(/[^/]+)+$": {}}, "properties": {"/": {}}},
        {"type": "object", "properties": {"a/b": {"type": "null"}}},
        {"type": "string", "allOf": [{"pattern": "^a/"}, {"not": {"const": "a/b"}}]},
        {"type": "string", "allOf": [{"pattern": "^é"}, {"pattern": "b$"}]},
    ],
)
def test_a_text_is_the_same_however_it_is_written(schema: dict[str, Any]) -> None:
    grammar = for_schema(schema)
    tokens = vocabulary("qwen2").tokens
    for written in WRITTEN:
        mask, reference = LLGuidanceGrammar(grammar, forcing=False), LlamaCppGrammar(grammar)
        assert accepts(mask, tokens(written)) == accepts(reference, tokens(written)), written


SLOW_ONCE = (
    {"pattern": r"^(?=.*\p{Lu})[\p{L}\p{N}]{8,64}$"},
    {"pattern": r"^(?=.*\d)(?=.*\p{Ll})(?=.*\p{Lu}).{8,72}$"},
    {"allOf": [{"pattern": r"\p{Lu}"}, {"pattern": r"\p{N}"}, {"pattern": r"^\P{C}{8,40}$"}]},
    {"pattern": r"^(?=.*[A-Z])(?=.*[0-9])(?=.*[^A-Za-z0-9]).{12,128}$"},
    {"format": "email", "maxLength": 254},
    {"pattern": r"^[\p{L}\p{M}\p{N} .'-]+$", "minLength": 1, "maxLength": 100},
)


@pytest.mark.slow
def test_large_classes_look_aheads_and_long_texts_compile_quickly() -> None:
    # Each took up to two seconds when automata had a column for each range of characters.
    start = time.process_time()
    for schema in SLOW_ONCE:
        assert to_lark(for_schema({"type": "string", **schema}))
    assert time.process_time() - start < 3
