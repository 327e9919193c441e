"""Compile tools to the grammar of a reply, with a report on every schema keyword."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from ..errors import SchemaError, Unsatisfiable
from ..gbnf import (
    NOTHING,
    CallCount,
    Grammar,
    Node,
    Quoted,
    Token,
    TooLarge,
    children,
    prune,
    terminates,
)
from ..schema import Solver, read_schema, solver_for
from ..time_limit import time_limit
from ..types import Schema, Tool
from . import reply_format
from .call_opening import (
    CALL_END_TAGS,
    CALL_TAGS,
    CallDetector,
    begins_another_call,
    ends_in_reasoning,
)
from .compiler import GrammarCompiler, rule_names, shared_rules
from .last_answer import LAST_ANSWER
from .reply_format import end_and_next_call
from .report import KeywordReport, keyword_reports, why_impossible

__all__ = [
    "CALL_END_TAGS",
    "CALL_TAGS",
    "TOO_SLOW",
    "CallDetector",
    "CompiledTools",
    "Enforced",
    "KeywordReport",
    "TextOrCalls",
    "begins_another_call",
    "compile_schema",
    "compile_tools",
    "end_and_next_call",
    "ends_in_reasoning",
    "for_last_answer",
    "for_schema",
    "of_other_models",
]

COMPILE_TIMEOUT_S = 10.0
"""The CPU seconds that one schema may take."""
REFERENCE = re.compile(r'"\$(ref|dynamicRef|id|anchor)"')
TOO_SLOW = SchemaError(f"The schema takes more than {COMPILE_TIMEOUT_S:g} seconds to compile.")


@dataclass(frozen=True, slots=True, eq=False)
class TextOrCalls:
    """Free text until the model begins calls, which are then written within `calls`.

    An engine that can take tokens back enforces this; others enforce `CompiledTools.grammar`.
    """

    text: Grammar
    calls: Grammar
    tools: tuple[str, ...]
    """The names of the offered tools, by which the beginning of a call is recognized."""


Enforced = Grammar | TextOrCalls
"""What an engine can enforce."""


@dataclass(frozen=True, slots=True)
class CompiledTools:
    """The grammar of a reply, the tools that it offers, and the report on their keywords."""

    grammar: Grammar
    tools: tuple[Tool, ...]
    report: tuple[KeywordReport, ...] = ()
    text_or_calls: TextOrCalls | None = None
    """What an engine enforces instead of the grammar if the model may answer or call tools."""

    @property
    def enforced(self) -> Enforced:
        """What an engine enforces."""
        return self.text_or_calls or self.grammar


@dataclass(frozen=True, slots=True, eq=False)
class CompiledTool:
    """The rules for one tool's arguments, or why the tool is refused."""

    tool: str
    name: str
    """The name of its first rule."""
    rules: tuple[tuple[str, Node], ...]
    comments: tuple[tuple[str, str], ...]
    report: tuple[KeywordReport, ...]
    refused: str = ""
    parameters: str = ""
    """The schema of the arguments, as JSON."""


def compile_tools(
    tools: Sequence[Tool], choice: str = "auto", parallel: bool = True
) -> CompiledTools:
    """Return the grammar of a reply.

    `choice` is "auto" (text or calls), "required" (calls), "none" (text), or the name of the only
    tool that may be called. A tool whose schema cannot be enforced is not offered.
    """
    wanted = [tool for tool in tools if choice in ("auto", "required", tool.name)]
    wanted = [] if choice == "none" else wanted
    parts = _parts(tuple((tool.name, _json(tool.parameters)) for tool in wanted))
    offered = tuple(tool for tool, part in zip(wanted, parts, strict=True) if not part.refused)
    report = tuple(entry for part in parts for entry in part.report)
    grammar = _grammar(parts, choice if offered else "none", parallel)
    text_or_calls = None
    if choice == "auto" and offered:
        text_or_calls = TextOrCalls(
            _grammar((), "none", parallel),
            _grammar(parts, "required", parallel),
            tuple(tool.name for tool in offered),
        )
    return CompiledTools(grammar, offered, report, text_or_calls)


def _json(parameters: Schema) -> str:
    """Return the parameters as a cache key; what is not JSON becomes a schema that is refused."""
    try:
        return json.dumps(parameters)
    except (TypeError, ValueError):
        return json.dumps("not JSON")


@lru_cache(maxsize=64)
def _grammar(parts: tuple[CompiledTool, ...], choice: str, parallel: bool) -> Grammar:
    """Return the grammar of a reply that may call tools."""
    rules: dict[str, Node] = {"root": reply_format.root(choice, parallel)}
    if choice != "none":
        rules["call"] = reply_format.call(
            {part.tool: part.name for part in parts if not part.refused}
        )
    comments: dict[str, str] = {}
    for part in parts:
        rules.update(part.rules)
        comments.update(part.comments)
    only_calls = choice not in ("none", "auto")
    schema = _calls_schema(parts, parallel) if only_calls else None
    calls: CallCount = "none" if not only_calls else "many" if parallel else "one"
    return prune(Grammar(rules | shared_rules(rules), comments, schema, calls))


