"""From tools to the grammar of a reply, with a report on every keyword."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import schema as schemas
from .errors import SchemaError
from .gbnf import Grammar, Lit, Node, Quoted, Ref, Repeat, Token
from .gbnf.nodes import ANY, Chars, Not, alt, both, chars, optional, repeat, seq, token
from .types import Schema, Tool

OPENING = '[{"name": "'
COMMA, COLON = token(", "), token(": ")
IGNORED = {
    "title",
    "description",
    "default",
    "examples",
    "example",
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "definitions",
    "deprecated",
    "readOnly",
    "writeOnly",
    "required",
    "properties",
    "additionalProperties",
    "items",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "type",
    "enum",
    "const",
    "anyOf",
    "$ref",
    "optional",
    "format",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of one keyword of one tool."""

    tool: str
    pointer: str
    keyword: str
    status: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """A grammar, the tools that it offers, and what became of their keywords."""

    grammar: Grammar
    tools: tuple[Tool, ...]
    report: tuple[Entry, ...] = ()


def for_turn(tools: Sequence[Tool], choice: str = "auto", parallel: bool = True) -> Offer:
    """The grammar of a reply: calls, plain text, or either, as the choice says."""
    rules: dict[str, Node] = {}
    report: list[Entry] = []
    offered, calls = [], []
    for number, tool in enumerate(tools):
        if choice in ("auto", "required", tool.name):
            parameters = {"properties": {}} | schemas.normal(tool.parameters) | {"type": "object"}
            writer = _Writer(parameters, rules, f"tool-{number}", True)
            try:
                rules[f"tool-{number}"] = writer.node(parameters)
            except SchemaError as error:
                report.append(Entry(tool.name, "", "", "refused", str(error)))
                continue
            offered.append(tool)
            calls.append(
                seq(
                    token(json.dumps(tool.name, ensure_ascii=False)[1:]),
                    token(', "arguments": '),
                    Ref(f"tool-{number}"),
                )
            )
    text = Chars(((1, 0xD7FF), (0xE000, 0x10FFFF)))
    plain = both(Repeat(text), Not(seq(Repeat(text), Lit(OPENING), Repeat(text))))
    call = alt(*calls)
    more = Repeat(seq(token("}, " + OPENING[1:]), Ref("call"))) if parallel else seq()
    rest = seq(Ref("call"), more, token("}]"))
    opened = {
        "auto": alt(Token(plain), seq(Token(seq(plain, Lit(OPENING))), rest)),
        "none": Token(plain),
    }
    root = opened.get(choice, seq(token(OPENING), rest))
    if not calls:
        root = Token(plain)
        return Offer(Grammar({"root": root}), (), tuple(report))
    return Offer(
        Grammar({"root": root, "call": call} | rules | VALUES), tuple(offered), tuple(report)
    )


def for_schema(schema: Schema) -> Grammar:
    """The grammar of one JSON value."""
    rules: dict[str, Node] = {}
    writer = _Writer(schemas.normal(schema), rules, "value", False)
    return Grammar({"root": writer.node(writer.schema)} | rules | VALUES)


