"""The content of policy.toml: rules, grants and the sandbox level."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from .. import toml_values
from ..errors import UsageError
from ..types import Effect, Sandbox, ToolCall
from .hosts import pattern_problem

RuleDecision = Literal["allow", "ask", "deny"]
DECISIONS = ("allow", "ask", "deny")
POLICY_KEYS = {"rule", "grant", "sandbox", "executed_files"}
RULE_KEYS = {
    "decision",
    "tool",
    "source",
    "effect",
    "arguments",
    "path",
    "host",
    "sandbox",
    "tainted",
    "reason",
}
GRANT_KEYS = {"tool", "source", "file", "call", "cwd", "paths", "tainted", "digest"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A decision for all calls that meet every condition of the rule."""

    decision: RuleDecision
    number: int = 0
    """The position in the file, from 1; for messages."""
    tool: tuple[str, ...] = ("*",)
    """Patterns for the tool's name; one must match."""
    source: tuple[str, ...] = ()
    """Patterns for the tool's source. If empty: any source, but a rule that allows then covers no
    MCP server."""
    effect: tuple[Effect, ...] = ()
    arguments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Patterns by argument name; one of each must match."""
    path: tuple[str, ...] = ()
    """Folders or files that the call's paths must be in."""
    host: tuple[str, ...] = ()
    """Patterns for the hosts of the call."""
    sandbox: Sandbox = Sandbox.NONE
    """The lowest sandbox level at which the tool may run."""
    tainted: bool = False
    """Whether the rule also allows calls that could send out data read earlier."""
    reason: str = ""
    """Shown to the user, and to the model if the call is denied."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A permission that the user gave in an approval prompt: for a tool, or for one exact call.

    It applies to the tool as it was at that time, in the working folder of that time.
    """

    tool: str
    source: str = ""
    file: str = ""
    """The file that defines the tool, because another file can define a tool of the same name."""
    call: str = ""
    """The arguments as canonical JSON; any arguments if empty."""
    cwd: str = ""
    """The working folder in which it was allowed."""
    paths: tuple[str, ...] = ()
    """The paths of the exact call, with links resolved."""
    tainted: bool = False
    """Whether the grant also covers calls that could send out data read earlier."""
    digest: str = ""
    """The hash of the tool as it was allowed. If the tool changes, the grant covers nothing."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The user's rules in file order, and the saved grants."""

    rules: tuple[Rule, ...] = ()
    grants: tuple[Grant, ...] = ()
    sandbox: Sandbox = Sandbox.NONE
    """The lowest sandbox level at which code may run."""
    executed_files: tuple[str, ...] = ()
    """Patterns of more files that other programs execute."""


def parse(text: str) -> Policy:
    """Return the policy in the text of a policy.toml.

    Raises:
        UsageError: The text is not TOML or not a policy; the message names the rule and the key.
    """
    data = toml_values.parse(text)
    where = "The policy"
    toml_values.check_keys(data, POLICY_KEYS, where)
    rules = toml_values.subtables(data, "rule", where)
    grants = toml_values.subtables(data, "grant", where)
    return Policy(
        tuple(_rule(table, number) for number, table in enumerate(rules, start=1)),
        tuple(_grant(table, number) for number, table in enumerate(grants, start=1)),
        toml_values.member(data, "sandbox", where, Sandbox.NONE),
        toml_values.texts(data, "executed_files", where),
    )


def canonical_arguments(call: ToolCall) -> str:
    """Return the arguments of a call as JSON that is equal only for equal arguments."""
    return json.dumps(call.arguments, ensure_ascii=False, sort_keys=True)


def _rule(table: Mapping[str, Any], number: int) -> Rule:
    where = f"Rule {number}"
    toml_values.check_keys(table, RULE_KEYS, where)
    toml_values.check_required(table, ("decision",), where)
    decision = toml_values.one_of(table, "decision", where, DECISIONS, "ask")
    arguments = toml_values.subtable(table, "arguments", where)
    return Rule(
        decision=cast(RuleDecision, decision),
        number=number,
        tool=toml_values.texts(table, "tool", where, ("*",)),
        source=toml_values.texts(table, "source", where),
        effect=toml_values.members(table, "effect", where, Effect),
        arguments={
            name: toml_values.texts(arguments, name, f"{where}: arguments") for name in arguments
        },
        path=toml_values.texts(table, "path", where),
        host=_hosts(table, where),
        sandbox=toml_values.member(table, "sandbox", where, Sandbox.NONE),
        tainted=toml_values.flag(table, "tainted", where),
        reason=toml_values.text(table, "reason", where),
    )


def _hosts(table: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """Return the patterns for hosts; one that can match no host is an error."""
    hosts = toml_values.texts(table, "host", where)
    for problem in filter(None, map(pattern_problem, hosts)):
        raise UsageError(f"{where}: host {problem}.")
    return hosts


def _grant(table: Mapping[str, Any], number: int) -> Grant:
    where = f"Grant {number}"
    toml_values.check_keys(table, GRANT_KEYS, where)
    toml_values.check_required(table, ("tool",), where)
    return Grant(
        tool=toml_values.text(table, "tool", where, allow_empty=False),
        source=toml_values.text(table, "source", where),
        file=toml_values.text(table, "file", where),
        call=toml_values.text(table, "call", where),
        cwd=toml_values.text(table, "cwd", where),
        paths=toml_values.texts(table, "paths", where),
        tainted=toml_values.flag(table, "tainted", where),
        digest=toml_values.text(table, "digest", where),
    )
