"""Toolsets that each test one feature of grammars."""

from __future__ import annotations

from typing import Any

from xlam_local.types import Schema, Tool

SHORT = {"type": "string", "maxLength": 12}
NUMBER = {"type": "number"}
INTEGER = {"type": "integer"}


def tool(name: str, properties: Schema | None = None, *required: str, **more: Any) -> Tool:
    parameters = {"type": "object", "properties": properties or {}, "required": list(required)}
    return Tool(name, f"Do {name}.", parameters | more)


def toolset_of(value: Schema, name: str = "f") -> tuple[Tool, ...]:
    """Return one tool with one required argument."""
    return (tool(name, {"x": value}, "x"),)


POINT = {
    "type": "object",
    "properties": {"x": INTEGER, "y": INTEGER, "name": SHORT},
    "required": ["x", "y"],
}
TREE = {
    "type": "object",
    "properties": {
        "value": {"enum": [1, 2]},
        "next": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]},
    },
    "required": ["value", "next"],
}

TOOLSETS: dict[str, tuple[Tool, ...]] = {
    "nothing": (tool("ping"),),
    "flat": (tool("get", {"a": INTEGER, "s": SHORT, "e": {"enum": ["x", "y"]}}, "a", "e"),),
    "several": tuple(tool(f"tool_{n}", {f"a{n}": INTEGER}, f"a{n}") for n in range(12)),
    "names": (
        tool("math.add/v2"),
        tool("math.add"),
        tool("with space"),
        tool('quo"te\\d'),
        tool("größe-名"),
    ),
    "all optional": (tool("f", {"a": INTEGER, "b": {"type": "boolean"}, "c": SHORT}),),
    "mixed optional": (
        tool("f", {"a": INTEGER, "b": INTEGER, "c": INTEGER, "d": SHORT}, "b", "d"),
    ),
    "strings": toolset_of({"type": "string", "minLength": 3, "maxLength": 5}),
    "integers": toolset_of(INTEGER),
    "numbers": toolset_of(NUMBER),
    "booleans and null": (tool("f", {"a": {"type": "boolean"}, "b": {"type": "null"}}, "a", "b"),),
    "enums": toolset_of(
        {"enum": ["a", 'q"uote', "tab\t", "é", 1, 1.5, True, None, {"k": [1]}, "ab"]}
    ),
    "const": toolset_of({"const": {"deep": ["value", 1]}}),
    "array": toolset_of({"type": "array", "items": INTEGER, "minItems": 1, "maxItems": 3}),
    "array of objects": toolset_of({"type": "array", "items": POINT, "maxItems": 2}),
    "nested": toolset_of(
        {"type": "object", "properties": {"p": POINT, "q": POINT}, "required": ["q"]}
    ),
    "reference": (tool("f", {"x": {"$ref": "#/$defs/point"}}, "x", **{"$defs": {"point": POINT}}),),
    "recursion": (tool("f", {"x": {"$ref": "#/$defs/tree"}}, "x", **{"$defs": {"tree": TREE}}),),
    "any of": toolset_of({"anyOf": [INTEGER, SHORT, {"type": "null"}, POINT]}),
    "several types": toolset_of({"type": ["integer", "boolean", "null"]}),
    "leaderboard": (
        Tool(
            "geo.area",
            "The area.",
            {
                "type": "dict",
                "properties": {
                    "side": {"type": "float"},
                    "sizes": {"type": "tuple", "items": {"type": "integer"}, "maxItems": 3},
                },
                "required": ["side", "sizes"],
            },
        ),
    ),
}
