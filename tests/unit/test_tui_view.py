"""The layout: scrolling, expanding, screens that keys open, small terminals."""

from __future__ import annotations

import pytest

from tests.fakes.fake_engine import Scripted
from tests.fakes.tui_engines import SteppedEngine
from tests.fakes.tui_helpers import (
    app_with,
    run_turn,
    screen_text,
    submit,
    wait_idle,
    wait_until,
)
from tests.fakes.turns import ADD_2_3, PARAMETERS
from xlam_local.types import Effect, Tool


@pytest.mark.slow
async def test_the_end_stays_in_view_until_the_user_scrolls_up() -> None:
    engine = SteppedEngine()
    app = app_with(engine)
    async with app.run_test(size=(80, 20)) as pilot:
        await wait_idle(pilot)
        await submit(pilot, "Talk.")
        transcript = app.chat.transcript
        engine.go.release(700)
        await wait_until(pilot, lambda: len(app.chat.last_answer() or "") > 2000)
        assert transcript.following
        assert transcript.scroll_offset.y == transcript.max_scroll_y > 0
        await pilot.press("pageup")
        top = transcript.scroll_offset.y
        assert not transcript.following
        engine.go.release(300)
        await wait_until(pilot, lambda: len(app.chat.last_answer() or "") > 2900)
        assert transcript.scroll_offset.y == top
        await pilot.press("ctrl+end")
        assert transcript.following
        await pilot.press("escape")
        engine.go.release()
        await wait_idle(pilot)


@pytest.mark.slow
async def test_a_long_result_is_collapsed_until_enter_is_pressed() -> None:
    lines = "\n".join(f"line {number}" for number in range(30))
    noisy = Tool("add", "", PARAMETERS, Effect.READ, lambda a, b: lines)
    app = app_with(Scripted(ADD_2_3, ["ok"]), [noisy])
    async with app.run_test(size=(80, 50)) as pilot:
        await run_turn(pilot, "2 + 3?")
        assert "(30 lines; Enter shows all)" in screen_text(app)
        assert "line 29" not in screen_text(app)
        await pilot.press("f6", "up", "enter")
        await pilot.pause()
        assert "line 29" in screen_text(app)


async def test_a_view_that_is_drawn_before_a_resize_event_is_laid_out() -> None:
    app = app_with(Scripted(["One."]))
    async with app.run_test() as pilot:
        await run_turn(pilot, "Hi")
        transcript = app.chat.transcript
        transcript._stale, transcript._placed, transcript._ends = True, [], []
        transcript.refresh()
        await wait_until(pilot, lambda: "One." in screen_text(app))


@pytest.mark.slow
async def test_a_terminal_that_is_too_small_shows_the_size_it_needs() -> None:
    app = app_with(Scripted())
    async with app.run_test(size=(30, 8)) as pilot:
        await pilot.pause()
        shown = " ".join(screen_text(app).split())
        assert "30 by 8 is too small; the app needs 40 by 10." in shown
        await pilot.resize_terminal(80, 24)
        assert "too small" not in screen_text(app)
        await pilot.press("h", "i")
        assert app.chat.prompt.text == "hi"
        await pilot.resize_terminal(20, 5)
        await pilot.press("x")
        await pilot.resize_terminal(100, 30)
        await pilot.press("!")
        assert app.chat.prompt.text == "hi!"


@pytest.mark.slow
@pytest.mark.parametrize("key", ["f1", "f2", "f3", "f4", "ctrl+r"])
async def test_the_key_that_opens_a_screen_closes_it(key: str) -> None:
    app = app_with(Scripted())
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        for is_open in (True, False, True):
            await pilot.press(key)
            assert (app.screen is not app.chat) is is_open
