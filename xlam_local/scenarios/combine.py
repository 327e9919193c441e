"""Make longer scenarios of two: both requests, the calls of both, checked by running them."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tomlkit

from ..errors import UsageError
from .gold import ToolWorlds, right_end_state
from .scenario import Fact, Scenario, StartState
from .state import state_diff


@dataclass(frozen=True, slots=True)
class CombinedScenario:
    """Two scenarios that were combined, or why they cannot be."""

    scenario: Scenario | None
    reason: str
    """Empty if they were combined."""


def combine(
    scenarios: Sequence[Scenario], count: int, seed: int, worlds: ToolWorlds
) -> Iterator[CombinedScenario]:
    """Combine pairs of scenarios in random order until `count` are made; yield each attempt.

    Both have calls that change something. The calls of both must run in either order and leave the
    same state: otherwise one disturbs the other.
    """
    changing = [
        one for one in scenarios if one.expect is None and one.calls and _changes(one, worlds)
    ]
    pairs = [pair for pair in itertools.combinations(changing, 2) if _same_start(*pair)]
    random.Random(seed).shuffle(pairs)
    made = 0
    for first, second in pairs:
        if made == count:
            return
        found = _combine(first, second, worlds)
        made += found.scenario is not None
        yield found


def scenarios_toml(scenarios: Sequence[Scenario], folder: Path) -> str:
    """Return a file of scenarios that stands in `folder`, where its paths begin."""
    return tomlkit.dumps({"scenario": [_entry(scenario, folder) for scenario in scenarios]})


def _entry(scenario: Scenario, folder: Path) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": scenario.name,
        "user": list(scenario.user),
        "system": scenario.system,
        "proposed": scenario.proposed,
        "says": list(scenario.says),
        "forbid": list(scenario.forbid),
        "world": _world_entry(scenario.start, folder),
        "facts": {one.name: _fact_entry(one) for one in scenario.facts},
        "calls": [
            {"name": call.name, "arguments": dict(call.arguments)} for call in scenario.calls or ()
        ],
    }
    return {key: value for key, value in entry.items() if value}


def _fact_entry(fact: Fact) -> dict[str, Any]:
    words = list(fact.words[1:])
    return {"value": fact.value, **({"words": words} if words else {})}


def _world_entry(start: StartState, folder: Path) -> dict[str, Any]:
    def relative(path: Path) -> str:
        return Path(os.path.relpath(path, folder)).as_posix()

    entry = {
        "folder": relative(start.folder) if start.folder else "",
        "database": relative(start.database) if start.database else "",
        "setup": f"{relative(start.setup.path)}:{start.setup.name}" if start.setup else "",
        "ignore": list(start.ignore),
    }
    return {key: value for key, value in entry.items() if value}


def _changes(scenario: Scenario, worlds: ToolWorlds) -> bool:
    before = right_end_state(replace(scenario, calls=()), worlds)
    return before != right_end_state(scenario, worlds)


def _same_start(first: Scenario, second: Scenario) -> bool:
    return (first.start, first.system) == (second.start, second.system)


def _combine(first: Scenario, second: Scenario, worlds: ToolWorlds) -> CombinedScenario:
    name = f"{first.name} + {second.name}"
    if reason := _conflict(first, second):
        return CombinedScenario(None, f"{name}: {reason}")
    joined = replace(
        first,
        name=name,
        where=name,
        user=(*first.user, *second.user),
        facts=(*first.facts, *second.facts),
        calls=(*(first.calls or ()), *(second.calls or ())),
        says=tuple(dict.fromkeys((*first.says, *second.says))),
        forbid=tuple(dict.fromkeys((*first.forbid, *second.forbid))),
        digest="",
    )
    turned = replace(joined, calls=(*(second.calls or ()), *(first.calls or ())))
    try:
        states = [right_end_state(one, worlds) for one in (joined, turned)]
    except UsageError as error:
        return CombinedScenario(None, str(error))
    if diff := state_diff(states[0] or {}, states[1] or {}):
        return CombinedScenario(None, f"{name}: the order of the calls matters: {' '.join(diff)}")
    return CombinedScenario(joined, "")


def _conflict(first: Scenario, second: Scenario) -> str:
    """Return why two scenarios cannot be one conversation."""
    for one, other in ((first, second), (second, first)):
        for call in one.calls or ():
            if call.name in other.forbid:
                return f"{call.name} is forbidden by one and right for the other"
    words = [{word for fact in one.facts for word in fact.words} for one in (first, second)]
    shared = words[0] & words[1]
    return f"both have facts for {sorted(shared)[0]!r}" if shared else ""
