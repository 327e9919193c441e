"""The chat screen: turns, the queue, cancelling, and the actions for messages."""

from __future__ import annotations

from functools import partial

import pytest

from tests.fakes.fake_engine import Scripted
from tests.fakes.tui_engines import CrashingEngine, SteppedEngine
from tests.fakes.tui_helpers import (
    answer_approval,
    app_with,
    approval_shown,
    is_idle,
    kinds,
    messages,
    notices,
    run_turn,
    screen_text,
    submit,
    wait_idle,
    wait_until,
)
from tests.fakes.turns import ADD, ADD_2_3, PARAMETERS
from xlam_local.tui.app import XlamApp
from xlam_local.tui.rendering.entries import AnswerEntry, UserEntry
from xlam_local.tui.rendering.tool_call_card import ToolCallRow
from xlam_local.tui.widgets.status_bar import StatusBar
from xlam_local.types import AssistantMessage, Effect, Tool, ToolResult, UserMessage

ADD_WITH_APPROVAL = Tool("add", "Add.", PARAMETERS, Effect.WRITE, lambda a, b: a + b)
TWO_CALLS = [
    '[{"name": "add", "arguments": {"a": 2, "b": 3}}, ',
    '{"name": "add", "arguments": {"a": 4, "b": 5}}]',
]


@pytest.mark.slow
async def test_a_chat_shows_calls_results_and_the_answer() -> None:
    app = app_with(Scripted(ADD_2_3, ["It is ", "**5**."]), [ADD])
    async with app.run_test() as pilot:
        await run_turn(pilot, "2 + 3?")
        user, row, answer = app.chat.transcript.entries
        assert isinstance(user, UserEntry)
        assert isinstance(row, ToolCallRow)
        assert isinstance(answer, AnswerEntry)
        (card,) = row.cards
        assert card.state == "done"
        assert card.text == "5"
        shown = screen_text(app)
        assert "✓ add  read · done" in shown
        assert "a: 2" in shown
        assert "It is 5." in shown
        assert "tokens/s" in shown
    assert messages(app)[-1] == AssistantMessage("It is **5**.")


@pytest.mark.slow
async def test_calls_are_side_by_side_if_they_fit() -> None:
    app = app_with(Scripted(TWO_CALLS, ["14"]), [ADD])
    async with app.run_test(size=(120, 40)) as pilot:
        await run_turn(pilot, "2 + 3 and 4 + 5?")
        heads = [line for line in screen_text(app).splitlines() if "✓ add" in line]
        assert [line.count("✓ add") for line in heads] == [2]
        await pilot.resize_terminal(70, 40)
        heads = [line for line in screen_text(app).splitlines() if "✓ add" in line]
        assert [line.count("✓ add") for line in heads] == [1, 1]


@pytest.mark.slow
async def test_a_call_is_shown_while_it_is_written() -> None:
    text = '{"name": "add", "arguments": {"a": 12, "b": 34}}'
    engine = SteppedEngine(*f"[{text}]")
    app = app_with(engine, [ADD])
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await submit(pilot, "12 + 34?")
        engine.go.release(len('[{"name": "add", "arguments": {"a": 12, "b"') + 1)
        await wait_until(pilot, lambda: "a: 12" in screen_text(app))
        assert "… add  read · writing" in screen_text(app)
        assert "b:" not in screen_text(app)
        await pilot.press("escape")
        engine.go.release()
        await wait_idle(pilot)
        assert "writing" not in screen_text(app)


@pytest.mark.slow
async def test_an_answer_is_shown_while_it_is_written() -> None:
    engine = SteppedEngine("one ", "two ", "three\n\n", "four")
    app = app_with(engine)
    async with app.run_test(size=(80, 20)) as pilot:
        await wait_idle(pilot)
        await submit(pilot, "Count.")
        for text in ("one", "one two", "one two three", "four"):
            engine.go.release()
            await wait_until(pilot, partial(is_shown, app, text))
            assert "Count." in screen_text(app)
        await wait_idle(pilot)


