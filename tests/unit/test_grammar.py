from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings

from tests.fakes.grammar_backends import (
    LLGuidanceGrammar,
    vocabulary,
)
from tests.fakes.grammar_checks import accepted, needs_vocabulary, tool
from tests.fakes.grammar_sampler import sample
from tests.fakes.schema_strategies import schemas
from xlam_local.errors import Unsatisfiable
from xlam_local.gbnf import matches, parse_gbnf, to_gbnf
from xlam_local.grammar import TextOrCalls, compile_schema, compile_tools
from xlam_local.grammar.reply_format import CALL_OPENING, TEXT_WITHOUT_CALL
from xlam_local.schema import validate
from xlam_local.types import Tool


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(schemas)
def test_what_a_grammar_writes_its_schema_accepts(schema: Any) -> None:
    try:
        grammar, report = compile_schema(schema)
    except Unsatisfiable:
        return
    written = [sample(grammar, random.Random(seed)) for seed in range(2)]
    for each in written:
        wrong = validate(json.loads(each), schema)
        assert not wrong or any(entry.status == "checked" for entry in report), (each, wrong)
    assert parse_gbnf(to_gbnf(grammar)).rules


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(schemas)
def test_arguments_of_a_call_are_valid(schema: Any) -> None:
    offer = compile_tools([Tool("f", "", schema)], "required", parallel=False)
    if not offer.tools:
        assert offer.report[0].status == "refused"
        return
    calls = json.loads(sample(offer.grammar, random.Random(7)))
    wrong = validate(calls[0]["arguments"], schema)
    assert not wrong or any(entry.status == "checked" for entry in offer.report)


# --------------------------------------------------------------------------------------- the reply


@pytest.mark.slow
@needs_vocabulary
def test_a_reply_is_text_or_calls_or_text_and_then_calls() -> None:
    call = '[{"name": "f", "arguments": {}}]'
    two = '[{"name": "f", "arguments": {}}, {"name": "f", "arguments": {}}]'
    spaced = '[\n  {\n    "name": "f", "arguments": {}\n  },\n  {"name" : "f", "arguments": {}}\n]'
    replies = [
        "Hello [{",
        "",
        call,
        two,
        f"Sure:\n{call}",
        spaced,
        f"```json\n{spaced}\n```",
        f"Sure: {call}",
        f"Sure:\n```json\n{call}\n```\nSo it is.",
        f"{call} ",
        "[]",
        '[{"name": "g',
        'Sure:\n[{"name": "g',
    ]
    auto = [True, True, True, True, True, True, True, True, True, False, True, False, False]
    assert accepted(compile_tools([tool()]).grammar, *replies) == auto
    must = [False, False, True, True, *[False] * 9]
    assert accepted(compile_tools([tool()], "required").grammar, *replies) == must
    assert accepted(compile_tools([tool()], "f").grammar, *replies) == must
    alone = [False, False, True, *[False] * 10]
    assert accepted(compile_tools([tool()], "f", parallel=False).grammar, *replies) == alone
    everything = [True] * len(replies)
    assert accepted(compile_tools([tool()], "none").grammar, *replies) == everything
    assert accepted(compile_tools([]).grammar, *replies) == everything


def test_text_or_calls_has_a_grammar_for_each() -> None:
    compiled = compile_tools([tool()])
    assert isinstance(compiled.enforced, TextOrCalls)
    assert compiled.enforced.text is compile_tools([], "none").grammar
    assert compiled.enforced.calls is compile_tools([tool()], "required").grammar
    assert compiled.enforced.tools == ("f",)
    required = compile_tools([tool()], "required")
    assert required.enforced is required.grammar
    assert compile_tools([]).enforced is compile_tools([]).grammar


def test_a_tool_called_none_is_not_offered_if_no_call_is_wanted() -> None:
    assert compile_tools([tool("none"), tool("f")], "none").tools == ()
    assert len(compile_tools([tool("none"), tool("f")]).tools) == 2


