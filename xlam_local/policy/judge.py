"""The judgement on one call."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import join
from typing import Any, Literal

from ..types import Effect, Message, Result, Sandbox, Tool, ToolCall
from . import patterns, places
from .places import Reach, Real, from_server, reach
from .rules import Allowance, Policy, Rule, exact


@dataclass(frozen=True, slots=True)
class Allow:
    """The call runs."""


@dataclass(frozen=True, slots=True)
class Asks:
    """The call runs only if the user lets it."""

    why: str
    tainted: bool = False
    """Whether it asks because of what was read, though it was allowed."""


@dataclass(frozen=True, slots=True)
class Deny:
    """The call does not run."""

    why: str


Verdict = Allow | Asks | Deny
Fit = Literal["no", "maybe", "yes"]


@dataclass(frozen=True, slots=True)
class State:
    """What a judgement needs to know besides the policy."""

    folder: Path
    """The working folder, its links followed."""
    home: Path
    real: Real
    allowed: tuple[Allowance, ...] = ()
    """What the user allowed until the session ends."""
    taint: Mapping[str, str] = field(default_factory=dict)
    """Who has read private things in this conversation, and what they were."""


def judge(policy: Policy, tool: Tool, call: ToolCall, state: State) -> Verdict:
    """Whether a call runs, is asked for, or does not run."""
    reached = reach(tool, call.arguments, state.folder, state.real)
    if _weaker(tool, policy.sandbox if runs_code(tool) else Sandbox.NONE):
        return Deny(_needs(policy.sandbox, tool))
    verdict, rule = _ruled(policy.rules, tool, call, reached, state)
    if rule is not None and not isinstance(verdict, Deny) and _weaker(tool, rule.sandbox):
        return Deny(_needs(rule.sandbox, tool))
    given = [
        one
        for one in (*policy.always, *state.allowed)
        if _lifts(one, tool, call, reached, state.folder)
    ]
    if isinstance(verdict, Asks) and given:
        verdict = Allow()
    settled = (rule is not None and rule.tainted) or any(one.tainted for one in given)
    read = "" if settled else carried(tool, state.taint)
    if isinstance(verdict, Deny) or not read:
        return verdict
    why = f"{read}, and this call could carry it away."
    return Asks(f"{verdict.why} {why}" if isinstance(verdict, Asks) else why, tainted=True)


def runs_code(tool: Tool) -> bool:
    """Whether a tool runs code that is not the program's own."""
    return tool.effect is Effect.EXECUTE or from_server(tool)


def allowance(tool: Tool, call: ToolCall, state: State, just: bool, tainted: bool) -> Allowance:
    """What the user allows with always: the tool, or `just` this call."""
    if not just:
        return Allowance(tool.name, tool.source, tainted=tainted)
    reaches = _reals(reach(tool, call.arguments, state.folder, state.real))
    return Allowance(tool.name, tool.source, exact(call), str(state.folder), reaches, tainted)


# Rules


def _ruled(
    rules: Sequence[Rule], tool: Tool, call: ToolCall, reached: Reach, state: State
) -> tuple[Verdict, Rule | None]:
    """What the last rule that fits says; one that may fit and would not allow asks."""
    for rule in reversed(rules):
        fit = _fits(rule, tool, call, reached, state)
        if fit == "no":
            continue
        because = rule.why or f"Rule {rule.number} of the policy"
        if fit == "maybe":
            told = f"{because}: it cannot be told from its arguments whether this call is meant."
            return Asks(told), rule
        if rule.decision == "allow":
            return Allow(), rule
        if rule.decision == "ask":
            return Asks(rule.why or does(tool, reached, state)), rule
        return Deny(rule.why or f"{because} denies it."), rule
    return _default(tool, reached, state), None


def _default(tool: Tool, reached: Reach, state: State) -> Verdict:
    """Reading inside the working folder is allowed; all else asks."""
    inside = all(_under(spot.real, state.folder) for spot in reached.spots)
    if tool.effect is Effect.READ and not from_server(tool) and inside:
        return Allow()
    return Asks(does(tool, reached, state))


def _fits(rule: Rule, tool: Tool, call: ToolCall, reached: Reach, state: State) -> Fit:
    """Whether all the conditions of a rule hold for a call."""
    if not _names(rule, tool):
        return "no"
    fits = list(_conditions(rule, tool, call, reached, state))
    if "no" in fits:
        return "no"
    if "maybe" in fits:
        return "no" if rule.decision == "allow" else "maybe"
    return "yes"


def _names(rule: Rule, tool: Tool) -> bool:
    """Whether a rule names a tool. A server gives its tools any name, so none is allowed by it."""
    if rule.source:
        known = any(patterns.names(pattern, tool.source) for pattern in rule.source)
    else:
        known = rule.decision != "allow" or not from_server(tool)
    return known and any(patterns.names(pattern, tool.name) for pattern in rule.tool)


