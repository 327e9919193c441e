"""From tools to the grammar of a reply, with a report on every keyword."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from ..errors import SchemaError, Unsatisfiable
from ..gbnf import NOTHING, Grammar, Node, Quoted, Token, TooLarge, children, ends, pruned
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


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The rules for one tool's arguments, or why there are none."""

    tool: str
    name: str
    """The first of its rules."""
    rules: tuple[tuple[str, Node], ...]
    comments: tuple[tuple[str, str], ...]
    report: tuple[Entry, ...]
    refused: str = ""


def for_turn(tools: Sequence[Tool], choice: str = "auto", parallel: bool = True) -> Offer:
    """The grammar of a reply: "auto", "required", "none", or calls to the one tool named."""
    wanted = [tool for tool in tools if choice in ("auto", "required", tool.name)]
    parts = _parts(tuple((tool.name, _json(tool.parameters)) for tool in wanted))
    offered = tuple(tool for tool, part in zip(wanted, parts, strict=True) if not part.refused)
    report = tuple(entry for part in parts for entry in part.report)
    return Offer(_grammar(parts, choice if offered else "none", parallel), offered, report)


def _json(parameters: Schema) -> str:
    """Parameters as a key; what is no JSON becomes a schema that is refused."""
    try:
        return json.dumps(parameters)
    except (TypeError, ValueError):
        return json.dumps("something else than JSON")


@lru_cache(maxsize=64)
def _grammar(parts: tuple[Part, ...], choice: str, parallel: bool) -> Grammar:
    """The grammar of a reply that may call tools."""
    rules: dict[str, Node] = {"root": reply.root(choice, parallel)}
    if choice != "none":
        rules["call"] = reply.call({part.tool: part.name for part in parts if not part.refused})
    comments: dict[str, str] = {}
    for part in parts:
        rules.update(part.rules)
        comments.update(part.comments)
    return pruned(Grammar(rules | shared(rules), comments))


@lru_cache(maxsize=64)
def _parts(tools: tuple[tuple[str, str], ...]) -> tuple[Part, ...]:
    """The rules for each of some tools, by their names and parameters."""
    names = named(tool for tool, _ in tools)
    return tuple(
        _part(tool, name, schema) for (tool, schema), name in zip(tools, names, strict=True)
    )


def for_schema(schema: Schema | bool) -> Grammar:
    """The grammar of one JSON value."""
    return explained(schema)[0]


def explained(schema: Schema | bool) -> tuple[Grammar, tuple[Entry, ...]]:
    """The grammar of one JSON value, and what became of each keyword."""
    solver = Solver(read(schema))
    try:
        grammar = _any_order(solver) or _value(solver, free=False)
    except RecursionError:
        raise SchemaError("The schema is nested too deeply.") from None
    if grammar.rules["root"] == NOTHING:
        raise Unsatisfiable("Nothing can match the schema.")
    return grammar, tuple(entries("", solver))


def _any_order(solver: Solver) -> Grammar | None:
    """The grammar in which properties may come in any order, unless that is too large."""
    try:
        grammar = _value(solver, free=True)
    except TooLarge:
        return None
    return grammar if sum(map(_size, grammar.rules.values())) <= LARGE else None


LARGE = 45_000
"""Parts of a grammar beyond which all properties come in order; llguidance has room for 65,000."""


def _size(node: Node) -> int:
    """How many parts a node has, each token one."""
    return 1 if isinstance(node, Token | Quoted) else 1 + sum(map(_size, children(node)))


def _value(solver: Solver, free: bool) -> Grammar:
    rules: dict[str, Node] = {}
    comments: dict[str, str] = {}
    Writer(solver, rules, comments, free).write("root", "", closed=False)
    return pruned(Grammar(rules | shared(rules), comments))


@lru_cache(maxsize=2048)
def _part(tool: str, name: str, parameters: str) -> Part:
    """The rules for a tool's arguments; a schema that cannot be honoured refuses only its tool."""
    rules: dict[str, Node] = {}
    comments: dict[str, str] = {}
    try:
        solver = Solver(read(json.loads(parameters), formats=True))
        Writer(solver, rules, comments).write(name, tool, closed=True)
        if not ends(rules | shared(rules), name):
            raise Unsatisfiable("No arguments can match the schema.")
    except (SchemaError, RecursionError) as error:
        why = str(error) if isinstance(error, SchemaError) else "The schema is nested too deeply."
        return Part(tool, name, (), (), (Entry(tool, "", "", "refused", why),), why)
    return Part(
        tool, name, tuple(rules.items()), tuple(comments.items()), tuple(entries(tool, solver))
    )
