"""One conversation in the app with a real model and tools of each kind."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from xlam_local import config
from xlam_local.fit import Machine
from xlam_local.opening import opening
from xlam_local.tools import Places, Toolbox
from xlam_local.tui.app import XlamApp
from xlam_local.tui.desk import Desk
from xlam_local.tui.loaded import Loaded
from xlam_local.tui.question import Approval
from xlam_local.tui.tools_screen import ToolsScreen
from xlam_local.tui.toolset import Toolset
from xlam_local.types import Answer, Loading, Note, Result

from .apps import App, idle, patiently, say, screen_text, wait_until
from .resources import get, here

MODEL = "qwen2.5-coder-1.5b"
pytestmark = [
    pytest.mark.model,
    pytest.mark.slow,
    pytest.mark.skipif(
        not here(MODEL), reason=f"1.1 GB: `python -m tests.resources {MODEL}` brings them"
    ),
]

PYTHON = '''
from xlam_local import Effect, tool

@tool(Effect.READ)
def count_letter(word: str, letter: str) -> int:
    """Count how often a letter is in a word."""
    return word.count(letter)
'''
COMMAND = """
[[tool]]
name = "count_lines"
description = "Count the lines of a text file."
command = ["wc", "-l", "{path}"]
effect = "read"
[tool.parameters]
path = {type = "string", format = "path", description = "The file."}
"""
SERVER = {"command": sys.executable, "args": ["-m", "mcp_server_time"], "timeout": 60}


def with_tools(places: Places, model: Path) -> XlamApp:
    """The app with a file of Python, a command and a server that nobody has agreed to yet."""
    folders = config.folders()
    settings = config.Config(context=4096, threads=1, prefix_cache=0)

    def opened(name: str | None) -> Generator[Loading | Note, None, Loaded]:
        return (yield from opening(str(model), settings, folders))

    def toolbox() -> Toolbox:
        box = Toolbox.open(places)
        box.switch("built-in", False)
        return box

    def here() -> Machine:
        return Machine("A laptop", 16 << 30, 12 << 30, 2)

    return XlamApp(Desk(folders, settings, places.folder, opened, Toolset(open=toolbox), here))


async def agree(pilot: App, app: XlamApp, name: str) -> None:
    """Agree to a source on the screen of the tools; a server has to be looked at first."""
    await pilot.press("f3")
    await wait_until(pilot, lambda: name in screen_text(app))

    def state() -> str:
        return next(one.state for one in app.desk.tools.sources() if one.name == name)

    screen = app.screen
    assert isinstance(screen, ToolsScreen)
    place = [source.name if tool is None else "" for source, tool in screen.rows].index(name)
    await pilot.press("home", *["down"] * place)
    while state() != "ready":
        await pilot.press("a")
        await app.workers.wait_for_complete()
        await pilot.pause()
    await pilot.press("escape")


async def test_a_python_tool_a_command_and_a_server_in_one_conversation(tmp_path: Path) -> None:
    folders = config.folders()
    work = tmp_path / "work"
    (folders.config / "tools").mkdir(parents=True)
    work.mkdir()
    (folders.config / "tools" / "letters.py").write_text(PYTHON)
    (folders.config / "tools" / "lines.toml").write_text(COMMAND)
    (folders.config / "mcp.json").write_text(json.dumps({"mcpServers": {"clock": SERVER}}))
    (work / "notes.txt").write_text("milk\nbread\nbutter\nsalt\n")
    places = Places(folders.config, folders.data, folders.state, work)
    app = with_tools(places, get(MODEL))
    async with app.run_test(size=(120, 40)) as pilot:
        await patiently(pilot, lambda: idle(app))
        assert "Not agreed to yet: letters, lines, clock." in screen_text(app)
        for name in ("letters", "lines", "clock"):
            await agree(pilot, app, name)

        async def answered(text: str) -> str:
            before = len(app.desk.messages)
            await say(pilot, text)
            while not (idle(app) and len(app.desk.messages) > before):
                await patiently(pilot, over(app))
                if app.chat.query(Approval):
                    await wait_until(pilot, lambda: app.chat.query_one(Approval).ready)
                    await pilot.press("y")
            last = app.desk.messages[-1]
            assert isinstance(last, Answer)
            return last.text

        assert "3" in await answered("How often is the letter r in the word strawberry?")
        assert "4" in await answered("How many lines does the file notes.txt have?")
        await answered("What time is it in the time zone Asia/Tokyo?")
    results = [m for m in app.desk.messages if isinstance(m, Result)]
    assert {r.call.name for r in results if r.ok} >= {
        "count_letter",
        "count_lines",
        "get_current_time",
    }
    assert any("Asia/Tokyo" in r.output for r in results)


def over(app: XlamApp) -> Callable[[], object]:
    return lambda: idle(app) or app.chat.query(Approval)
