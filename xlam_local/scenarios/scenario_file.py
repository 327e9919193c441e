"""Read a file of scenarios."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import schema, toml_values, user_file
from ..errors import UsageError
from ..toml_values import Table
from ..types import Tool, ToolCall
from .scenario import Fact, FixtureFunction, Scenario, StartState

FILE_KEYS = ("world", "system", "scenario")
WORLD_KEYS = ("folder", "database", "setup", "ignore")
SCENARIO_KEYS = (
    *("name", "user", "facts", "calls", "says", "forbid", "expect", "system", "world", "proposed"),
)
CHECK_KEYS = ("calls", "says", "forbid", "expect")
"""What decides whether a run is right; a scenario needs one of them."""
CALL_KEYS = ("name", "arguments")
FACT_KEYS = ("value", "words")


def read_scenarios(path: Path) -> tuple[Scenario, ...]:
    """Return the scenarios of a TOML file.

    Raises:
        UsageError: the file is no such file; the message names the scenario and the key.
    """
    table = user_file.parse_toml(user_file.read_text(path), str(path))
    toml_values.check_keys(table, FILE_KEYS, str(path))
    found: list[Scenario] = []
    for number, entry in enumerate(toml_values.subtables(table, "scenario", str(path)), 1):
        where = f"{path}, scenario {number}"
        one = _scenario(entry, table, path, where)
        if one.name in {other.name for other in found}:
            raise UsageError(f"{where}: name must be unique; there are two {one.name!r}.")
        found.append(one)
    if not found:
        raise UsageError(f"{path} has no scenarios; write each as [[scenario]].")
    return tuple(found)


def check_tools(scenarios: Sequence[Scenario], tools: Sequence[Tool]) -> None:
    """Check that the tools of scenarios exist, and that the right calls are valid.

    Raises:
        UsageError: a call is not valid; the message names the scenario and the key.
    """
    known = {tool.name: tool for tool in tools}
    for scenario in scenarios:
        calls = scenario.calls or ()
        names = [*(("calls", call.name) for call in calls)]
        names += [("forbid", name) for name in scenario.forbid]
        for key, name in names:
            if name not in known:
                listed = ", ".join(known) or "none"
                raise UsageError(
                    f"{scenario.where}: {key} names the tool {name!r}, which does not exist. The "
                    f"tools are: {listed}."
                )
        for number, call in enumerate(calls, 1):
            if problems := schema.validate(call.arguments, known[call.name].parameters):
                raise UsageError(
                    f"{scenario.where}: calls, call {number} ({call.name}): {' '.join(problems)}"
                )


def _scenario(entry: Table, file: Table, path: Path, where: str) -> Scenario:
    toml_values.check_keys(entry, SCENARIO_KEYS, where)
    toml_values.check_required(entry, ("name", "user"), where)
    if not any(key in entry for key in CHECK_KEYS):
        raise UsageError(f"{where}: one of {', '.join(CHECK_KEYS)} is required.")
    world = toml_values.subtable(entry if "world" in entry else file, "world", where)
    start = _start_state(world, path, f"{where}, world" if "world" in entry else f"{path}, world")
    expect = _fixture(entry, "expect", path, where)
    system = entry if "system" in entry else file
    content = {
        "entry": entry,
        "world": world,
        "system": file.get("system"),
        "files": _hashes(start),
    }
    content["expect"] = expect.text if expect else ""
    return Scenario(
        name=toml_values.text(entry, "name", where, allow_empty=False),
        where=where,
        start=start,
        user=toml_values.texts(entry, "user", where),
        facts=_facts(entry, where),
        calls=_calls(entry, where),
        says=toml_values.texts(entry, "says", where),
        forbid=toml_values.texts(entry, "forbid", where),
        expect=expect,
        system=toml_values.text(system, "system", where),
        proposed=toml_values.text(entry, "proposed", where),
        digest=hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()[:32],
    )


def _start_state(world: Table, path: Path, where: str) -> StartState:
    toml_values.check_keys(world, WORLD_KEYS, where)
    return StartState(
        folder=_path(world, "folder", path, where),
        database=_path(world, "database", path, where),
        setup=_fixture(world, "setup", path, where),
        ignore=toml_values.texts(world, "ignore", where),
    )


def _path(table: Table, key: str, file: Path, where: str) -> Path | None:
    """Return a path, which is relative to the file of scenarios."""
    if key not in table:
        return None
    path = file.parent / toml_values.text(table, key, where, allow_empty=False)
    if not (path.is_dir() if key == "folder" else path.is_file()):
        kind = "folder" if key == "folder" else "file"
        raise UsageError(f"{where}: {key} must be a {kind} that exists, not {str(path)!r}.")
    return path


def _fixture(table: Table, key: str, file: Path, where: str) -> FixtureFunction | None:
    if key not in table:
        return None
    text = toml_values.text(table, key, where)
    name, _, function = text.rpartition(":")
    path = file.parent / name
    if not function.isidentifier() or path.suffix != ".py" or not path.is_file():
        raise toml_values.wrong_value(
            where, key, "FILE.py:FUNCTION with a Python file that exists", text
        )
    return FixtureFunction(path, function, user_file.read_text(path))


def _facts(entry: Table, where: str) -> tuple[Fact, ...]:
    facts = toml_values.subtable(entry, "facts", where)
    return tuple(_fact(name, value, f"{where}, facts") for name, value in facts.items())


def _fact(name: str, given: Any, where: str) -> Fact:
    table = given if isinstance(given, Mapping) else {"value": given}
    toml_values.check_keys(table, FACT_KEYS, f"{where}.{name}")
    value = table.get("value")
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        raise toml_values.wrong_value(where, name, "a text or a number", value)
    words = toml_values.texts(table, "words", f"{where}.{name}")
    return Fact(name, str(value), (name.replace("_", " "), *words))


def _calls(entry: Table, where: str) -> tuple[ToolCall, ...] | None:
    if "calls" not in entry:
        return None
    calls = entry["calls"]
    if not isinstance(calls, list) or not all(isinstance(call, Mapping) for call in calls):
        raise toml_values.wrong_value(where, "calls", "a list of tables", calls)
    return tuple(_call(call, number, where) for number, call in enumerate(calls, 1))


def _call(call: Table, number: int, where: str) -> ToolCall:
    where = f"{where}, call {number}"
    toml_values.check_keys(call, CALL_KEYS, where)
    toml_values.check_required(call, ("name",), where)
    name = toml_values.text(call, "name", where, allow_empty=False)
    arguments = dict(toml_values.subtable(call, "arguments", where))
    try:
        json.dumps(arguments)
    except TypeError as error:
        raise UsageError(
            f"{where}: arguments must have values that JSON has; write dates as text."
        ) from error
    return ToolCall(f"gold_{number}", name, arguments)


def _hashes(start: StartState) -> list[str]:
    """Return the fixture and the hashes of the files of a start state."""
    return [
        start.setup.text if start.setup else "",
        _file_hash(start.database) if start.database else "",
        *(_folder_hashes(start.folder) if start.folder else ()),
    ]


def _folder_hashes(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield f"{path.relative_to(folder)} {_file_hash(path)}"


def _file_hash(path: Path) -> str:
    return hashlib.sha256(user_file.read_bytes(path)).hexdigest()