def of_other_models(grammar: Grammar, may_use_one_line: bool) -> Grammar:
    """Return the grammar of calls for models other than xLAM; a grammar without calls is unchanged.

    Many of these models write each call on a line of its own, and close a list on one line after
    its first call. With `may_use_one_line`, the model chooses; otherwise each call has a line.
    """
    if grammar.call_count == "none":
        return grammar
    root = reply_format.root_of_other_models(grammar.call_count == "many", may_use_one_line)
    return replace(grammar, rules={**grammar.rules, "root": root})


def _calls_schema(parts: Sequence[CompiledTool], parallel: bool) -> dict[str, Any] | None:
    """Return the JSON Schema of calls; None if a schema has references, which would break in it."""
    offered = [part for part in parts if not part.refused]
    if any(REFERENCE.search(part.parameters) for part in offered):
        return None
    schemas = {part.tool: json.loads(part.parameters) for part in offered}
    if not all(isinstance(schema, dict) for schema in schemas.values()):
        return None
    return reply_format.json_schema(schemas, parallel)


@lru_cache(maxsize=64)
def _parts(tools: tuple[tuple[str, str], ...]) -> tuple[CompiledTool, ...]:
    """Return the rules of each tool, by names and parameters."""
    names = rule_names(tool for tool, _ in tools)
    return tuple(
        _part(tool, name, schema) for (tool, schema), name in zip(tools, names, strict=True)
    )


@lru_cache(maxsize=1)
def for_last_answer() -> Grammar:
    """Return the grammar of a text that does not begin as calls do, also not in a later line."""
    return prune(Grammar({"root": LAST_ANSWER}, {}))


def for_schema(schema: Schema | bool) -> Grammar:
    """Return the grammar of one JSON value."""
    return compile_schema(schema)[0]


def compile_schema(schema: Schema | bool) -> tuple[Grammar, tuple[KeywordReport, ...]]:
    """Return the grammar of one JSON value, and the report on each keyword.

    Raises:
        SchemaError: the schema is not valid, too large, or takes too long.
        Unsatisfiable: no value is valid.
    """
    try:
        with time_limit(COMPILE_TIMEOUT_S, TOO_SLOW):
            solver = solver_for(read_schema(schema))
            grammar = _any_order(solver) or _value(solver, any_order=False)
    except RecursionError:
        raise SchemaError("The schema is nested too deeply.") from None
    if grammar.rules["root"] == NOTHING:
        raise Unsatisfiable(why_impossible(solver, "value"))
    if isinstance(schema, Mapping):
        grammar = replace(grammar, json_schema=schema)
    return grammar, tuple(keyword_reports("", solver))


def _any_order(solver: Solver) -> Grammar | None:
    """Return the grammar with properties in any order, or None if it is too large."""
    try:
        grammar = _value(solver, any_order=True)
    except TooLarge:
        return None
    return grammar if sum(map(_size, grammar.rules.values())) <= MAX_PARTS_ANY_ORDER else None


MAX_PARTS_ANY_ORDER = 45_000
"""A larger grammar has all properties in order; llguidance's limit is 65,000 symbols."""


def _size(node: Node) -> int:
    """Return how many parts a node has; a lexeme counts as one."""
    return 1 if isinstance(node, Token | Quoted) else 1 + sum(map(_size, children(node)))


def _value(solver: Solver, any_order: bool) -> Grammar:
    rules: dict[str, Node] = {}
    comments: dict[str, str] = {}
    GrammarCompiler(solver, rules, comments, any_order).compile("root", "", closed=False)
    return prune(Grammar(rules | shared_rules(rules), comments))


def _why_no_arguments(solver: Solver) -> str:
    names = solver.document.schemas[solver.document.root].get("type", ["object"])
    if "object" in names:
        return why_impossible(solver, "arguments")
    return f"The arguments of a call are an object, but /type is {' or '.join(names) or '[]'}."


@lru_cache(maxsize=2048)
def _part(tool: str, name: str, parameters: str) -> CompiledTool:
    """Return the rules for a tool's arguments; a schema error refuses only this tool."""
    rules: dict[str, Node] = {}
    comments: dict[str, str] = {}
    try:
        with time_limit(COMPILE_TIMEOUT_S, TOO_SLOW):
            solver = solver_for(read_schema(json.loads(parameters), assert_formats=True))
            GrammarCompiler(solver, rules, comments).compile(name, tool, closed=True)
        if not terminates(rules | shared_rules(rules), name):
            raise Unsatisfiable(_why_no_arguments(solver))
    except (SchemaError, RecursionError) as error:
        why = str(error) if isinstance(error, SchemaError) else "The schema is nested too deeply."
        return CompiledTool(tool, name, (), (), (KeywordReport(tool, "", "", "refused", why),), why)
    return CompiledTool(
        tool,
        name,
        tuple(rules.items()),
        tuple(comments.items()),
        tuple(keyword_reports(tool, solver)),
        parameters=parameters,
    )
