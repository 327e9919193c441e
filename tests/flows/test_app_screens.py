"""The app's screens with a real model: one of random weights, which loads fast."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest
from textual.widgets import Select

from tests.fakes.tui_helpers import (
    App,
    app_of,
    app_with_model,
    screen_text,
    submit,
    wait_idle,
    wait_until,
)
from xlam_local.history import History
from xlam_local.tui.commands import COMMANDS
from xlam_local.tui.screens.history import HistoryScreen
from xlam_local.tui.screens.settings import SettingsScreen
from xlam_local.tui.widgets.key_bar import KeyBar
from xlam_local.types import AssistantMessage, Effect, Schema, Tool, UserMessage


def save_conversations(folder: Path) -> None:
    with closing(History(folder / "data" / "history.db")) as history:
        for thing in ("milk", "bread", "butter"):
            question = UserMessage(f"Where is the {thing}?")
            history.import_messages("", [question, AssistantMessage("In the kitchen.")])


def footer(pilot: App) -> str:
    """Return the text of the footer of the screen on top."""
    region = app_of(pilot).screen.query_one(KeyBar).region
    return screen_text(app_of(pilot)).split("\n")[region.y]


@pytest.mark.slow
async def test_typing_in_the_history_filters_at_once(own_folders: Path, qwen_path: Path) -> None:
    save_conversations(own_folders)
    app = app_with_model(qwen_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_idle(pilot)
        await pilot.press("ctrl+r", *"butt")
        await wait_until(pilot, lambda: "1 conversation" in screen_text(app))
        assert "milk" not in screen_text(app)
        await pilot.press(*["backspace"] * 4)
        await wait_until(pilot, lambda: "3 conversations" in screen_text(app))
        await pilot.press("down", "down", *"milk", "enter")
        await wait_until(pilot, lambda: app.screen is app.chat)
        assert app.controller.conversation.messages[0] == UserMessage("Where is the milk?")


@pytest.mark.slow
async def test_the_footer_of_the_history_has_only_the_keys_that_apply(
    own_folders: Path, qwen_path: Path
) -> None:
    save_conversations(own_folders)
    app = app_with_model(qwen_path)
    async with app.run_test(size=(120, 30)) as pilot:
        await wait_idle(pilot)
        await pilot.press("ctrl+r")
        await wait_until(pilot, lambda: "Rename" in footer(pilot))
        assert isinstance(app.screen, HistoryScreen)
        assert "Open" in footer(pilot)
        await pilot.press("tab", "tab")
        await wait_until(pilot, lambda: "Copy" in footer(pilot))
        assert not any(word in footer(pilot) for word in ("Open", "Retry", "Edit", "Branch"))
        await pilot.press("f9")
        await wait_until(pilot, lambda: "Save the title" in footer(pilot))
        assert not any(word in footer(pilot) for word in ("Open", "Delete", "Export"))
        await pilot.press(*" again", "enter")
        await wait_until(pilot, lambda: "again" in screen_text(app))
        await pilot.press("tab", "tab", "up", "c")
        await wait_until(pilot, lambda: app._notifications)


@pytest.mark.slow
async def test_settings_with_known_values_are_chosen_from_a_list(
    own_folders: Path, qwen_path: Path
) -> None:
    app = app_with_model(qwen_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_idle(pilot)
        await pilot.press("f4")
        await wait_until(pilot, lambda: app.screen.query(Select))
        chosen = {select.id for select in app.screen.query(Select).results(Select)}
        assert chosen == {
            f"set-{name}"
            for name in (
                *("model", "preset", "kv_cache_type", "auto_downgrade", "strict_context", "theme"),
            )
        }
        app.screen.query_one("#set-strict_context").focus()
        await pilot.press("enter", "up", "enter")
        await wait_until(pilot, lambda: "Saved strict_context" in screen_text(app))
        app.screen.query_one("#set-theme").focus()
        await pilot.press("enter", *"nord", "enter")
        await wait_until(pilot, lambda: app.theme == "nord")
        await pilot.press("enter")
        await wait_until(pilot, lambda: "rose-pine-moon" in screen_text(app))
        await pilot.press("escape")
        await wait_until(pilot, lambda: "rose-pine-moon" not in screen_text(app))
        assert isinstance(app.screen, SettingsScreen)
        await pilot.press("escape")
        await wait_until(pilot, lambda: app.screen is app.chat)
    saved = (own_folders / "config" / "config.toml").read_text()
    assert saved == 'strict_context = true\ntheme = "nord"\n'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "context"), [("s", "context = 4096\n"), ("d", None), ("escape", None)]
)
async def test_settings_that_are_not_saved_are_not_discarded_without_asking(
    own_folders: Path, qwen_path: Path, key: str, context: str | None
) -> None:
    app = app_with_model(qwen_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_idle(pilot)
        await pilot.press("f4", "down", *["backspace"] * 4, *"4096")
        for leaving in ("escape", "f2", "f4", "ctrl+r"):
            await pilot.press(leaving)
            await wait_until(pilot, lambda: "Not saved yet: context." in screen_text(app))
            await pilot.press("escape")
            await wait_until(pilot, lambda: "Not saved yet" not in screen_text(app))
            assert isinstance(app.screen, SettingsScreen)
        await pilot.press("escape", key)
        on_settings = key == "escape"
        await wait_until(pilot, lambda: isinstance(app.screen, SettingsScreen) is on_settings)
    config = own_folders / "config" / "config.toml"
    assert (config.read_text() if config.exists() else None) == context


KEYS = ("Help", "Models", "Tools", "Settings", "Statistics", "History")


@pytest.mark.slow
@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_the_last_line_shows_the_keys_that_matter_now(
    qwen_path: Path, size: tuple[int, int]
) -> None:
    app = app_with_model(qwen_path, max_tokens=2000, context=4096)
    async with app.run_test(size=size) as pilot:
        await wait_idle(pilot)
        await wait_until(pilot, lambda: all(name in footer(pilot) for name in KEYS))
        await wait_until(pilot, lambda: "Cancel" not in footer(pilot))
        assert ("palette" in footer(pilot)) is (size[0] == 200)
        await submit(pilot, "Write something.")
        await wait_until(pilot, lambda: footer(pilot).startswith("esc Cancel"))
        await pilot.press("escape")
        await wait_until(pilot, lambda: "Cancel" not in footer(pilot))
        await pilot.press("f6")
        await wait_until(pilot, lambda: "Retry" in footer(pilot))
        await pilot.resize_terminal(60, 24)
        await wait_until(pilot, lambda: "Statistics" not in footer(pilot))
        assert all(len(line) <= 60 for line in screen_text(app).splitlines())
        await pilot.press("f2")
        await wait_until(pilot, lambda: "Back" in footer(pilot))


async def test_the_list_of_commands_says_how_many_there_are(qwen_path: Path) -> None:
    app = app_with_model(qwen_path)
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await pilot.press("/")
        count = len(COMMANDS)
        await wait_until(pilot, lambda: f"1 to 8 of {count}" in screen_text(app))
        await pilot.press("up")
        await wait_until(pilot, lambda: f"{count - 7} to {count} of {count}" in screen_text(app))
        await pilot.press(*"mod")
        await wait_until(pilot, lambda: " of " not in screen_text(app).partition("/model")[2])


LONG_NAME = "an_extraordinarily_long_name_of_a_tool_that_fits_nowhere"


def long_tool(name: str) -> Tool:
    schema: Schema = {
        "type": "object",
        "properties": {"a_rather_long_name_of_a_parameter": {"type": "string", "format": "date"}},
        "additionalProperties": False,
    }
    return Tool(name, "Do it.", schema, Effect.READ, lambda **_: "done")


@pytest.mark.slow
async def test_names_are_cut_in_the_middle_and_figures_stay_in_their_row(
    qwen_path: Path,
) -> None:
    tools = [long_tool("short"), long_tool(LONG_NAME)]
    app = app_with_model(qwen_path, tools)
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_idle(pilot)
        await pilot.press("f3")
        await wait_until(pilot, lambda: "tokens in total" in screen_text(app))
        rows = [line.partition("│")[0] for line in screen_text(app).splitlines()]
        (row,) = [row for row in rows if row.strip().startswith("● an_extra")]
        assert re.fullmatch(r" *● an_extra\w*…\w+_nowhere read +\d+ *", row)
        await pilot.press("down")
        await wait_until(pilot, lambda: "Keywords" in screen_text(app))
        await pilot.press("f2")
        await wait_until(pilot, lambda: re.search("available +[0-9.]+ GiB", screen_text(app)))
        details = [line.partition("│")[2].strip() for line in screen_text(app).splitlines()]
        figures = [line for line in details if re.search("[0-9.]+ GiB$", line)]
        assert len(figures) >= 5
        assert all(re.match("[A-Za-z]", line) for line in figures)


@pytest.mark.slow
@pytest.mark.parametrize(("columns", "shown"), [(80, False), (149, False), (200, True)])
async def test_a_wide_terminal_shows_the_context_and_the_tools(
    qwen_path: Path, columns: int, shown: bool
) -> None:
    app = app_with_model(qwen_path, [long_tool("look_around")])
    async with app.run_test(size=(columns, 50)) as pilot:
        await wait_idle(pilot)
        await wait_until(pilot, lambda: ("Tools offered   1" in screen_text(app)) is shown)
        assert ("read     look_around" in screen_text(app)) is shown
        await pilot.press("f5")
        await wait_until(pilot, lambda: ("Tools offered   1" in screen_text(app)) is not shown)
        await pilot.resize_terminal(120, 40)
        await pilot.pause()
        assert ("Tools offered" in screen_text(app)) is not shown