def _conditions(
    rule: Rule, tool: Tool, call: ToolCall, reached: Reach, state: State
) -> Iterator[Fit]:
    if rule.effect and tool.effect not in rule.effect:
        # What a server says of its tools allows nothing and spares it nothing.
        yield "maybe" if from_server(tool) else "no"
    if rule.folder:
        tops = [_top(text, state) for text in rule.folder]
        yield (_all_in if rule.decision == "allow" else _any_in)(tops, tool, reached, state)
    if rule.host:
        yield (_all_at if rule.decision == "allow" else _any_at)(rule.host, tool, reached)
    given = places.given(tool, call.arguments)
    for name, wanted in rule.arguments.items():
        if rule.decision == "allow":
            yield _allowed(name, wanted, given, tool, state)
        else:
            yield _denied(name, wanted, given, tool, state)


def _all_in(tops: Sequence[Path | None], tool: Tool, reached: Reach, state: State) -> Fit:
    sure = bool(reached.spots) and tool.effect is not Effect.EXECUTE
    sure |= bool(reached.spots) and from_server(tool)
    return _fit(
        sure
        and all(spot.sure and any(_under(spot.real, top) for top in tops) for spot in reached.spots)
    )


def _any_in(tops: Sequence[Path | None], tool: Tool, reached: Reach, state: State) -> Fit:
    fit: Fit = "no" if all(spot.sure for spot in reached.spots) else "maybe"
    if tool.effect is Effect.EXECUTE and not (from_server(tool) and reached.spots):
        fit = "maybe"
    for spot in reached.spots:
        guesses = (_folded(spot.real), _folded(_top(spot.said, state)))
        for top in map(_folded, tops):
            if any(_under(guess, top) for guess in guesses):
                return "yes"
            if any(_under(top, guess) for guess in guesses):
                fit = "maybe"  # a list, a search or a move may reach what a folder holds
    return fit


def _all_at(wanted: Sequence[str], tool: Tool, reached: Reach) -> Fit:
    return _fit(
        bool(reached.hosts)
        and tool.effect is not Effect.EXECUTE
        and all(
            host.sure and any(places.hosted(pattern, host) for pattern in wanted)
            for host in reached.hosts
        )
    )


def _any_at(wanted: Sequence[str], tool: Tool, reached: Reach) -> Fit:
    for host in reached.hosts:
        if any(places.hosted(pattern, host) for pattern in wanted):
            return "yes"
    sure = all(host.sure for host in reached.hosts)
    reaches_out = runs_code(tool) or (tool.effect is Effect.NETWORK and not reached.hosts)
    return "no" if sure and not reaches_out else "maybe"


def _allowed(
    name: str, wanted: Sequence[str], given: Mapping[str, Any], tool: Tool, state: State
) -> Fit:
    if name not in given:
        return "no"
    found = list(_readings(name, given[name], tool, state))
    return _fit(
        bool(found)
        and all(any(_suits(pattern, kind, text) for pattern in wanted) for kind, text in found)
    )


def _suits(pattern: str, kind: str, text: str) -> bool:
    """Whether a pattern that allows fits one value."""
    if kind == "path":
        return patterns.allows_path(pattern, text)
    if "://" not in text:
        return patterns.allows(pattern, text)
    if pattern in {"*", text}:
        return True
    # The host of a URL is compared as a host: as text, a pattern fits what only begins like it.
    at, _, rest = pattern.partition("://")
    scheme, _, path = text.partition("://")
    host, slash, behind = rest.partition("/")
    _, found_slash, tail = path.partition("/")
    one = places.host(text)
    same = at.lower() == scheme.lower() and one.sure and places.hosted(host, one)
    return same and patterns.allows(slash + behind, found_slash + tail)


def _readings(name: str, value: Any, tool: Tool, state: State) -> Iterator[tuple[str, str]]:
    """What there is to compare of an argument: real paths, one command line, else its JSON."""
    kind = places.kind(name, tool)
    match value:
        case str() if kind == "path":
            spot = places.spot(value, tool, state.folder, state.real)
            yield "path", _shown(spot.real, state) if spot.sure else "\0"
        case str():
            yield kind, value
        case [*items] if items and all(isinstance(item, str) for item in items):
            if kind == "text":
                yield kind, join(items)
            else:
                for item in items:
                    yield from _readings(name, item, tool, state)
        case _:
            yield "text", json.dumps(value, ensure_ascii=False, sort_keys=True)


def _denied(
    name: str, wanted: Sequence[str], given: Mapping[str, Any], tool: Tool, state: State
) -> Fit:
    if name not in given:
        return "no"
    readings = (text for _, text in _readings(name, given[name], tool, state))
    for text in (*places.texts(given[name]), *readings):
        spellings = _spellings(name, text, tool, state)
        for pattern in wanted:
            if any(patterns.denies(pattern, one) for one in spellings):
                return "yes"
            if tool.effect is Effect.EXECUTE and patterns.denies_within(pattern, text):
                return "yes"
    return "no"


