"""Saved conversations in the app: recording, the history screen, a damaged file."""

from __future__ import annotations

import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.fakes.fake_engine import Scripted
from tests.fakes.tui_engines import SteppedEngine
from tests.fakes.tui_helpers import (
    app_with,
    messages,
    run_turn,
    screen_text,
    submit,
    wait_idle,
    wait_until,
)
from xlam_local.history import History
from xlam_local.tui.app import XlamApp
from xlam_local.types import AssistantMessage, Effect, Tool, ToolResult, UserMessage


@pytest.mark.slow
async def test_conversations_are_saved_unless_they_are_ephemeral(own_folders: Path) -> None:
    for ephemeral in (True, False):
        app = app_with(Scripted(["Hello."]), ephemeral=ephemeral)
        async with app.run_test() as pilot:
            await run_turn(pilot, "Hi")
        exists = (own_folders / "data" / "history.db").exists()
        assert exists is not ephemeral
    history = History(own_folders / "data" / "history.db")
    (summary,) = history.summaries()
    assert history.messages(summary.id) == [UserMessage("Hi"), AssistantMessage("Hello.")]
    assert summary.model == "scripted"
    history.close()


@pytest.mark.slow
async def test_a_damaged_history_is_reported_and_replaced(own_folders: Path) -> None:
    (own_folders / "data").mkdir(parents=True)
    (own_folders / "data" / "history.db").write_bytes(b"no database" * 1000)
    app = app_with(Scripted(["Hello."]))
    async with app.run_test() as pilot:
        await run_turn(pilot, "Hi")
        assert "damaged" in screen_text(app).replace("\n", " ")
        assert app.controller.conversation.id is not None


@pytest.mark.slow
async def test_conversations_are_renamed_exported_and_deleted(
    own_folders: Path, tmp_path: Path
) -> None:
    history = History(own_folders / "data" / "history.db")
    for text in ("Milk?", "Bread?"):
        history.import_messages("", [UserMessage(text), AssistantMessage("In the fridge.")])
    app = app_with(Scripted(), folder=tmp_path)
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await pilot.press("ctrl+r")
        await wait_until(pilot, lambda: "Bread?" in screen_text(app))
        title = history.summaries()[0].title
        await pilot.press("f9", *["backspace"] * len(title), *"Food", "enter")
        await wait_until(pilot, lambda: "2 conversations" in screen_text(app))
        assert history.summaries()[0].title == "Food"
        await pilot.press("f7")
        await wait_until(pilot, (tmp_path / "food.md").exists)
        await pilot.press("f8")
        assert len(history.summaries()) == 2
        await pilot.press("f8")
        await wait_until(pilot, lambda: "1 conversation" in screen_text(app))
    assert [summary.title for summary in history.summaries()] != ["Food"]
    history.close()


@pytest.mark.slow
async def test_an_exported_conversation_is_imported(tmp_path: Path) -> None:
    app = app_with(Scripted(["Hello."]), folder=tmp_path)
    async with app.run_test() as pilot:
        await run_turn(pilot, "Hi")
        app.run_command("export", "hi.json")
        app.run_command("new")
        assert not app.controller.conversation.messages
        app.run_command("import", "hi.json")
        expected = [UserMessage("Hi"), AssistantMessage("Hello.")]
        assert app.controller.conversation.messages == expected
        app.run_command("export", "hi.json")
        app.run_command("export", "hi.txt")
        await pilot.pause()
        first, second = (notification.message for notification in app._notifications)
        assert "hi.json already exists" in first
        assert second == "hi.txt must end in .md, .json, .jsonl."


LONG = Tool("look", "", {"type": "object"}, Effect.READ, lambda: "SECRET " * 20_000)


@pytest.mark.slow
@pytest.mark.parametrize("ephemeral", [False, True])
async def test_an_ephemeral_conversation_saves_no_result_either(
    own_folders: Path, ephemeral: bool
) -> None:
    replies = ['[{"name": "look", "arguments": {}}]'], ["Seen."]
    app = app_with(Scripted(*replies, context_size=4096), [LONG], ephemeral=ephemeral)
    async with app.run_test() as pilot:
        await run_turn(pilot, "Look.")
        (result,) = [one for one in messages(app) if isinstance(one, ToolResult)]
        assert len(result.output) < 100_000
    files = [path for path in own_folders.rglob("*") if path.is_file()]
    saved = [path for path in files if b"SECRET" in path.read_bytes()]
    assert bool(saved) is not ephemeral
    assert not ephemeral or files == []


@pytest.mark.slow
async def test_what_a_turn_has_written_is_saved_when_the_terminal_is_gone(
    own_folders: Path,
) -> None:
    engine = SteppedEngine()
    app = app_with(engine)
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await submit(pilot, "Count.")
        engine.go.release(3)
        await wait_until(pilot, lambda: "on on on" in screen_text(app))
        start = time.monotonic()
        app.controller.abandon()
        assert time.monotonic() - start < 1
        with closing(History(own_folders / "data" / "history.db")) as history:
            (summary,) = history.summaries()
            said = history.messages(summary.id)
        assert said[0] == UserMessage("Count.")
        assert isinstance(said[1], AssistantMessage)
        assert said[1].text.startswith("on on on")


async def test_a_history_that_cannot_be_written_is_shown_and_not_continued(
    own_folders: Path,
) -> None:
    path = own_folders / "data" / "history.db"
    with closing(History(path)) as history:
        history.import_messages("", [UserMessage("Where is the milk?"), AssistantMessage("Here.")])
    path.with_name("history.db.lock").unlink()
    path.with_name("history.db.lock").mkdir()
    app = app_with(Scripted(["One."], ["Two."]))
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await wait_until(pilot, lambda: "conversation is not saved" in screen_text(app))
        app.controller.conversation.resume(1)
        await run_turn(pilot, "Again?")
        assert messages(app)[0] == UserMessage("Where is the milk?")
        assert "cannot be written" not in screen_text(app).partition("Again?")[2]


def shows(app: XlamApp, words: str) -> bool:
    return words in screen_text(app)


@pytest.mark.slow
async def test_answers_are_rated_and_exported_in_the_history(tmp_path: Path) -> None:
    app = app_with(Scripted(["Hello."]), folder=tmp_path)
    async with app.run_test() as pilot:
        await run_turn(pilot, "Hi")
        history = app.controller.conversation.history
        assert history is not None
        (summary,) = history.summaries()
        await pilot.press("ctrl+r")
        await wait_until(pilot, lambda: "1 conversation" in screen_text(app))
        await pilot.press("ctrl+o")
        await wait_until(pilot, lambda: "nothing to export" in screen_text(app))
        for words in ("rated up", "rated down", "not rated", "rated up"):
            await pilot.press("ctrl+l")
            await wait_until(pilot, partial(shows, app, words))
        assert history.ratings(summary.id) == {1: 1}
        await pilot.press("ctrl+o")
        await wait_until(pilot, lambda: "Training rows: 1" in screen_text(app))
    (folder,) = tmp_path.glob("training-*")
    assert "Hello." in (folder / "train.jsonl").read_text()
    assert (folder / "REPORT.md").exists()
