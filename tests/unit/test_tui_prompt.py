"""The prompt: past prompts, line breaks, pasted text, completions and attached files."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.events import Paste

from tests.fakes.fake_engine import Scripted
from tests.fakes.tui_helpers import (
    app_with,
    is_idle,
    messages,
    run_turn,
    screen_text,
    submit,
    wait_idle,
    wait_until,
)
from xlam_local.errors import UsageError
from xlam_local.tui.screens.help import HelpScreen
from xlam_local.tui.state.attachments import attach_files
from xlam_local.tui.widgets.completions import Completions
from xlam_local.tui.widgets.prompt_input import COMPLETION_KEYS
from xlam_local.types import UserMessage


@pytest.mark.slow
async def test_the_arrow_keys_recall_prompts_and_other_keys_break_lines() -> None:
    app = app_with(Scripted(["1"], ["2"]))
    async with app.run_test() as pilot:
        await run_turn(pilot, "One")
        await run_turn(pilot, "Two")
        prompt = app.chat.prompt
        await pilot.press(*"draft", "up")
        assert prompt.text == "Two"
        await pilot.press("up", "up")
        assert prompt.text == "One"
        await pilot.press("down", "down")
        assert prompt.text == "draft"
        await pilot.press("ctrl+j", *"x", "shift+enter", *"y")
        assert prompt.text == "draft\nx\ny"


async def test_a_long_pasted_text_is_a_placeholder_until_it_is_sent() -> None:
    pasted = "many words\n" * 1000
    app = app_with(Scripted(["1"]))
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        prompt = app.chat.prompt
        prompt.post_message(Paste(pasted))
        await wait_until(pilot, lambda: prompt.text)
        assert prompt.text == "[pasted text 1: 1,001 lines]"
        await pilot.press("enter")
        await wait_until(pilot, lambda: is_idle(app) and len(messages(app)) == 2)
    assert messages(app)[0] == UserMessage(pasted.strip())


@pytest.mark.slow
async def test_a_completed_command_without_an_argument_is_run() -> None:
    app = app_with(Scripted(["One."]))
    async with app.run_test() as pilot:
        await run_turn(pilot, "Hi")
        await pilot.press(*"/ne")
        completions = app.chat.query_one(Completions)
        assert [choice.word for choice in completions.choices] == ["/new"]
        await pilot.press("tab")
        await wait_until(pilot, lambda: not messages(app))
        assert app.chat.prompt.text == ""
        await pilot.press(*"/", "down", "escape")
        assert not completions.display
        assert app.chat.prompt.text == "/"


@pytest.mark.slow
async def test_a_file_after_an_at_sign_is_attached(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("Buy milk.\n")
    (tmp_path / "large.txt").write_text("x" * 300_000)
    app = app_with(Scripted(["One."]), folder=tmp_path)
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await pilot.press(*"What is in @no", "tab", "enter")
        await wait_until(pilot, lambda: is_idle(app) and messages(app))
        assert messages(app)[0] == UserMessage(
            "What is in @notes.md\n\nnotes.md:\n```\nBuy milk.\n```", ("notes.md",)
        )
        await submit(pilot, "And @large.txt")
        await wait_until(pilot, lambda: "larger than 200,000 bytes" in screen_text(app))
        assert app.chat.prompt.text == "And @large.txt"


def test_the_fence_of_an_attached_file_is_longer_than_those_in_it(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("```\ncode\n```\n")
    (tmp_path / "b.bin").write_bytes(b"\xff\xfe\x00")
    message = attach_files("See @a.md and me@a.md.", tmp_path)
    assert message.text.endswith("a.md:\n````\n```\ncode\n```\n````")
    assert message.attachments == ("a.md",)
    assert attach_files("mail @nobody", tmp_path) == UserMessage("mail @nobody")
    with pytest.raises(UsageError, match="not UTF-8"):
        attach_files("@b.bin", tmp_path)


async def test_keys_that_are_typed_at_once_complete_what_is_typed() -> None:
    app = app_with(Scripted(["One."]))
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        prompt = app.chat.prompt
        prompt.insert("/he")
        await wait_until(pilot, lambda: prompt.completing)
        # The rest is typed and submitted before its completions are shown.
        prompt.insert("lp")
        prompt.post_message(COMPLETION_KEYS["enter"])
        await wait_until(pilot, lambda: isinstance(app.screen, HelpScreen))
        assert not messages(app)


async def test_pasted_lines_are_counted_with_any_line_break() -> None:
    app = app_with(Scripted(["One."]))
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        for text in ("words\n" * 1000, "words\r" * 1000, "words\r\n" * 1000):
            app.chat.prompt.post_message(Paste(text))
            await wait_until(pilot, lambda: "1,001 lines]" in app.chat.prompt.text)
            app.chat.prompt.clear()