class _Writer:
    def __init__(self, schema: Any, rules: dict[str, Node], name: str, closed: bool) -> None:
        self.schema, self.rules, self.name, self.closed = schema, rules, name, closed
        self.names: dict[str, str] = {}

    def node(self, schema: Any) -> Node:
        if schema is True:
            return Ref("value")
        if not isinstance(schema, Mapping):
            raise SchemaError(f"A schema is an object, not {schema!r}.")
        for keyword in schema:
            if keyword not in IGNORED:
                raise SchemaError(f"The keyword {keyword!r} is not supported.")
        for keyword, build in KEYWORDS.items():
            if keyword in schema:
                return build(self, schema)
        return Ref("object") if "properties" in schema else Ref("value")

    def ref(self, schema: Any) -> Node:
        pointer = schema["$ref"]
        if pointer not in self.names:
            self.names[pointer] = f"{self.name}-ref-{len(self.names)}"
            self.rules[self.names[pointer]] = self.node(self.found(pointer))
        return Ref(self.names[pointer])

    def found(self, pointer: str) -> Any:
        found = self.schema
        for part in pointer.removeprefix("#").split("/")[1:]:
            part = part.replace("~1", "/").replace("~0", "~")
            if part not in found:
                raise SchemaError(f"There is nothing at {pointer}.")
            found = found[part]
        return found

    def enum(self, schema: Any) -> Node:
        return alt(*map(constant, schema["enum"]))

    def const(self, schema: Any) -> Node:
        return constant(schema["const"])

    def any_of(self, schema: Any) -> Node:
        return alt(*map(self.node, schema["anyOf"]))

    def type_(self, schema: Any) -> Node:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        for kind in kinds:
            if kind not in TYPES:
                raise SchemaError(f"There is no type {kind!r}.")
        return alt(*(TYPES[kind](self, schema) for kind in kinds))

    def string(self, schema: Any) -> Node:
        least, most = schema.get("minLength", 0), schema.get("maxLength")
        return Quoted(repeat(ANY, least, most)) if least or most is not None else Ref("string")

    def array(self, schema: Any) -> Node:
        item = self.node(schema.get("items", True))
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        rest = repeat(
            seq(COMMA, item), max(least - 1, 0), None if most is None else max(most - 1, 0)
        )
        body = seq() if most == 0 else seq(item, rest)
        return seq(token("["), body if least else optional(body), token("]"))

    def object_(self, schema: Any) -> Node:
        if "properties" not in schema and schema is not self.schema:
            return Ref("object")
        required = set(schema.get("required", ()))
        pairs = [
            (name in required, seq(_key(name), COLON, self.node(value)))
            for name, value in schema.get("properties", {}).items()
        ]
        return seq(token("{"), _members(pairs), token("}"))


def constant(value: Any) -> Node:
    """A value in its one spelling, in the tokens of JSON."""
    match value:
        case dict():
            pairs = [seq(_key(key), COLON, constant(inner)) for key, inner in value.items()]
            return seq(token("{"), *_listed(pairs), token("}"))
        case list():
            return seq(token("["), *_listed([constant(inner) for inner in value]), token("]"))
        case _:
            return token(json.dumps(value, ensure_ascii=False))


def _listed(nodes: Sequence[Node]) -> list[Node]:
    return [part for node in nodes for part in (COMMA, node)][1:]


def _key(name: str) -> Node:
    return token(json.dumps(name, ensure_ascii=False))


def _members(pairs: list[tuple[bool, Node]]) -> Node:
    choices = []
    for number, (needed, first) in enumerate(pairs):
        rest = (
            seq(COMMA, node) if must else optional(seq(COMMA, node))
            for must, node in pairs[number + 1 :]
        )
        choices.append(seq(first, *rest))
        if needed:
            return alt(*choices)
    return alt(*choices, seq())


DIGITS = alt(Lit("0"), seq(chars("19"), repeat(chars("09"), 0, 19)))
SCALARS: dict[str, Node] = {
    "string": Quoted(Repeat(ANY)),
    "integer": Token(seq(optional(Lit("-")), DIGITS)),
    "number": Token(
        seq(optional(Lit("-")), DIGITS, optional(seq(Lit("."), repeat(chars("09"), 1, 20))))
    ),
    "boolean": alt(token("true"), token("false")),
    "null": token("null"),
}
VALUES: dict[str, Node] = SCALARS | {
    "value": alt(
        Ref("object"), Ref("array"), Ref("string"), Ref("number"), Ref("boolean"), Ref("null")
    ),
    "pair": seq(Ref("string"), COLON, Ref("value")),
    "object": seq(
        token("{"), optional(seq(Ref("pair"), Repeat(seq(COMMA, Ref("pair"))))), token("}")
    ),
    "array": seq(
        token("["), optional(seq(Ref("value"), Repeat(seq(COMMA, Ref("value"))))), token("]")
    ),
}


def _scalar(name: str) -> Callable[[_Writer, Any], Node]:
    return lambda writer, schema: Ref(name)


KEYWORDS: dict[str, Callable[[_Writer, Any], Node]] = {
    "$ref": _Writer.ref,
    "enum": _Writer.enum,
    "const": _Writer.const,
    "anyOf": _Writer.any_of,
    "type": _Writer.type_,
}
TYPES: dict[str, Callable[[_Writer, Any], Node]] = {
    "string": _Writer.string,
    "array": _Writer.array,
    "object": _Writer.object_,
} | {name: _scalar(name) for name in ("integer", "number", "boolean", "null")}
