"""What the app does without a model, and that it notices tool files that appear."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from tests.fakes.tui_helpers import (
    App,
    app_of,
    app_with_model,
    is_idle,
    notices,
    screen_text,
    wait_idle,
    wait_long,
    wait_until,
)
from xlam_local import config
from xlam_local.history import History
from xlam_local.tools import Toolbox, ToolPaths
from xlam_local.tui.screens.history import HistoryScreen
from xlam_local.tui.screens.models import ModelsScreen
from xlam_local.tui.screens.tools import ToolsScreen
from xlam_local.types import AssistantMessage, UserMessage

TOOL = """
[[tool]]
name = "count_lines"
description = "Count the lines of a file."
command = ["wc", "-l", "{path}"]
effect = "read"
[tool.parameters]
path = {type = "string", format = "path", description = "The file."}
"""


def open_toolbox() -> Toolbox:
    folders = config.folders()
    return Toolbox.open(ToolPaths(folders.config, folders.data, folders.state, Path("/notes")))


async def leave_models(pilot: App) -> None:
    """Wait for the models screen, which opens without a model, and leave it."""
    app = app_of(pilot)
    await wait_until(pilot, lambda: isinstance(app.screen, ModelsScreen))
    await pilot.press("escape")
    await wait_until(pilot, lambda: app.screen is app.chat)


def flat_screen(pilot: App) -> str:
    return " ".join(screen_text(app_of(pilot)).split())


async def test_without_a_model_the_text_above_the_chat_says_what_to_press(
    own_folders: Path,
) -> None:
    app = app_with_model(Path("xlam-2-1b"))
    async with app.run_test(size=(100, 30)) as pilot:
        await leave_models(pilot)
        for words in ("F2 shows the models", "d the demo", "tools (F3)", "history (Ctrl+R)"):
            assert words in flat_screen(pilot)


@pytest.mark.slow
async def test_tools_and_history_are_shown_without_a_model(own_folders: Path) -> None:
    with closing(History(own_folders / "data" / "history.db")) as history:
        history.import_messages("", [UserMessage("Milk?"), AssistantMessage("In the fridge.")])
    app = app_with_model(Path("xlam-2-1b"), open_toolbox)
    async with app.run_test(size=(100, 30)) as pilot:
        await leave_models(pilot)
        await pilot.press("f3")
        await wait_until(pilot, lambda: "calculate" in screen_text(app))
        assert isinstance(app.screen, ToolsScreen)
        assert "their tokens are not known now" in screen_text(app)
        await pilot.press("down")
        await wait_until(pilot, lambda: "Policy" in screen_text(app))
        assert "allowed" in screen_text(app)
        await pilot.press("ctrl+r", *"milk")
        await wait_until(pilot, lambda: "In the fridge." in screen_text(app))
        await pilot.press("enter")
        await wait_until(pilot, lambda: "No model is loaded. Press F2" in screen_text(app))
        assert isinstance(app.screen, HistoryScreen)


@pytest.mark.slow
async def test_tool_files_and_servers_that_appear_are_noticed(
    own_folders: Path, qwen_path: Path
) -> None:
    folder = own_folders / "config"
    app = app_with_model(qwen_path, open_toolbox)
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_idle(pilot)
        (folder / "tools").mkdir(parents=True)
        (folder / "tools" / "lines.toml").write_text(TOOL)
        await wait_long(pilot, lambda: any("Not trusted yet: lines." in n for n in notices(app)))
        servers = {"mcpServers": {"clock": {"command": "mcp-server-time"}}}
        (folder / "mcp.json").write_text(json.dumps(servers))
        await wait_long(pilot, lambda: any("Not trusted yet: clock." in n for n in notices(app)))
        (folder / "tools" / "broken.toml").write_text("[[tool]]\nname = 3")
        await wait_long(pilot, lambda: any("cannot be used: broken." in n for n in notices(app)))
        (folder / "tools" / "lines.toml").write_text(TOOL.replace("Count", "Tell"))
        await wait_long(pilot, lambda: sum("yet: lines." in n for n in notices(app)) == 2)
        await pilot.press("f3")
        await wait_until(pilot, lambda: "lines" in screen_text(app))
        (folder / "tools" / "broken.toml").unlink()
        await wait_long(pilot, lambda: "broken" not in screen_text(app))
        assert is_idle(app)
        assert len(notices(app)) == 4