def is_shown(app: XlamApp, text: str) -> bool:
    return text in screen_text(app)


@pytest.mark.slow
async def test_escape_cancels_the_turn_and_keeps_the_partial_answer() -> None:
    engine = SteppedEngine()
    app = app_with(engine)
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await submit(pilot, "Talk.")
        engine.go.release()
        await wait_until(pilot, lambda: "on" in (app.chat.last_answer() or ""))
        await pilot.press("escape")
        engine.go.release()
        await wait_idle(pilot)
        assert "Cancelled." in screen_text(app)
    assert engine.closed == 1
    assert kinds(messages(app)) == ["UserMessage", "AssistantMessage"]


@pytest.mark.slow
async def test_ctrl_c_cancels_the_turn_and_quits_when_pressed_again() -> None:
    engine = SteppedEngine()
    app = app_with(engine)
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await submit(pilot, "Talk.")
        await pilot.press("ctrl+c")
        engine.go.release()
        await wait_idle(pilot)
        assert not app.quitting
        await pilot.press("ctrl+c")
        await wait_until(pilot, lambda: app.quitting)


@pytest.mark.slow
async def test_quitting_denies_the_open_approval_and_ends_the_turn() -> None:
    app = app_with(Scripted(ADD_2_3, ADD_2_3, ["5"]), [ADD_WITH_APPROVAL])
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await submit(pilot, "2 + 3?")
        await approval_shown(pilot)
        turn = app.controller.turn
        assert turn is not None
        await pilot.press("ctrl+q")
        await wait_until(pilot, lambda: turn.finished)
    assert any(isinstance(m, ToolResult) and not m.ok for m in messages(app))


async def test_a_poll_after_the_end_of_the_app_shows_nothing() -> None:
    engine = SteppedEngine()
    app = app_with(engine)
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await submit(pilot, "Talk.")
        turn = app.controller.turn
        assert turn is not None
    turn.cancel()
    engine.go.release()
    turn.wait(5)
    assert not app.chat.query(StatusBar)
    app.poll()
    assert app.controller.turn is turn


@pytest.mark.slow
async def test_a_message_during_a_turn_is_queued() -> None:
    engine = SteppedEngine("Hello.")
    app = app_with(engine)
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await submit(pilot, "One")
        await submit(pilot, "Two")
        assert "queued: Two" in screen_text(app)
        engine.go.release(2)
        await wait_until(pilot, lambda: is_idle(app) and len(messages(app)) == 4)
        assert "queued" not in screen_text(app)
    assert [m.text for m in messages(app) if isinstance(m, UserMessage)] == ["One", "Two"]


@pytest.mark.slow
async def test_cancelling_moves_the_queue_back_into_the_prompt() -> None:
    engine = SteppedEngine()
    app = app_with(engine)
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await submit(pilot, "One")
        await submit(pilot, "Two")
        await pilot.press("escape")
        engine.go.release()
        await wait_idle(pilot)
        assert app.chat.prompt.text == "Two"


@pytest.mark.slow
async def test_a_crash_is_shown_with_the_key_to_retry() -> None:
    app = app_with(CrashingEngine(["Hello."]))
    async with app.run_test() as pilot:
        await run_turn(pilot, "Hi")
        assert "signal 11" in screen_text(app)
        assert "Ctrl+G" in screen_text(app)
        await pilot.press("ctrl+g")
        await wait_until(pilot, lambda: is_idle(app) and app.chat.last_answer() == "Hello.")
    assert messages(app) == [UserMessage("Hi"), AssistantMessage("Hello.")]


@pytest.mark.slow
async def test_the_reason_is_shown_if_a_turn_ends_without_an_answer() -> None:
    app = app_with(Scripted(ADD_2_3, ADD_2_3, ADD_2_3, [""]), [ADD])
    async with app.run_test() as pilot:
        await run_turn(pilot, "2 + 3?")
        assert "repeated the same tool calls" in notices(app)[-1]


