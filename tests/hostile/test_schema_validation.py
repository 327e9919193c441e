"""Schemas and values that would take validation, or the compiler, for ever: both are bounded."""

from __future__ import annotations

import time
from typing import Any

import pytest
from llguidance import LLMatcher, LLTokenizer

from xlam_local.gbnf import to_gbnf, to_lark
from xlam_local.grammar import compile_tools
from xlam_local.schema import validate
from xlam_local.types import Tool

LONG = "a" * 40
HUGE = int("7" * 4000)
MAX_WALL_S = 30
"""Validation takes 5 seconds at most; the rest is for machines that are busy."""


def chain(keyword: str, length: int = 40) -> Any:
    """Schemas that each refer to the next one twice."""
    definitions: Any = {
        f"d{n}": {keyword: [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(length)
    }
    return {"$ref": "#/$defs/d0", "$defs": definitions | {f"d{length}": {"type": "string"}}}


def product(keyword: str, width: int) -> Any:
    """Many alternatives, each of many others."""
    return {
        "allOf": [
            {keyword: [{"properties": {f"p{n}": {"const": m}}} for m in range(width)]}
            for n in range(width)
        ]
    }


def nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = {"x": value}
    return value


ATTEMPTS: dict[str, tuple[Any, Any]] = {
    "names, then nothing else": (
        {"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False},
        {f"{LONG}!": 1},
    ),
    "many names, then nothing else": (
        {"patternProperties": {r"^(a|a)*(?<=b)$": {}}, "additionalProperties": False},
        {f"{LONG}!{n}": 1 for n in range(50)},
    ),
    "two patterns of names": (
        {"patternProperties": {r"^(\w+\s?)*$": {}, "(x+x+)+y": {}}, "additionalProperties": False},
        {f"{'x ' * 30}!": 1},
    ),
    "names, then nothing unevaluated": (
        {"patternProperties": {r"^(\w+\s?)*(?<!x)$": {}}, "unevaluatedProperties": False},
        {f"{LONG}!": 1},
    ),
    "names of names": ({"propertyNames": {"pattern": r"^(a|aa)+(?<!b)$"}}, {f"{LONG * 2}!": 1}),
    "unique objects": ({"uniqueItems": True}, [{"id": n, "of": {"n": [n]}} for n in range(30_000)]),
    "unique lists": ({"uniqueItems": True}, [[[[[n]]]] for n in range(20_000)]),
    "unique numbers": ({"uniqueItems": True}, [n / 7 for n in range(100_000)]),
    "lists of unique lists": ({"items": {"uniqueItems": True}}, [[[n] for n in range(5_000)]] * 6),
    "a backtracking pattern": ({"pattern": r"^(\w+\s?)*(?<!x)$"}, "a " * 2_000 + "!"),
    "a back reference": ({"pattern": r"^(a*)*\1(?<=b)$"}, "a" * 3_000 + "!"),
    "many backtracking texts": ({"items": {"pattern": r"^(a|a)*(?<=b)$"}}, [LONG] * 100),
    "a large automaton": ({"pattern": "^(?:a?){4000}a{4000}$"}, "a" * 6_000),
    "an automaton for long texts": ({"pattern": "(?:[ab]*a[ab]{900})"}, "ab" * 20_000),
    "references in allOf": (chain("allOf"), "x"),
    "references in anyOf": (chain("anyOf"), 1),
    "references in oneOf": (chain("oneOf"), "x"),
    "deep recursion": (
        {"$ref": "#/$defs/a", "$defs": {"a": {"properties": {"x": {"$ref": "#/$defs/a"}}}}},
        nested({}, 400),
    ),
    "a product of anyOf": (product("anyOf", 60), {f"p{n}": 59 for n in range(60)}),
    "a product of oneOf": (product("oneOf", 40), {f"p{n}": 39 for n in range(40)}),
    "tiny multiples": ({"multipleOf": 1e-300}, 1e308),
    "the smallest multiples": ({"multipleOf": 5e-324, "type": "integer"}, 3),
    "huge multiples": ({"multipleOf": HUGE}, HUGE * 3),
    "many tiny multiples": ({"items": {"multipleOf": 1e-300}}, [1e308] * 20_000),
    "huge bounds": ({"exclusiveMinimum": HUGE, "maximum": HUGE + 9, "type": "integer"}, HUGE),
    "many large constants": (
        {"items": {"enum": [{"k": n, "l": [n]} for n in range(2_000)]}},
        [{"k": -1, "l": [n]} for n in range(2_000)],
    ),
    "contains of constants": (
        {"contains": {"enum": [{"k": n} for n in range(2_000)]}, "minContains": 1_000},
        [{"k": -n} for n in range(3_000)],
    ),
    "unevaluated items": (
        {"allOf": [{"contains": {"const": n}} for n in range(300)], "unevaluatedItems": False},
        list(range(3_000)),
    ),
    "many errors": ({"items": {"enum": [LONG * 25] * 100}}, [{"x": LONG * 25}] * 3_000),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTEMPTS)
def test_validation_and_compilation_are_bounded(name: str) -> None:
    schema, value = ATTEMPTS[name]
    start = time.monotonic()
    problems = validate(value, schema)
    assert len(problems) <= 20
    assert all(len(problem) < 600 for problem in problems)
    assert time.monotonic() - start < MAX_WALL_S
    compiled = compile_tools([Tool("f", "", {"properties": {"x": schema}})])
    assert to_lark(compiled.grammar)
    assert time.monotonic() - start < 2 * MAX_WALL_S


@pytest.mark.parametrize(
    "schema",
    [
        {"maxLength": 2**32},
        {"maxLength": 9007199254740991, "minLength": 1},
        {"minLength": 10**30},
        {"type": "array", "maxItems": 10**400},
        {"type": "array", "minItems": 2**31},
        {"type": "object", "maxProperties": 2**64},
        {"type": "object", "minProperties": 10**30},
        {"contains": {}, "maxContains": 2**63},
        {"pattern": "^a", "maxLength": 2**33},
        {"multipleOf": 1e-300, "maximum": 2**70},
    ],
)
def test_a_huge_bound_of_one_tool_does_not_break_the_grammar_of_all(schema: Any) -> None:
    compiled = compile_tools([Tool("f", "", {"properties": {"x": schema}}), Tool("g", "", {})])
    assert [tool.name for tool in compiled.tools] == ["f", "g"]
    assert to_gbnf(compiled.grammar)
    grammar = LLMatcher.grammar_from_lark(to_lark(compiled.grammar))
    assert not LLMatcher(LLTokenizer("byte"), grammar, log_level=0).get_error()
