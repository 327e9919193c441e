from __future__ import annotations

import itertools
import re
import time
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conformance import lines
from xlam_local.errors import SchemaError
from xlam_local.gbnf import automaton, matches
from xlam_local.schema import Solver, check, normal, problems, read
from xlam_local.schema.arrays import same
from xlam_local.schema.check import Budget
from xlam_local.schema.formats import shape as format_shape
from xlam_local.schema.language import language
from xlam_local.schema.regex import PatternError
from xlam_local.schema.shapes import Kinds
from xlam_local.schema.strings import holds

# ------------------------------------------------------------------------------------ patterns

FOLLOWED = [
    *("^abc$", "abc", "^a", "b$", "^$", "", "^[^a]", "a|^b|c$", r"^\w+-?$", "(^|x)a", "^a{2}"),
    *("b{1,2}$", "^a$|^b$", "a||b", "(a|^)b$", "$", "^", "a+?b*", "^(?:ab){2,}$", "[^abc]"),
    *(r"^(?!ab)[a-c]+$", r"^(?=.*a)(?=.*b)[abc]{2,3}$", "^((?!ab).)*$", "a(?!b)", "(?=a)b"),
    *("a(?=b|c$)", "(?!a)", r"\bab\b", r"\Bb", r"\b", r"^[a-b]*\bc", "^(a|b)*c?$", "(?i)^AB$"),
    *("^(?:a(?=b)b?){1,2}c$", "^(?:(?!ab).){2,}$", "(?i)^[A-b]+$", "^((?!$).)*$", r"^ab\b"),
    *(r"^(?:ab-)\bb", "^(?:a|(?!b)c)?$", "^(?:ab|c)\\b", r"^(?:x(?!x)){2}$"),
    *("(?P<name>a)b", "(?<name>a)b", r"^[\w-]+$", r"[a\-c]", r"^\x61\u0062$", r"^.{2,3}$", "^{a"),
]
WORDS = ["".join(word) for size in range(5) for word in itertools.product("abcx- ", repeat=size)]


@pytest.mark.parametrize("pattern", FOLLOWED)
def test_a_pattern_finds_what_pythons_finds(pattern: str) -> None:
    node = language(pattern)
    machine = automaton(node)
    python = re.compile(re.sub(r"\(\?<(?=\w)", "(?P<", pattern))
    for word in WORDS:
        assert matches(node, word) == machine.matches(word) == bool(python.search(word)), word


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        (r"^\d$", "7", "\u0667"),
        (r"^\s$", "\ufeff", "\x1c"),
        (r"^\p{L}+$", "éß漢", "a1"),
        (r"^\P{Lu}$", "a", "A"),
        (r"^\u{1F600}$", "😀", "x"),
        (r"^\ud83d\ude00$", "😀", "x"),
        (r"^\cJ\t\0[\b]$", "\n\t\0\b", "J"),
        (r"^[\d\-x]$", "-", "\\"),
        (r"^[\w-.]$", ".", "!"),
        (r"^.$", "\x85", "\u2028"),
        (r"^\/\_\q$", "/_q", "x"),
        (r"^\p{Any}\x4$", "\nx4", "x4"),
    ],
)
def test_patterns_are_read_as_ecmascript_reads_them(
    pattern: str, inside: str, outside: str
) -> None:
    assert matches(language(pattern), inside)
    assert not matches(language(pattern), outside)


@pytest.mark.parametrize(
    "pattern",
    [
        *("(", ")", "[a", "a**", "*", "[b-a]", "a{3,1}", "\\", "(?<n", r"\u{110000}", r"\p{Nix}"),
        *(r"(a)\1", "(?<=a)b", "(?<!a)b", "a++", "(?s)a", "((a{1,999}){1,999}){1,999}"),
        *(r"(a|b)*\bc", "(?:a*^b)", "^(?:a|b(?!c))+$"),
    ],
)
def test_a_pattern_that_cannot_be_followed_says_so(pattern: str) -> None:
    with pytest.raises(PatternError):
        language(pattern)


