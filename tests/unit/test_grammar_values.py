from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest
from hypothesis import given, settings

from tests.executors import FOLDER, Guidance, Sampler, accepts, vocabulary
from tests.samples import sample
from tests.test_schema import schemas
from xlam_local.errors import SchemaError, Unsatisfiable
from xlam_local.gbnf import Grammar, lark, matches, parse, text
from xlam_local.grammar import Offer, explained, for_schema, for_turn
from xlam_local.grammar.reply import OPENING, PLAIN
from xlam_local.schema import problems
from xlam_local.types import Tool

needs_vocabulary = pytest.mark.skipif(
    not (FOLDER / "ggml-vocab-qwen2.gguf").exists(), reason="there is no vocabulary here"
)


def tool(name: str = "f", **parameters: Any) -> Tool:
    return Tool(name, "", {"type": "object", **parameters})


def accepted(grammar: Grammar, *texts: str) -> list[bool]:
    """Which texts a grammar accepts; both executors have to agree."""
    found = []
    for written in texts:
        verdicts = set()
        for running in (Guidance(grammar), Sampler(grammar)):
            running.reset()
            taken = all(map(running.take, vocabulary().tokens(written)))
            verdicts.add(taken and running.ended())
        assert len(verdicts) == 1, written
        found.append(verdicts.pop())
    return found


def fits(schema: Any, *texts: str) -> list[bool]:
    return accepted(for_schema(schema), *texts)


def arguments(offer: Offer, *texts: str) -> list[bool]:
    """Which arguments a turn that must call "f" accepts."""
    return accepted(offer.grammar, *(f'[{{"name": "f", "arguments": {each}}}]' for each in texts))


# ------------------------------------------------------------------------- what it writes is valid


@settings(deadline=None, max_examples=40)
@given(schemas)
def test_what_a_grammar_writes_its_schema_accepts(schema: Any) -> None:
    try:
        grammar, report = explained(schema)
    except Unsatisfiable:
        return
    written = [sample(grammar, random.Random(seed)) for seed in range(2)]
    for each in written:
        wrong = problems(json.loads(each), schema)
        assert not wrong or any(entry.status == "checked" for entry in report), (each, wrong)
    assert parse(text(grammar)).rules


@settings(deadline=None, max_examples=40)
@given(schemas)
def test_arguments_of_a_call_are_valid(schema: Any) -> None:
    offer = for_turn([Tool("f", "", schema)], "required", parallel=False)
    if not offer.tools:
        assert offer.report[0].status == "refused"
        return
    calls = json.loads(sample(offer.grammar, random.Random(7)))
    wrong = problems(calls[0]["arguments"], schema)
    assert not wrong or any(entry.status == "checked" for entry in offer.report)


# --------------------------------------------------------------------------------------- the reply


@needs_vocabulary
def test_a_reply_is_text_or_calls_or_text_and_then_calls() -> None:
    call = '[{"name": "f", "arguments": {}}]'
    two = '[{"name": "f", "arguments": {}}, {"name": "f", "arguments": {}}]'
    replies = [
        "Hello [{",
        "",
        call,
        two,
        f"Sure:\n```json\n{call}",
        f"{call} ",
        "[]",
        '[{"name": "g',
    ]
    auto = [True, True, True, True, True, False, True, False]
    assert accepted(for_turn([tool()]).grammar, *replies) == auto
    must = [False, False, True, True, False, False, False, False]
    assert accepted(for_turn([tool()], "required").grammar, *replies) == must
    assert accepted(for_turn([tool()], "f").grammar, *replies) == must
    alone = [False, False, True, False, False, False, False, False]
    assert accepted(for_turn([tool()], "f", parallel=False).grammar, *replies) == alone
    never = [True, True, False, False, False, False, True, False]
    assert accepted(for_turn([tool()], "none").grammar, *replies) == never
    assert accepted(for_turn([]).grammar, *replies) == never


def test_plain_text_is_all_text_without_an_opening() -> None:
    assert matches(PLAIN, 'a[{"name": \n💡')
    assert not matches(PLAIN, f"a{OPENING}")
    assert not matches(PLAIN, "\0")


NAMES = ["a.b/c d", 'quo"te', "back\\slash", "emoji 💡", "", "root", "string", "call", "a-b", "a.b"]


@needs_vocabulary
def test_tools_may_have_any_name() -> None:
    offer = for_turn([tool(name) for name in NAMES], "required")
    calls = [json.dumps([{"name": n, "arguments": {}}], ensure_ascii=False) for n in NAMES]
    assert accepted(offer.grammar, *calls) == [True] * len(NAMES)
    assert accepted(offer.grammar, '[{"name": "other", "arguments": {}}]') == [False]