async def test_an_answer_after_a_limit_is_shown_with_the_reason_and_without_an_error() -> None:
    app = app_with(Scripted(ADD_2_3, ADD_2_3, ADD_2_3, ["It is 5."]), [ADD])
    async with app.run_test() as pilot:
        await run_turn(pilot, "2 + 3?")
        assert app.chat.last_answer() == "It is 5."
        assert (
            "The model repeated the same tool calls. The model answers without further tool calls."
        ) in notices(app)
        assert not any("without an answer" in notice for notice in notices(app))


@pytest.mark.slow
async def test_an_edited_message_replaces_the_old_one_and_a_copy_is_saved() -> None:
    app = app_with(Scripted(["One."], ["Two."], ["Three."]))
    async with app.run_test() as pilot:
        await run_turn(pilot, "Say one.")
        await run_turn(pilot, "Say two.")
        await pilot.press("f6", "home", "up", "up", "up", "up", "e")
        assert app.chat.prompt.text == "Say one."
        app.chat.prompt.set_text("Say three.")
        await pilot.press("enter")
        await wait_until(pilot, lambda: is_idle(app) and app.chat.last_answer() == "Three.")
        assert messages(app) == [UserMessage("Say three."), AssistantMessage("Three.")]
        history = app.controller.conversation.history
        assert history is not None
        assert [summary.messages for summary in history.summaries()] == [2, 4]


@pytest.mark.slow
async def test_a_branch_continues_in_a_copy() -> None:
    app = app_with(Scripted(ADD_2_3, ["One."], ["Two."]), [ADD])
    async with app.run_test() as pilot:
        await run_turn(pilot, "Say one.")
        await pilot.press("f6", "up", "b")
        await wait_until(pilot, lambda: "This is a copy" in screen_text(app))
        assert kinds(messages(app)) == ["UserMessage", "ToolCalls", "ToolResult"]
        app.chat.prompt.focus()
        await run_turn(pilot, "And two.")
        history = app.controller.conversation.history
        assert history is not None
        assert [summary.messages for summary in history.summaries()] == [5, 4]


@pytest.mark.slow
async def test_ctrl_g_sends_the_last_message_again() -> None:
    app = app_with(Scripted(["One."], ["Two."]))
    async with app.run_test() as pilot:
        await run_turn(pilot, "Say something.")
        await pilot.press("ctrl+g")
        await wait_until(pilot, lambda: is_idle(app) and app.chat.last_answer() == "Two.")
    assert messages(app) == [UserMessage("Say something."), AssistantMessage("Two.")]


@pytest.mark.slow
async def test_a_call_is_run_again_without_the_model() -> None:
    sums = iter([5, 6])
    add = Tool("add", "", PARAMETERS, Effect.READ, lambda a, b: next(sums))
    app = app_with(Scripted(ADD_2_3, ["5"]), [add])
    async with app.run_test() as pilot:
        await run_turn(pilot, "2 + 3?")
        await pilot.press("f6", "up", "x")
        await wait_until(pilot, lambda: is_idle(app) and len(messages(app)) == 6)
        rows = [e for e in app.chat.transcript.entries if isinstance(e, ToolCallRow)]
        assert [card.text for row in rows for card in row.cards] == ["5", "6"]
        await pilot.press("up", "x")
        shown = [notification.message for notification in app._notifications]
        assert shown == ["Only a tool call can be run again."]
    assert kinds(messages(app))[3:] == ["AssistantMessage", "ToolCalls", "ToolResult"]


@pytest.mark.slow
async def test_a_call_that_is_run_again_needs_approval_again() -> None:
    app = app_with(Scripted(ADD_2_3, ["5"]), [ADD_WITH_APPROVAL])
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await submit(pilot, "2 + 3?")
        await answer_approval(pilot, "y")
        await pilot.press("f6", "up", "x")
        await answer_approval(pilot, "n")
    results = [m for m in messages(app) if isinstance(m, ToolResult)]
    assert [m.refused for m in results] == [False, True]
    assert len({m.call.id for m in results}) == 2