FORMATS: dict[str, tuple[list[str], list[str]]] = {
    "date": (["2024-02-29", "2000-02-29", "1999-12-31"], ["2023-02-29", "1900-02-29", "2024-4-1"]),
    "time": (
        ["23:59:60Z", "08:30:06.28Z", "08:30:06+01:00"],
        ["24:00:00Z", "12:00:00", "8:30:06Z"],
    ),
    "date-time": (["2024-02-29T23:59:59Z", "1990-12-31t23:59:60z"], ["2024-02-29 23:59:59Z"]),
    "duration": (["P4DT12H30M5S", "P2W", "PT1M"], ["P", "PT", "P1D2H", "P2D1Y", "1D"]),
    "email": (["joe.bloggs@example.com", '"a b"@x.org', "a@[127.0.0.1]"], ["joe", "a..b@x", "@x"]),
    "hostname": (["a", "www.example.com", "a-b.c"], ["-a", "a_b", "a..b", "a" * 64, "a." * 130]),
    "ipv4": (["127.0.0.1", "255.255.255.255"], ["256.0.0.1", "1.2.3", "01.2.3.4"]),
    "ipv6": (
        ["::1", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4", "1::8"],
        ["1:2", ":::", "12345::", "1::2::3"],
    ),
    "uuid": (["2eb8aa08-aa98-11ea-b4aa-73b441d16380"], ["2eb8aa08aa9811eab4aa73b441d16380"]),
    "uri": (["http://a.b/c?d=e#f", "urn:x:y", "mailto:a@b"], ["/relative", "http:// a", "a b"]),
    "uri-reference": (["/a/b", "//x", "", "#f"], ["\\a", "a b", "http://a/%zz"]),
    "json-pointer": (["", "/a/~0~1"], ["a", "/~2"]),
    "relative-json-pointer": (["0", "1/a", "2#"], ["-1", "01", "/a"]),
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats_are_followed(name: str) -> None:
    right, wrong = FORMATS[name]
    shape = format_shape(name)
    assert shape is not None
    assert [word for word in right if not holds(shape, word)] == []
    assert [word for word in wrong if holds(shape, word)] == []


# -------------------------------------------------------------------------------- the normal form

numbers = st.sampled_from([-3, -1, 0, 1, 2, 4, 6, 0.5, 2.5, 1.0])
scalars = st.one_of(st.none(), st.booleans(), numbers, st.sampled_from(["", "a", "ab", "b", "aab"]))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["a", "b", "ab", "c"]), inner, max_size=3),
    ),
    max_leaves=5,
)
KINDS = ["null", "boolean", "integer", "number", "string", "array", "object"]
counts = st.integers(0, 3)
leaves = st.one_of(
    st.sampled_from([True, False, {}]),
    st.builds(lambda kind: {"type": kind}, st.sampled_from(KINDS)),
    st.builds(lambda kinds: {"type": kinds}, st.lists(st.sampled_from(KINDS), max_size=3)),
    st.builds(lambda found: {"enum": found}, st.lists(values, min_size=1, max_size=3)),
    st.builds(lambda found: {"const": found}, values),
    st.builds(
        lambda keyword, limit: {keyword: limit},
        st.sampled_from(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]),
        numbers,
    ),
    st.builds(lambda step: {"multipleOf": step}, st.sampled_from([1, 2, 3, 0.5, 1.5])),
    st.builds(
        lambda keyword, count: {keyword: count},
        st.sampled_from(
            ["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"]
        ),
        counts,
    ),
    st.builds(
        lambda pattern: {"pattern": pattern}, st.sampled_from(["^a", "b$", "^a*$", "ab", "^(?!a)"])
    ),
    st.builds(lambda names: {"required": names}, st.lists(st.sampled_from("abc"), max_size=2)),
    st.just({"uniqueItems": True}),
    st.just({"dependentRequired": {"a": ["b"]}}),
)


def grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    named = st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=2)
    return st.one_of(
        st.builds(
            lambda keyword, schemas: {keyword: schemas},
            st.sampled_from(["allOf", "anyOf", "oneOf", "prefixItems"]),
            several,
        ),
        st.builds(
            lambda keyword, schema: {keyword: schema},
            st.sampled_from(["not", "items", "contains", "additionalProperties", "propertyNames"]),
            inner,
        ),
        st.builds(lambda schemas: {"properties": schemas}, named),
        st.builds(lambda schema: {"patternProperties": {"^a": schema}}, inner),
        st.builds(lambda schema: {"dependentSchemas": {"a": schema}}, inner),
        st.builds(lambda a, b, c: {"if": a, "then": b, "else": c}, inner, inner, inner),
        st.builds(
            lambda a, b: {**a, **b} if isinstance(a, dict) and isinstance(b, dict) else a,
            inner,
            inner,
        ),
    )


schemas = st.recursive(leaves, grown, max_leaves=6)


@settings(deadline=None, max_examples=200)
@given(schemas, st.lists(values, min_size=1, max_size=6))
def test_the_normal_form_accepts_what_the_schema_accepts(schema: Any, candidates: Any) -> None:
    document = read(schema)
    solver = Solver(document)
    goal = frozenset({document.root})
    exact = solver.kinds(goal).exact
    validator = jsonschema.Draft202012Validator(schema)
    for value in candidates:
        valid, fits = validator.is_valid(value), solver.fits(goal, value)
        assert fits or not valid
        if exact and not solver.notes:
            assert fits == valid
        assert (problems(value, schema) == []) == valid


def test_references_may_be_recursive() -> None:
    schema = {
        "$ref": "#/$defs/tree",
        "$defs": {"tree": {"type": "object", "properties": {"left": {"$ref": "#/$defs/tree"}}}},
    }
    document = read(schema)
    solver = Solver(document)
    goal = frozenset({document.root})
    assert solver.fits(goal, {"left": {"left": {}}})
    assert not solver.fits(goal, {"left": {"left": 1}})


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"$ref": "#"}, "refers to itself without an end"),
        ({"$ref": "#/nowhere"}, "there is nothing at '#/nowhere'"),
        ({"$ref": "https://example.org/x"}, "nothing is fetched over the network"),
        ({"type": 5}, "/type: this has to be a type's name or a list of such names."),
        ({"type": "blob"}, "/type: this has to be a type's name or a list of such names."),
        (
            {"properties": {"a": {"minimum": "1"}}},
            "/properties/a/minimum: this has to be a number.",
        ),
        ({"properties": {"a": 5}}, "/properties/a: a schema is an object, not 5."),
        ({"enum": "x"}, "/enum: this has to be a list of JSON's values."),
        ({"const": float("nan")}, "/const: this has to be a value that JSON has."),
        ({"multipleOf": 0}, "/multipleOf: this has to be a number above zero."),
        ({"anyOf": {}}, "/anyOf: this has to be a list of schemas."),
        ({"properties": []}, "/properties: this has to be an object of schemas."),
        ({"$ref": 7}, "/$ref: this has to be a string."),
    ],
)
def test_a_schema_that_cannot_be_read_says_where(schema: Any, said: str) -> None:
    with pytest.raises(SchemaError, match=re.escape(said)):
        solved(schema)


def solved(schema: Any) -> Kinds:
    document = read(schema)
    return Solver(document).kinds(frozenset({document.root}))


def test_deep_and_wide_schemas_are_refused_in_a_sentence() -> None:
    deep: Any = {}
    for _ in range(500):
        deep = {"items": deep}
    with pytest.raises(SchemaError, match="nested more than"):
        read(deep)


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
        assert problems(right, schema) == []
    if wrong is not None:
        assert problems(wrong, schema)
    assert set(normal(schema)) == {"$ref", "$defs"}


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
    assert problems(right, schema) == []
    assert len(problems({"a": "", "b": 1, "c": [1], "d": {"minimum": ""}}, schema)) == 4
    for wrong in ("#/extra/1", "#/extra/x", "#nothing", "#/a/b"):
        with pytest.raises(SchemaError, match="there is nothing"):
            read({**schema, "$ref": wrong})


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
    assert problems({"name": 1, "child": {"name": 2}}, TREE) == []
    assert problems({"name": 1, "child": {}}, TREE)
    assert problems({"child": {}}, TREE["$defs"]["tree"]) == []  # type: ignore[index]