@needs_vocabulary
def test_separators_are_forced() -> None:
    grammar = for_turn([tool(properties={"a": {}}, required=["a"])], "required").grammar
    running = Guidance(grammar)
    forced = b"".join(map(vocabulary().piece, running.matcher.compute_ff_tokens()))
    assert forced.startswith(b'[{"name": "f", "arguments": {"a":')


def test_the_same_tools_have_the_same_grammar() -> None:
    tools = [tool("a", properties={"x": {"enum": [1]}}), tool("a b"), tool("b")]
    assert for_turn(tools).grammar is for_turn(tools).grammar
    assert text(for_turn(tools).grammar) == text(for_turn(list(tools)).grammar)


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
    offer = for_turn([*odd, good])
    assert offer.tools == (good,)
    refused = {entry.tool: entry.why for entry in offer.report if entry.status == "refused"}
    assert list(refused) == [each.name for each in odd]
    assert refused["type"] == (
        "/properties/a/type: this has to be a type's name or a list of such names."
    )
    assert all(why.endswith(".") for why in refused.values())
    assert for_turn(odd).tools == ()


def test_the_report_names_what_it_does_not_know_and_what_stands_deep_inside() -> None:
    _, report = explained({"$schema": "http://x.org/own", "anyOf": [{"uniqueItems": True}]})
    assert ("/$schema", "exact") in {(entry.pointer, entry.status) for entry in report}
    assert ("/anyOf/0/uniqueItems", "checked") in {(e.pointer, e.status) for e in report}


def test_the_report_has_every_keyword() -> None:
    offer = for_turn(
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
    found = {(entry.pointer, entry.status): entry.why for entry in offer.report}
    assert found[("/properties/a/uniqueItems", "checked")].startswith("whether items are equal")
    assert "refers back" in found[("/properties/b/pattern", "checked")]
    assert "not a keyword" in found[("/properties/b/minLenght", "exact")]
    assert "not a known format" in found[("/properties/c/format", "exact")]
    assert found[("/properties", "exact")] == ""
    assert not any("title" in pointer for pointer, _ in found)


# ------------------------------------------------------------------------------ objects and arrays


@needs_vocabulary
def test_a_tools_objects_are_closed_unless_the_schema_opens_them() -> None:
    inner = {"type": "object", "properties": {"x": {"type": "null"}}}
    offer = for_turn(
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
        offer = for_turn([Tool("f", "", parameters)], "f")
        assert arguments(offer, "{}", '{"a": 1}') == [True, False]


MANY = {name: {"type": "null"} for name in "abcdefgh"}


@needs_vocabulary
def test_optional_properties_keep_their_places() -> None:
    offer = for_turn([tool(properties=MANY, required=["f"])], "f")
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
        assert problems(json.loads(each), schema) == []


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
    _, report = explained(schema)
    assert {entry.status for entry in report} == {"exact"}


def test_properties_that_could_be_written_twice_are_counted_by_the_check() -> None:
    schema = {"type": "object", "properties": TWENTY, "minProperties": 3}
    _, report = explained(schema)
    assert {e.keyword for e in report if e.status == "checked"} == {"minProperties"}


@needs_vocabulary
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
    assert [e.status for e in explained(schema)[1] if e.keyword == "format"] == ["checked"]
    assert problems("[", schema) == ["/: '[' is not a regex."]
    assert problems(r"(a)\1", schema) == problems(r"\p{L}+", schema) == []
    assert problems(3, {"format": "regex"}) == []


# ------------------------------------------------------------------------------------- odd schemas


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
    _, report = explained(LEFT_TO_THE_CHECK[keyword])
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


@needs_vocabulary
@pytest.mark.parametrize("schema", ODD, ids=range(len(ODD)))
def test_an_odd_schema_is_offered_or_refused_in_bounded_time(schema: Any) -> None:
    good = tool("good")
    start = time.monotonic()
    offer = for_turn([Tool('odd\n\0"', "", schema), good], "required")
    assert good in offer.tools
    assert not Guidance(offer.grammar).error()
    assert Sampler(offer.grammar).handle
    assert time.monotonic() - start < 20


def test_sizes_are_bounded() -> None:
    words = [f"word {number}" for number in range(50_000)]
    assert len(lark(for_schema({"enum": words}))) > 100_000
    wide = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(3000)}}
    assert for_turn([Tool("f", "", wide)]).tools
    many = [{"required": [f"a{n}"]} for n in range(60)]
    _, report = explained({"oneOf": many, "type": "object"})
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
        mask, reference = Guidance(grammar, forcing=False), Sampler(grammar)
        assert accepts(mask, tokens(written)) == accepts(reference, tokens(written)), written