def _spellings(name: str, text: str, tool: Tool, state: State) -> list[str]:
    """The ways to write one value that a pattern that denies is compared with."""
    if places.kind(name, tool) == "path":
        real = places.spot(text, tool, state.folder, state.real).real
        return [text, str(real), _shown(real, state)]
    if "://" in text:
        scheme, _, rest = text.replace("\\", "/").partition("://")
        tail = rest.partition("/")[2]
        return [text, f"{scheme.strip()}://{places.host(text).name}/{tail}"]
    return [text]


# Allowances and taint


def _lifts(one: Allowance, tool: Tool, call: ToolCall, reached: Reach, folder: Path) -> bool:
    """Whether the user has answered the question about this call before."""
    if (one.tool, one.source) != (tool.name, tool.source):
        return False
    if not one.call:
        return True
    return (one.call, one.within, one.reaches) == (exact(call), str(folder), _reals(reached))


def taint(messages: Iterable[Message], tools: Sequence[Tool], state: State) -> dict[str, str]:
    """Who has read private things in a conversation, and what they were."""
    known = {tool.name: tool for tool in tools}
    read: dict[str, str] = {}
    for message in messages:
        if isinstance(message, Result) and message.ok:
            tool = known.get(message.call.name)
            if tool is None:
                read[f"?/{message.call.name}"] = f"{message.call.name} has run"
            elif what := _reads(tool, message.call, state):
                read[reader(tool)] = what
    return read


def _reads(tool: Tool, call: ToolCall, state: State) -> str:
    """What private things a call has read, in words; nothing if it reads none."""
    if tool.pure:
        return ""
    spots = reach(tool, call.arguments, state.folder, state.real).spots
    if spots:
        verb = "read" if tool.effect is Effect.READ else "opened"
        return f"{tool.name} has {verb} {spots[0].said or 'files'}"
    if tool.effect is Effect.READ or (runs_code(tool) and tool.effect is not Effect.NETWORK):
        return f"{tool.name} may have read files"
    return ""


def reader(tool: Tool) -> str:
    """Who reads: a server as a whole, else the tool. What it read, it could have sent itself."""
    return tool.source if from_server(tool) else f"{tool.source}/{tool.name}"


def carried(tool: Tool, read: Mapping[str, str]) -> str:
    """What a call of `tool` could carry away that its tool did not read itself, in words."""
    isolated = tool.sandbox is Sandbox.ISOLATED
    if tool.effect is not Effect.NETWORK and (isolated or not runs_code(tool)):
        return ""
    return next((what for who, what in read.items() if who != reader(tool)), "")


# Words


DOES = {
    Effect.READ: "It reads.",
    Effect.WRITE: "It writes on this machine.",
    Effect.EXECUTE: "It runs code on this machine.",
    Effect.NETWORK: "It reaches the network.",
}


def does(tool: Tool, reached: Reach, state: State) -> str:
    """What a call does, and where that is not what its arguments say."""
    words = [DOES[tool.effect]]
    for spot in reached.spots:
        if not _under(spot.real, state.folder):
            words.append(f"{spot.said!r} is outside the working folder: {spot.real}.")
    if from_server(tool) and tool.effect is Effect.READ:
        words = [f"The server {tool.source[5:]!r} says that it only reads."]
    return " ".join(words)


def _needs(level: Sandbox, tool: Tool) -> str:
    return (
        f"The policy demands the sandbox level {level.value!r} here; "
        f"{tool.name} runs at {tool.sandbox.value!r}."
    )


def _weaker(tool: Tool, level: Sandbox) -> bool:
    order = list(Sandbox)
    return order.index(tool.sandbox) < order.index(level)


# Paths


def _top(text: str, state: State) -> Path | None:
    """A folder that a policy names, links followed."""
    rest = text[1:].lstrip("/")
    here = state.home / rest if text == "~" or text.startswith("~/") else state.folder / text
    return state.real(here)


def _under(path: Path | None, top: Path | None) -> bool:
    return path is not None and top is not None and path.is_relative_to(top)


def _folded(path: Path | None) -> Path | None:
    """A path as a system finds it that does not tell letters apart as we do."""
    return None if path is None else Path(patterns.plain(str(path)))


def _shown(path: Path | None, state: State) -> str:
    if path is None:
        return "\0"
    return str(path.relative_to(state.folder) if _under(path, state.folder) else path)


def _reals(reached: Reach) -> tuple[str, ...]:
    return tuple(sorted(str(spot.real) for spot in reached.spots))


def _fit(fits: bool) -> Fit:
    return "yes" if fits else "no"
