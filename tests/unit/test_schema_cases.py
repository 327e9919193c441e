"""Schemas as other programs and libraries write them, with arguments that are valid or not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fakes.grammar_backends import LLGuidanceGrammar, accepts, vocabulary
from tests.fakes.grammar_checks import needs_vocabulary
from xlam_local.grammar import compile_tools
from xlam_local.schema import validate
from xlam_local.types import Tool


def properties(required: list[str] | None = None, **schemas: Any) -> Any:
    return {"type": "object", "properties": schemas, "required": required or []}


LOCAL_PART = r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]"
EMAIL = LOCAL_PART + r"@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$"
JSON_VALUE = {
    "$defs": {
        "Json.Value": {"anyOf": [{"$ref": "#/$defs/Scalar"}, {"$ref": "#/$defs/List"}]},
        "Scalar": {"anyOf": [{"type": name} for name in ("boolean", "number", "string", "null")]},
        "List": {"type": "array", "items": {"$ref": "#/$defs/Json.Value"}},
    }
}
SHAPES = {
    "oneOf": [
        properties(["kind", "r"], kind={"const": "circle"}, r={"type": "number"}),
        properties(["kind", "w"], kind={"const": "square"}, w={"type": "number"}),
    ],
    "discriminator": {"propertyName": "kind"},
}
CASES: dict[str, tuple[Any, list[Any], list[Any]]] = {
    "an unanchored pattern": (
        properties(["v"], v={"type": "string", "pattern": "v[0-9]+"}),
        [{"v": "apps/v1"}, {"v": "v1beta1"}],
        [{"v": "beta"}, {}],
    ),
    "a value without a type": (
        properties(["op"], op={"enum": ["add", "remove"]}, value={"description": "Any."}),
        [{"op": "add", "value": {"b": [1, 2.5, True, None]}}, {"op": "remove", "value": "s"}],
        [{"op": "move"}, {"value": 1}],
    ),
    "zod's pattern of an address": (
        properties(["to"], to={"type": "string", "format": "email", "pattern": EMAIL}),
        [{"to": "ann.lee@mail.example.org"}, {"to": "o'neil@ex-ample.com"}],
        [{"to": ".ann@example.org"}, {"to": "ann..lee@example.org"}, {"to": "ann@example"}],
    ),
    "escapes of plain characters": (
        properties([], u={"pattern": r"^https\:\/\/"}, s={"pattern": r"^[\w\-\_\ ]{1,10}$"}),
        [{"u": "https://a", "s": "ab-c_d 1"}],
        [{"u": "http://a"}, {"s": "a!b"}],
    ),
    "references into properties": (
        properties(
            [],
            status={"type": "string", "enum": ["open", "done"]},
            filter={"type": "array", "items": {"$ref": "#/properties/status"}},
        ),
        [{"filter": ["open", "done"]}, {"status": "done"}, {}],
        [{"filter": ["closed"]}, {"status": "x"}],
    ),
    "a pattern with alternatives in a list": (
        properties(
            ["ids"],
            ids={
                "type": "array",
                "items": {"type": "string", "pattern": r"^(\d+|imap:[A-Za-z0-9_-]+)$"},
                "minItems": 1,
                "maxItems": 100,
            },
        ),
        [{"ids": ["12"]}, {"ids": ["imap:ab_C-1", "9"]}, {"ids": ["1"] * 100}],
        [{"ids": []}, {"ids": ["x12"]}, {"ids": ["imap:"]}, {"ids": ["1"] * 101}, {"ids": ["12 "]}],
    ),
    "a long text": (
        properties(["p"], p={"type": "string", "minLength": 1, "maxLength": 10_000}),
        [{"p": "p" * 10_000}, {"p": "é"}],
        [{"p": ""}, {"p": "p" * 10_001}],
    ),
    "any JSON by recursion": (
        properties(["body"], body={"$ref": "#/$defs/Json.Value"}) | JSON_VALUE,
        [{"body": None}, {"body": [1, [["s"]], False]}],
        [{}, {"bod": 1}, {"body": {"a": 1}}],
    ),
    "constants of several types": (
        properties([], n={"type": "integer", "enum": [0, 1, 3]}, m={"enum": ["a", 1, None, 2.5]}),
        [{"n": 3, "m": None}, {"m": 2.5}],
        [{"n": 2}, {"n": "1"}, {"m": "1"}],
    ),
    "pydantic's optional": (
        properties(
            [],
            kind={"anyOf": [{"$ref": "#/$defs/Kind"}, {"type": "null"}], "default": None},
            since={"anyOf": [{"format": "date", "type": "string"}, {"type": "null"}]},
        )
        | {"$defs": {"Kind": {"enum": ["a", "b"], "type": "string"}}},
        [{}, {"kind": None}, {"kind": "b", "since": "2026-02-28"}],
        [{"kind": "c"}, {"since": "2026-02-30"}],
    ),
    "an inline flag": (
        properties([], o={"type": "string", "pattern": "(?i)^(asc|desc)$"}),
        [{"o": "ASC"}, {"o": "desc"}],
        [{"o": "nope"}],
    ),
    "anchors of Python": (
        properties([], v={"type": "string", "pattern": r"\A[a-z]+\Z"}),
        [{"v": "abc"}],
        [{"v": "AabcZ"}, {"v": "abc1"}],
    ),
    "an end of line": (
        properties([], t={"type": "string", "pattern": "^[a-z]+$"}),
        [{"t": "ok"}],
        [{"t": "bad\n"}],
    ),
    "a dash in a class": (
        properties([], n={"type": "string", "pattern": "^[a-z][0-9a-z-_]+$"}),
        [{"n": "b-_"}],
        [{"n": "BAR"}, {"n": "b"}],
    ),
    "integers of zod": (
        properties([], n={"type": "integer", "exclusiveMinimum": 0, "maximum": 9007199254740991}),
        [{"n": 1}, {"n": 9007199254740991}],
        [{"n": 0}, {"n": 9007199254740992}],
    ),
    "a record": (
        properties(
            [],
            h={
                "type": "object",
                "propertyNames": {"pattern": "^X-"},
                "additionalProperties": {"type": "string"},
            },
        ),
        [{"h": {"X-A": "1"}}, {"h": {}}],
        [{"h": {"Y": "1"}}, {"h": {"X-A": 1}}],
    ),
    "a discriminated union": (
        properties(["s"], s=SHAPES),
        [{"s": {"kind": "circle", "r": 1}}, {"s": {"kind": "square", "w": 2}}],
        [{"s": {"kind": "circle", "w": 1}}, {"s": {"r": 1}}],
    ),
    "alternatives at the root": (
        {
            "anyOf": [
                properties(["id"], id={"type": "string"}),
                properties(["mail"], mail={"type": "string", "format": "email"}),
            ]
        },
        [{"id": "x"}, {"mail": "a@b.co"}],
        [{}, {"mail": "x"}],
    ),
    "null lists of Go": (
        {"type": "object", "properties": None, "required": None},
        [{}],
        [],
    ),
    "null items of Go": (
        properties([], xs={"type": "array", "items": None}, ys={"type": "array", "items": []}),
        [{"xs": [1, "a"], "ys": [None]}],
        [{"xs": 1}],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_validation_tells_valid_arguments_from_others(name: str) -> None:
    schema, right, wrong = CASES[name]
    assert [value for value in right if validate(value, schema)] == []
    assert [value for value in wrong if not validate(value, schema)] == []


@needs_vocabulary
@pytest.mark.parametrize("name", CASES)
def test_the_grammar_allows_valid_arguments_and_no_other(name: str) -> None:
    schema, right, wrong = CASES[name]
    compiled = compile_tools([Tool("f", "", schema)], "required")
    grammar = LLGuidanceGrammar(compiled.grammar)

    def allows(value: Any) -> bool:
        call = json.dumps([{"name": "f", "arguments": value}], ensure_ascii=False)
        return accepts(grammar, vocabulary().tokens(call))

    assert [value for value in right if not allows(value)] == []
    if all(entry.status != "checked" for entry in compiled.report):
        assert [value for value in wrong if allows(value)] == []
