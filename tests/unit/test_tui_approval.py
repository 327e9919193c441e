"""The approval prompt: what it shows, and what each key decides."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.widgets import Input

from tests.fakes.fake_engine import Scripted
from tests.fakes.tui_engines import SteppedEngine
from tests.fakes.tui_helpers import (
    answer_approval,
    app_with,
    approval_shown,
    approvals,
    messages,
    run_turn,
    screen_text,
    submit,
    wait_idle,
    wait_until,
)
from tests.fakes.turns import ADD_2_3, PARAMETERS
from xlam_local.tui.app import XlamApp
from xlam_local.tui.widgets.approval import READ_DELAY_S
from xlam_local.types import Effect, Tool, ToolResult

WRITE = Tool(
    "add", "Add.", PARAMETERS, Effect.WRITE, lambda a, b: a + b, preview=lambda a, b: "@@ 1 @@\n+5"
)


def results(app: XlamApp) -> list[ToolResult]:
    return [message for message in messages(app) if isinstance(message, ToolResult)]


@pytest.mark.slow
async def test_the_prompt_shows_the_call_and_its_preview() -> None:
    app = app_with(Scripted(ADD_2_3, ["5"]), [WRITE])
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await submit(pilot, "2 + 3?")
        await approval_shown(pilot)
        shown = screen_text(app)
        assert "Run add?" in shown
        assert "+5" in shown
        assert "needs approval" in shown
        assert "Allow? [y] once" in shown
        await answer_approval(pilot, "y")
        assert not approvals(app)
    assert [result.output for result in results(app)] == ["5"]


@pytest.mark.slow
@pytest.mark.parametrize("key", ["enter", "escape", "n"])
async def test_enter_escape_and_n_deny_the_call(key: str) -> None:
    app = app_with(Scripted(ADD_2_3, ["No."]), [WRITE])
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await submit(pilot, "2 + 3?")
        await answer_approval(pilot, key)
        assert "✗ add  write · denied" in screen_text(app)
    assert [result.refused for result in results(app)] == [True]


@pytest.mark.slow
async def test_the_model_reads_the_reason_for_a_denial() -> None:
    app = app_with(Scripted(ADD_2_3, ["All right."]), [WRITE])
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await submit(pilot, "2 + 3?")
        await answer_approval(pilot, "r", *"Not now", "enter")
    (result,) = results(app)
    assert "Not now" in result.output


@pytest.mark.slow
async def test_escape_denies_the_call_without_the_typed_reason() -> None:
    app = app_with(Scripted(ADD_2_3, ["No."]), [WRITE])
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await submit(pilot, "2 + 3?")
        approval = await approval_shown(pilot)
        await pilot.press("r")
        assert approval.query_one("#reason", Input).has_focus
        await pilot.press(*"y", "escape")
        await wait_idle(pilot)
    (result,) = results(app)
    assert result.refused


@pytest.mark.slow
async def test_no_key_answers_before_the_call_could_be_read() -> None:
    app = app_with(Scripted(ADD_2_3, ["5"]), [WRITE])
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await submit(pilot, "2 + 3?")
        await wait_until(pilot, lambda: approvals(app))
        approvals(app)[0].shown_at += 60
        await pilot.press("y", "t", "C", "n", "enter", "r")
        assert approvals(app)
        approvals(app)[0].shown_at -= 120
        await pilot.press("n")
        await wait_idle(pilot)
    assert [result.refused for result in results(app)] == [True]
    assert READ_DELAY_S >= 0.3


@pytest.mark.slow
@pytest.mark.parametrize("keys", [["end"], ["space"] * 12, ["down"] * 100])
async def test_long_details_are_read_to_the_end_before_a_key_allows_the_call(
    keys: list[str],
) -> None:
    preview = "\n".join(f"line {number}" for number in range(80))
    long = replace(WRITE, preview=lambda a, b: preview)
    app = app_with(Scripted(ADD_2_3, ["5"]), [long])
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await submit(pilot, "2 + 3?")
        await wait_until(pilot, lambda: approvals(app))
        (approval,) = approvals(app)
        approval.shown_at -= 60
        await wait_until(pilot, lambda: "Read to the end" in screen_text(app))
        await pilot.press("y", "t", "C", "down", "c")
        assert approvals(app)
        await pilot.press(*keys)
        await wait_until(pilot, lambda: "Allow? [y] once" in screen_text(app))
        await pilot.press("home", "up", "y")
        await wait_idle(pilot)
    assert [result.output for result in results(app)] == ["5"]


async def test_the_prompt_takes_no_keys_from_a_user_who_is_typing() -> None:
    engine = SteppedEngine("", ADD_2_3[0])
    app = app_with(engine, [WRITE])
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await submit(pilot, "2 + 3?")
        await pilot.press(*"anyway")
        engine.go.release(2)
        await approval_shown(pilot)
        await pilot.press(*"yct")
        assert app.chat.prompt.text == "anywayyct"
        (approval,) = approvals(app)
        await wait_until(pilot, lambda: "tab Approval" in screen_text(app))
        await pilot.press("tab")
        assert approval.has_focus
        app.chat.prompt.focus()
        await pilot.press("escape", "escape")
        engine.go.release(9)
        await wait_idle(pilot)


@pytest.mark.slow
@pytest.mark.parametrize("key", ["t", "c"])
async def test_a_call_that_is_allowed_for_the_session_runs_without_asking(key: str) -> None:
    app = app_with(Scripted(ADD_2_3, ["5"], ADD_2_3, ["5"]), [WRITE])
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await submit(pilot, "2 + 3?")
        await answer_approval(pilot, key)
        await run_turn(pilot, "Again?")
    assert [result.ok for result in results(app)] == [True, True]


@pytest.mark.slow
async def test_a_resize_while_the_prompt_is_removed_is_ignored() -> None:
    app = app_with(Scripted(ADD_2_3, ["No."]), [WRITE])
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await submit(pilot, "2 + 3?")
        approval = await approval_shown(pilot)
        # A widget loses its children before it is gone itself, and may be drawn in between.
        for child in ("#answers", "#details"):
            await approval.query_one(child).remove()
            approval.seen_to_end = False
            approval.on_resize()
            await pilot.pause()
        await pilot.press("n")
        await wait_idle(pilot)
    assert [result.refused for result in results(app)] == [True]