def test_a_value_nested_too_deeply_is_a_problem() -> None:
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    said = problems(deep, {"items": {"$ref": "#"}, "type": "array"})
    assert said == ["/: the value is nested too deeply to be checked."]


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
    document = read(schema)
    solver = Solver(document)
    goal = frozenset({document.root})
    assert [value for value in right if not solver.fits(goal, value)] == []
    assert [value for value in wrong if solver.fits(goal, value)] == []


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
        document = read(schema)
        solver = Solver(document)
        kinds = solver.kinds(frozenset({document.root}))
        assert kinds.exact or solver.notes


def test_problems_are_sentences_with_pointers() -> None:
    schema = {
        "properties": {"a/b": {"items": {"pattern": "^x"}}, "d": {"format": "date"}},
        "patternProperties": {"^n": {"multipleOf": 0.1}},
    }
    assert problems({"a/b": ["y"], "d": "x", "n": 0.25}, schema) == [
        "/a~1b/0: 'y' does not match '^x'.",
        "/d: 'x' is not a date.",
        "/n: 0.25 is not a multiple of 0.1.",
    ]
    assert problems({"n": 0.3}, schema) == []
    assert problems("x" * 400, {"type": "null"})[0].endswith("….")
    assert problems("aba", {"pattern": r"^(.)b\1$"}) == []


def test_formats_are_annotations_where_the_draft_says_so() -> None:
    newest = {"$schema": "https://json-schema.org/draft/2020-12/schema", "format": "date"}
    assert problems("x", newest) == []
    assert problems("x", {"format": "date"})
    assert problems("x", {"format": "unheard-of"}) == []


def test_equal_values_are_found_in_all_kinds() -> None:
    assert same([1, {"a": None}], [1.0, {"a": None}])
    assert not same([True], [1])
    assert not same({"a": 1}, {"b": 1})
    assert not same([1], [1, 2])


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
    ],
)
def test_what_no_regular_language_tells_is_searched(pattern: str, value: str, fits: bool) -> None:
    schema = {"type": "string", "pattern": pattern}
    assert Solver(read(schema)).kinds(frozenset({read(schema).root})).exact is False
    assert (not problems(value, schema)) is fits


@pytest.mark.parametrize("keyword", ["pattern", "patternProperties"])
def test_a_search_without_an_end_is_ended(keyword: str) -> None:
    endless = r"^(a|a)*(?<=b)$"
    inner: Any = (
        {"pattern": endless} if keyword == "pattern" else {"patternProperties": {endless: {}}}
    )
    text = "a" * 40
    value = [text] * 50 if keyword == "pattern" else [{f"{text}{n}": 1 for n in range(50)}]
    began = time.monotonic()
    assert problems(value, {"items": inner}) == [
        "/: a pattern of the schema takes too long for the value to be checked."
    ]
    assert time.monotonic() - began < 20


def test_what_is_followed_exactly_takes_no_time_from_searches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(check, "Budget", lambda: Budget(seconds=0.2))
    schema = {
        "prefixItems": [{"items": {"pattern": "^(a|b)*c$"}}],
        "items": {"pattern": r"(x+)\1y"},
    }
    assert problems([["ab" * 500 + "c"] * 2000, "x" * 600 + "z" + "xxy"], schema) == []


@pytest.mark.parametrize("pattern", ["(", "a{2,1}", "[z-a]", r"(a)\2", "*"])
def test_a_pattern_that_nobody_reads_is_refused(pattern: str) -> None:
    with pytest.raises(SchemaError, match=r"^/properties/a/pattern: The pattern .* cannot be read"):
        read({"properties": {"a": {"pattern": pattern}}})
    with pytest.raises(SchemaError, match=r"^/patternProperties: The pattern .* cannot be read"):
        read({"patternProperties": {pattern: {}}})
