"""From tools to the grammar of a reply, with a report on every keyword."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..errors import SchemaError, Unsatisfiable
from ..gbnf import NOTHING, Grammar, Node, pruned
from ..schema import Solver, read
from ..types import Schema, Tool
from . import reply
from .report import Entry, entries
from .writer import Writer, named, shared

__all__ = ["Entry", "Offer", "explained", "for_schema", "for_turn"]


@dataclass(frozen=True, slots=True)
class Offer:
    """The grammar of a reply, the tools that it offers, and what became of their keywords."""

    grammar: Grammar
    tools: tuple[Tool, ...]
    report: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """The rules for one tool's arguments, or why there are none."""

    rules: tuple[tuple[str, Node], ...]
    comments: tuple[tuple[str, str], ...]
    report: tuple[Entry, ...]
    refused: str = ""


def for_turn(tools: Sequence[Tool], choice: str = "auto", parallel: bool = True) -> Offer:
    """The grammar of a reply: "auto", "required", "none", or calls to the one tool named."""
    wanted = [tool for tool in tools if choice in ("auto", "required", tool.name)]
    names = named(tool.name for tool in wanted)
    parts = [
        (tool, name, _part(tool.name, name, json.dumps(tool.parameters)))
        for tool, name in zip(wanted, names, strict=True)
    ]
    report = tuple(entry for _, _, part in parts for entry in part.report)
    offered = [(tool, name) for tool, name, part in parts if not part.refused]
    if not offered:
        return Offer(Grammar({"root": reply.root("none", parallel)}), (), report)
    rules: dict[str, Node] = {"root": reply.root(choice, parallel), "call": reply.call(offered)}
    comments: dict[str, str] = {}
    for _, _, part in parts:
        rules.update(part.rules)
        comments.update(part.comments)
    grammar = pruned(Grammar(rules | shared(rules), comments))
    return Offer(grammar, tuple(tool for tool, _ in offered), report)


def for_schema(schema: Schema | bool) -> Grammar:
    """The grammar of one JSON value."""
    return explained(schema)[0]


def explained(schema: Schema | bool) -> tuple[Grammar, tuple[Entry, ...]]:
    """The grammar of one JSON value, and what became of each keyword."""
    solver = Solver(read(schema))
    grammar = _value(solver, free=True)
    if len(grammar.rules) > LARGE:
        grammar = _value(solver, free=False)
    if grammar.rules["root"] == NOTHING:
        raise Unsatisfiable("Nothing can match the schema.")
    return grammar, tuple(entries("", solver))


def _value(solver: Solver, free: bool) -> Grammar:
    rules: dict[str, Node] = {}
    comments: dict[str, str] = {}
    Writer(solver, rules, comments, free).write("root", "", closed=False)
    return pruned(Grammar(rules | shared(rules), comments))


LARGE = 3000
"""Rules of one value, beyond which all properties come in their order."""


@lru_cache(maxsize=2048)
def _part(tool: str, name: str, parameters: str) -> Part:
    """The rules for a tool's arguments; a schema that cannot be honoured refuses only its tool."""
    rules: dict[str, Node] = {}
    comments: dict[str, str] = {}
    try:
        solver = Solver(read(_arguments(json.loads(parameters)), formats=True))
        Writer(solver, rules, comments).write(name, tool, closed=True)
        if pruned(Grammar(rules | shared(rules))).rules[name] == NOTHING:
            raise Unsatisfiable("No arguments can match the schema.")
    except (SchemaError, RecursionError) as error:
        why = str(error) if isinstance(error, SchemaError) else "The schema is nested too deeply."
        return Part((), (), (Entry(tool, "", "", "refused", why),), why)
    return Part(tuple(rules.items()), tuple(comments.items()), tuple(entries(tool, solver)))


def _arguments(parameters: Any) -> Any:
    """The schema of a call's arguments, which always are an object."""
    if isinstance(parameters, dict) and "type" not in parameters and "$ref" not in parameters:
        return {"type": "object", **parameters}
    return parameters
