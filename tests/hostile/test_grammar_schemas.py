"""Schemas that nobody should write: each is offered or refused in a sentence, in bounded time.

FUZZ=5000 pytest tests/hostile/test_grammar_schemas.py   tries so many of each kind.
"""

from __future__ import annotations

import json
import os
import random
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.fakes.grammar_sampler import sample
from xlam_local.errors import SchemaError
from xlam_local.gbnf import parse_gbnf, to_gbnf, to_lark
from xlam_local.grammar import compile_schema, compile_tools
from xlam_local.schema import validate
from xlam_local.schema.dialect import ANNOTATIONS
from xlam_local.schema.keywords import KEYWORDS
from xlam_local.types import Tool

ODD_NAMES = ['"', "\\", "\0", "\x1b[2J", "\ud800", "\u2028", "", "$ref", "__proto__", "a/b~c", "💡"]
ODD_TEXTS = [*ODD_NAMES, "#", "#/", "#/$defs/a", "#/properties/b", "http://x/y", "(a+)+$", "^(?!a)"]
ODD_TEXTS += ["[", "a{1000}{1000}", r"\p{L}{9}", "(?<=a)b", r"^(a|b)*\bc$", "date", "regex", "dict"]
ODD_NUMBERS = [0, -1, 1, 3, 0.1, 1e-9, 1e308, 2**70, 10**6, float("nan"), float("inf")]
TYPES = ["string", "object", "array", "integer", "number", "boolean", "null", "any"]

names = st.sampled_from([*KEYWORDS, "$defs", "$id", "$anchor", "definitions", "then", "else"]) | (
    st.sampled_from([*ODD_NAMES, *sorted(ANNOTATIONS)])
)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(ODD_NUMBERS),
    st.sampled_from(ODD_TEXTS),
    st.sampled_from(TYPES),
    st.just({"$ref": "#"}),
    st.just({}),
)
anything = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(names, inner, max_size=5)
        | st.dictionaries(st.sampled_from([*"ab", *ODD_NAMES]), inner, max_size=3)
    ),
    max_leaves=25,
)
GOOD = Tool("good", "", {"type": "object", "properties": {"x": {"type": "integer"}}})
patient = settings(
    deadline=timedelta(seconds=20),
    max_examples=int(os.environ.get("FUZZ", "100")),
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.slow
@patient
@given(st.lists(anything, min_size=1, max_size=3))
def test_whatever_stands_for_a_schema_takes_no_other_tool_down(odd: list[Any]) -> None:
    tools = [Tool(f"odd {number}", "", schema) for number, schema in enumerate(odd)]
    offer = compile_tools([*tools, GOOD], "required")
    assert GOOD in offer.tools
    refused = {entry.tool: entry.reason for entry in offer.report if entry.status == "refused"}
    assert {tool.name for tool in tools} - {tool.name for tool in offer.tools} == set(refused)
    assert all(why.endswith(".") for why in refused.values())
    assert parse_gbnf(to_gbnf(offer.grammar)).rules
    assert to_lark(offer.grammar)


@patient
@example({"const": float("nan")})
@example({"enum": [{"a": [float("inf")]}]})
@example({"if": {"$ref": "#"}})
@given(st.dictionaries(names, anything, max_size=6))
def test_what_is_written_for_an_odd_schema_is_valid_where_all_is_exact(schema: Any) -> None:
    try:
        grammar, report = compile_schema(schema)
    except SchemaError:
        return
    value = json.loads(sample(grammar, random.Random(1)))
    if all(entry.status == "exact" for entry in report):
        assert validate(value, schema) == []
