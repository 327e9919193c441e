"""Worlds and tools for checks in this process: a board with notes in a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from xlam_local.agent import Engine, TurnOptions
from xlam_local.permissions.approver import Approver
from xlam_local.scenarios.gold import ToolWorlds
from xlam_local.scenarios.scenario import Scenario
from xlam_local.scenarios.scenario_file import read_scenarios
from xlam_local.scenarios.trial import CheckSetup
from xlam_local.types import Effect, Tool

FILE = "notes.json"
SCENARIO = """
name = "add a note"
user = "Note that milk is missing."
calls = [{ name = "add", arguments = { text = "milk" } }]
"""


def parameters(**properties: Any) -> dict[str, Any]:
    """Return the schema of arguments that are all required but those with a default."""
    required = [name for name, schema in properties.items() if "default" not in schema]
    return {"type": "object", "properties": properties, "required": required}


def note_tools(world: Path) -> list[Tool]:
    """Return tools that read and change the notes of a world."""

    def read() -> list[str]:
        return list(json.loads((world / FILE).read_text()))

    def write(notes: list[str]) -> str:
        (world / FILE).write_text(json.dumps(notes))
        return f"There are {len(notes)} notes."

    text = {"type": "string", "description": "The text of a note."}
    times = {"type": "integer", "default": 1}
    return [
        Tool("list", "List the notes.", {"type": "object"}, Effect.READ, read),
        Tool(
            "find",
            "Find notes.",
            parameters(text=text),
            Effect.READ,
            lambda text: [note for note in read() if text in note],
        ),
        Tool(
            "add",
            "Add a note.",
            parameters(text=text, times=times),
            Effect.WRITE,
            lambda text, times=1: write([*read(), *[text] * times]),
        ),
        Tool(
            "remove",
            "Remove a note.",
            parameters(text=text),
            Effect.WRITE,
            lambda text: write([note for note in read() if note != text]),
        ),
    ]


def make_scenarios(folder: Path, *entries: str, head: str = "") -> Sequence[Scenario]:
    """Write a file of scenarios with a world of two notes, and read it."""
    (folder / "start").mkdir(exist_ok=True)
    (folder / "start" / FILE).write_text('["bread", "salt"]')
    world = '[world]\nfolder = "start"\n'
    path = folder / "notes.toml"
    path.write_text(head + world + "".join(f"[[scenario]]\n{entry}\n" for entry in entries))
    return read_scenarios(path)


def make_setup(
    engine: Engine, allow: Sequence[str] = ("add", "remove"), options: TurnOptions = TurnOptions()
) -> CheckSetup:
    """Return the setup of a check with the tools of `note_tools`."""

    @contextmanager
    def open_tools(world: Path) -> Iterator[Sequence[Tool]]:
        yield note_tools(world)

    opener: Callable[[Path], AbstractContextManager[Sequence[Tool]]] = open_tools
    worlds = ToolWorlds(open_tools=opener, open_approver=open_approver, allow=allow)
    return CheckSetup(engine=engine, options=options, worlds=worlds)


def open_approver(world: Path, allowed: Sequence[Tool]) -> Approver:
    """Return an approver without a policy."""
    approver = Approver(cwd=world)
    for tool in allowed:
        approver.allow(tool)
    return approver


def calls(*made: tuple[str, dict[str, Any]]) -> str:
    """Return calls as a model writes them."""
    return json.dumps([{"name": name, "arguments": arguments} for name, arguments in made])
