"""What a policy says: rules, and what was allowed for good."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, cast

from ..errors import UsageError
from ..types import Effect, Sandbox, ToolCall

Does = Literal["allow", "ask", "deny"]
E = TypeVar("E", Effect, Sandbox)


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens to the calls that all of its conditions hold for."""

    decision: Does
    number: int = 0
    """Its place in the file, for messages."""
    tool: tuple[str, ...] = ("*",)
    source: tuple[str, ...] = ()
    effect: tuple[Effect, ...] = ()
    arguments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Patterns by the name of an argument; one of them has to match."""
    folder: tuple[str, ...] = ()
    host: tuple[str, ...] = ()
    sandbox: Sandbox = Sandbox.NONE
    """The weakest that may hold the tool."""
    tainted: bool = False
    """Whether it allows calls that could carry away what was read."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Allowance:
    """An answer given once for the questions to come: a tool, or one exact call of it."""

    tool: str
    source: str = ""
    place: str = ""
    """The file that the tool stands in, if it comes from one: another may bear the same name."""
    call: str = ""
    """The exact arguments as JSON; any when empty."""
    within: str = ""
    """The working folder that the exact call was allowed in."""
    reaches: tuple[str, ...] = ()
    """The files and folders that the exact call reaches, links followed."""
    tainted: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """The user's rules, in their order, and what the user allowed for good."""

    rules: tuple[Rule, ...] = ()
    always: tuple[Allowance, ...] = ()
    sandbox: Sandbox = Sandbox.NONE
    """The weakest that may hold what runs code."""


def parse(text: str) -> Policy:
    """The policy in the text of a policy.toml.

    Raises:
        UsageError: names the rule and says what is wrong with it.
    """
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"This is not TOML: {error}.") from error
    _known(data, {"rule", "always", "sandbox"}, "A policy")
    return Policy(
        tuple(_rule(item, at) for at, item in enumerate(_tables(data, "rule"), start=1)),
        tuple(_allowance(item, at) for at, item in enumerate(_tables(data, "always"), start=1)),
        _one_of(Sandbox, data.get("sandbox", "none"), "A policy: sandbox"),
    )


def exact(call: ToolCall) -> str:
    """The arguments of a call as text that is the same for the same arguments only."""
    return json.dumps(call.arguments, ensure_ascii=False, sort_keys=True)


def _tables(data: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    tables = data.get(name, [])
    if not isinstance(tables, list) or not all(isinstance(item, Mapping) for item in tables):
        raise UsageError(f"Each {name} is a table of its own: [[{name}]].")
    return tables


def _rule(item: Mapping[str, Any], number: int) -> Rule:
    at = f"Rule {number}"
    _known(item, RULE, at)
    decision = item.get("decision")
    if decision not in {"allow", "ask", "deny"}:
        raise UsageError(f"{at}: decision is allow, ask or deny, not {decision!r}.")
    patterns = item.get("arguments", {})
    if not isinstance(patterns, Mapping):
        raise UsageError(f"{at}: arguments is a table of patterns by name.")
    return Rule(
        cast(Does, decision),
        number,
        _texts(item, "tool", at) or ("*",),
        _texts(item, "source", at),
        tuple(_one_of(Effect, name, f"{at}: effect") for name in _texts(item, "effect", at)),
        {name: _texts(patterns, name, f"{at}: arguments") for name in patterns},
        _texts(item, "folder", at),
        _texts(item, "host", at),
        _one_of(Sandbox, item.get("sandbox", "none"), f"{at}: sandbox"),
        _flag(item, "tainted", at),
        _text(item, "why", at),
    )


def _allowance(item: Mapping[str, Any], number: int) -> Allowance:
    at = f"Table always {number}"
    _known(item, ALWAYS, at)
    if not _text(item, "tool", at):
        raise UsageError(f"{at}: it names no tool.")
    texts = {name: _text(item, name, at) for name in ("tool", "source", "place", "call", "within")}
    reaches, tainted = _texts(item, "reaches", at), _flag(item, "tainted", at)
    return Allowance(**texts, reaches=reaches, tainted=tainted)


RULE = {
    "decision",
    "tool",
    "source",
    "effect",
    "arguments",
    "folder",
    "host",
    "sandbox",
    "tainted",
    "why",
}
ALWAYS = {"tool", "source", "place", "call", "within", "reaches", "tainted"}


def _known(item: Mapping[str, Any], known: set[str], at: str) -> None:
    for key in item:
        if key not in known:
            raise UsageError(f"{at} has no {key!r}; there are {', '.join(sorted(known))}.")


def _text(item: Mapping[str, Any], name: str, at: str) -> str:
    value = item.get(name, "")
    if not isinstance(value, str):
        raise UsageError(f"{at}: {name} is text, not {value!r}.")
    return value


def _texts(item: Mapping[str, Any], name: str, at: str) -> tuple[str, ...]:
    """One text or a list of them; none when there is no such key."""
    value = item.get(name, [])
    values: Sequence[Any] = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(one, str) and one for one in values):
        raise UsageError(f"{at}: {name} is text or a list of texts, not {value!r}.")
    if name in item and not values:
        raise UsageError(f"{at}: {name} is an empty list, which nothing matches.")
    return tuple(values)


def _flag(item: Mapping[str, Any], name: str, at: str) -> bool:
    value = item.get(name, False)
    if not isinstance(value, bool):
        raise UsageError(f"{at}: {name} is true or false, not {value!r}.")
    return value


def _one_of(kind: type[E], name: object, at: str) -> E:
    for one in kind:
        if one.value == name:
            return one
    raise UsageError(f"{at} is {', '.join(one.value for one in kind)}, not {name!r}.")
