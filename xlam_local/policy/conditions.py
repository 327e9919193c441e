"""Whether the conditions of a rule hold for a call."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from shlex import join
from typing import Any, Literal

from ..types import Effect, Tool, ToolCall
from . import patterns, places
from .places import Reach, from_server
from .rules import Rule
from .state import State, folded, named, runs_code, shown, under

Fit = Literal["no", "maybe", "yes"]


def fits(rule: Rule, tool: Tool, call: ToolCall, reached: Reach, state: State) -> Fit:
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
    if rule.decision != "allow":
        # Where names clash, a tool is offered under its source's name as well, or with a _ more.
        own = tool.name.removeprefix(f"{tool.source.removeprefix('mcp: ')}_").rstrip("_")
        return _any(patterns.denies, rule.source or ("*",), tool.source) and (
            _any(patterns.denies, rule.tool, tool.name) or _any(patterns.denies, rule.tool, own)
        )
    known = _any(patterns.names, rule.source, tool.source) or not (rule.source or from_server(tool))
    return known and _any(patterns.names, rule.tool, tool.name)


def _any(fits: Callable[[str, str], bool], wanted: Sequence[str], text: str) -> bool:
    return any(fits(pattern, text) for pattern in wanted)


def _conditions(
    rule: Rule, tool: Tool, call: ToolCall, reached: Reach, state: State
) -> Iterator[Fit]:
    if rule.effect and tool.effect not in rule.effect:
        # What a server says of its tools allows nothing and spares it nothing.
        yield "maybe" if from_server(tool) else "no"
    given = places.given(tool, call.arguments)
    if rule.folder:
        tops = [named(text, state) for text in rule.folder]
        if rule.decision == "allow":
            yield _all_in(tops, tool, reached)
        else:
            yield _any_in(tops, tool, reached, state, given)
    if rule.host:
        if rule.decision == "allow":
            yield _all_at(rule.host, tool, reached)
        else:
            yield _any_at(rule.host, tool, reached, given)
    for name, wanted in rule.arguments.items():
        if rule.decision == "allow":
            yield _allowed(name, wanted, given, tool, state)
        else:
            yield _denied(name, wanted, given, tool, state)


def _all_in(tops: Sequence[Path | None], tool: Tool, reached: Reach) -> Fit:
    sure = bool(reached.spots) and tool.effect is not Effect.EXECUTE
    sure |= bool(reached.spots) and from_server(tool)
    return _fit(
        sure
        and all(spot.sure and any(under(spot.real, top) for top in tops) for spot in reached.spots)
    )


def _any_in(
    tops: Sequence[Path | None],
    tool: Tool,
    reached: Reach,
    state: State,
    given: Mapping[str, Any],
) -> Fit:
    fit: Fit = "no" if all(spot.sure for spot in reached.spots) else "maybe"
    if tool.effect is Effect.EXECUTE and not (from_server(tool) and reached.spots):
        fit = "maybe"
    denied = [folded(top) for top in tops]
    for spot in reached.spots:
        guesses = (folded(spot.real), folded(named(spot.said, state)))
        for top in denied:
            if any(under(guess, top) for guess in guesses):
                return "yes"
            if any(under(top, guess) for guess in guesses):
                fit = "maybe"  # a list, a search or a move may reach what a folder holds
    # An argument of another name may be a path as well.
    loose = [] if tool.pure else [folded(named(text, state)) for text in places.texts(given)]
    return "maybe" if any(under(one, top) for one in loose for top in denied) else fit


def _all_at(wanted: Sequence[str], tool: Tool, reached: Reach) -> Fit:
    return _fit(
        bool(reached.hosts)
        and tool.effect is not Effect.EXECUTE
        and all(
            host.sure and any(places.hosted(pattern, host) for pattern in wanted)
            for host in reached.hosts
        )
    )


def _any_at(wanted: Sequence[str], tool: Tool, reached: Reach, given: Mapping[str, Any]) -> Fit:
    for host in reached.hosts:
        if any(places.hosted(pattern, host) for pattern in wanted):
            return "yes"
    if tool.effect is Effect.NETWORK:
        # An argument of another name may be a host as well.
        loose = [places.host(text) for text in places.texts(given)]
        if any(places.hosted(pattern, host) for pattern in wanted for host in loose):
            return "maybe"
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
            yield "path", shown(spot.real, state) if spot.sure else "\0"
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
        return [text, str(real), shown(real, state)]
    if "://" in text:
        scheme, _, rest = text.replace("\\", "/").partition("://")
        tail = rest.partition("/")[2]
        return [text, f"{scheme.strip()}://{places.host(text).name}/{tail}"]
    return [text]


def _fit(fits: bool) -> Fit:
    return "yes" if fits else "no"