def test_plain_text_is_all_text_without_an_opening() -> None:
    assert matches(TEXT_WITHOUT_CALL, 'a[{"name": \n💡')
    assert matches(TEXT_WITHOUT_CALL, f"a{CALL_OPENING}")
    assert not matches(TEXT_WITHOUT_CALL, f"a\n{CALL_OPENING}")
    assert not matches(TEXT_WITHOUT_CALL, "\0")


NAMES = ["a.b/c d", 'quo"te', "back\\slash", "emoji 💡", "", "root", "string", "call", "a-b", "a.b"]


@needs_vocabulary
def test_tools_may_have_any_name() -> None:
    offer = compile_tools([tool(name) for name in NAMES], "required")
    calls = [json.dumps([{"name": n, "arguments": {}}], ensure_ascii=False) for n in NAMES]
    assert accepted(offer.grammar, *calls) == [True] * len(NAMES)
    assert accepted(offer.grammar, '[{"name": "other", "arguments": {}}]') == [False]


@needs_vocabulary
def test_separators_are_forced() -> None:
    grammar = compile_tools([tool(properties={"a": {}}, required=["a"])], "required").grammar
    running = LLGuidanceGrammar(grammar)
    forced = b"".join(map(vocabulary().piece, running.matcher.compute_ff_tokens()))
    assert forced.startswith(b'[{"name": "f", "arguments": {"a":')


def test_the_same_tools_have_the_same_grammar() -> None:
    tools = [tool("a", properties={"x": {"enum": [1]}}), tool("a b"), tool("b")]
    assert compile_tools(tools).grammar is compile_tools(tools).grammar
    assert to_gbnf(compile_tools(tools).grammar) == to_gbnf(compile_tools(list(tools)).grammar)


def test_one_odd_schema_takes_no_other_tool_down() -> None:
    deep: Any = {}
    for _ in range(300):
        deep = {"properties": {"x": deep}}
    odd = [
        Tool("ref", "", {"$ref": "#/nowhere"}),
        Tool("type", "", {"type": "object", "properties": {"a": {"type": "blob"}}}),
        Tool("never", "", {"type": "object", "required": ["a"], "properties": {"a": False}}),
        Tool("array", "", {"type": "array"}),
        Tool("deep", "", deep),
        Tool("list", "", []),  # type: ignore[arg-type]
        Tool("endless", "", {"$ref": "#"}),
    ]
    good = tool("good")
    offer = compile_tools([*odd, good])
    assert offer.tools == (good,)
    refused = {entry.tool: entry.reason for entry in offer.report if entry.status == "refused"}
    assert list(refused) == [each.name for each in odd]
    assert refused["type"].startswith('/properties/a/type: "blob" is not a type.')
    assert all(why.endswith(".") for why in refused.values())
    assert compile_tools(odd).tools == ()


def test_the_report_names_what_it_does_not_know_and_what_stands_deep_inside() -> None:
    _, report = compile_schema({"$schema": "http://x.org/own", "anyOf": [{"uniqueItems": True}]})
    assert ("/$schema", "unclear") in {(entry.pointer, entry.status) for entry in report}
    assert ("/anyOf/0/uniqueItems", "checked") in {(e.pointer, e.status) for e in report}


def test_the_report_has_every_keyword() -> None:
    offer = compile_tools(
        [
            tool(
                properties={
                    "a": {"type": "array", "uniqueItems": True, "title": "A"},
                    "b": {"pattern": r"(.)\1", "minLenght": 3},
                    "c": {"format": "unheard-of"},
                }
            )
        ]
    )
    found = {(entry.pointer, entry.status): entry.reason for entry in offer.report}
    assert found[("/properties/a/uniqueItems", "checked")].startswith("equal items")
    assert "back references" in found[("/properties/b/pattern", "checked")]
    assert "not a keyword" in found[("/properties/b/minLenght", "ignored")]
    assert "unknown format" in found[("/properties/c/format", "ignored")]
    assert found[("/properties", "exact")] == ""
    assert not any("title" in pointer for pointer, _ in found)
