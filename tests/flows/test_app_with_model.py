"""A conversation in the app with a real model and a tool of each kind."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.fakes.resources import fetch, is_downloaded
from tests.fakes.tui_helpers import (
    App,
    app_of,
    approval_shown,
    approvals,
    is_idle,
    messages,
    screen_text,
    submit,
    wait_long,
    wait_until,
)
from xlam_local import config
from xlam_local.hardware import Machine
from xlam_local.model_loading import loading_steps
from xlam_local.tools import Toolbox, ToolPaths
from xlam_local.tui.app import XlamApp
from xlam_local.tui.screens.tools import ToolsScreen
from xlam_local.tui.state.controller import ChatController, LoadSteps
from xlam_local.tui.state.tool_catalog import ToolCatalog
from xlam_local.types import AssistantMessage, ToolResult

MODEL = "qwen2.5-coder-1.5b"
pytestmark = [
    pytest.mark.model,
    pytest.mark.slow,
    pytest.mark.skipif(
        not is_downloaded(MODEL),
        reason=f"1.1 GB: `python -m tests.fakes.resources {MODEL}` downloads them",
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


def app_with_tools(paths: ToolPaths, model: Path) -> XlamApp:
    """Return the app with a model and the tools of the user, without the built-in ones."""
    folders = config.folders()
    settings = config.Config(context=4096, threads=1, prompt_cache_mib=0)

    def load_engine(name: str | None) -> LoadSteps:
        return (yield from loading_steps(str(model), settings, folders))

    def open_toolbox() -> Toolbox:
        toolbox = Toolbox.open(paths)
        toolbox.set_enabled("built-in", False)
        return toolbox

    controller = ChatController(
        folders=folders,
        settings=settings,
        cwd=paths.cwd,
        load_engine=load_engine,
        tools=ToolCatalog(open_toolbox=open_toolbox),
        detect_machine=lambda: Machine("A laptop", 16 << 30, 12 << 30, 2),
    )
    return XlamApp(controller)


async def trust(pilot: App, name: str) -> None:
    """Trust a source on the tools screen; a server has to be listed first."""
    app = app_of(pilot)
    await pilot.press("f3")
    await wait_until(pilot, lambda: name in screen_text(app))

    def state() -> str:
        sources = app.controller.tools.sources()
        return next(source.state for source in sources if source.name == name)

    screen = app.screen
    assert isinstance(screen, ToolsScreen)
    names = [source.name if tool is None else "" for source, tool in screen.rows]
    await pilot.press("home", *["down"] * names.index(name))
    while state() != "ready":
        await pilot.press("a")
        await app.workers.wait_for_complete()
        await pilot.pause()
    await pilot.press("escape")


async def ask(pilot: App, text: str) -> str:
    """Submit a message, allow its tool calls, and return the answer."""
    app = app_of(pilot)
    before = len(messages(app))
    await submit(pilot, text)
    while not (is_idle(app) and len(messages(app)) > before):
        await wait_long(pilot, lambda: is_idle(app) or approvals(app))
        if approvals(app):
            await approval_shown(pilot)
            await pilot.press("y")
    answer = messages(app)[-1]
    assert isinstance(answer, AssistantMessage)
    return answer.text


async def test_a_python_tool_a_command_and_a_server_in_one_conversation(tmp_path: Path) -> None:
    folders = config.folders()
    work = tmp_path / "work"
    (folders.config / "tools").mkdir(parents=True)
    work.mkdir()
    (folders.config / "tools" / "letters.py").write_text(PYTHON)
    (folders.config / "tools" / "lines.toml").write_text(COMMAND)
    (folders.config / "mcp.json").write_text(json.dumps({"mcpServers": {"clock": SERVER}}))
    (work / "notes.txt").write_text("milk\nbread\nbutter\nsalt\n")
    paths = ToolPaths(folders.config, folders.data, folders.state, work)
    app = app_with_tools(paths, fetch(MODEL))
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_long(pilot, lambda: is_idle(app))
        assert "Not trusted yet: letters, lines, clock." in screen_text(app)
        for name in ("letters", "lines", "clock"):
            await trust(pilot, name)
        assert "3" in await ask(pilot, "How often is the letter r in the word strawberry?")
        assert "4" in await ask(pilot, "How many lines does the file notes.txt have?")
        await ask(pilot, "What time is it in the time zone Asia/Tokyo?")
    results = [message for message in messages(app) if isinstance(message, ToolResult)]
    assert {result.call.name for result in results if result.ok} >= {
        "count_letter",
        "count_lines",
        "get_current_time",
    }
    assert any("Asia/Tokyo" in result.output for result in results)
