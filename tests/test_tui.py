from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from xlam_local.errors import ModelMissing
from xlam_local.gbnf import Grammar
from xlam_local.session import Session
from xlam_local.tui.app import XlamApp
from xlam_local.tui.approval import Approval
from xlam_local.tui.widgets import Answered, Card, Note, Said, Writing
from xlam_local.types import (
    Answer,
    Effect,
    End,
    Prefill,
    Prompt,
    Result,
    Sampling,
    Tool,
    User,
)

from .scripted import Scripted
from .test_agent import ADD, ADD_2_3, PARAMETERS

WRITE = Tool("add", "Add.", PARAMETERS, Effect.WRITE, lambda a, b: a + b)


async def wait_until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    for _ in range(500):
        if condition():
            return
        await pilot.pause(0.01)
    raise AssertionError("It did not happen.")


def app_with(session: Session) -> XlamApp:
    return XlamApp(lambda: session, Path("/folder"))


def ready(app: XlamApp) -> bool:
    return app.session is not None and app.turn is None


def status(app: XlamApp) -> str:
    return str(app.query_one("#status", Static).content)


async def say(pilot: Pilot[None], text: str) -> None:
    pilot.app.query_one("#say", Input).value = text
    await pilot.press("enter")


async def test_a_chat_shows_calls_results_and_the_answer() -> None:
    session = Session(Scripted(ADD_2_3, ["It is ", "**5**."]), [ADD])
    app = app_with(session)
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: ready(app))
        await say(pilot, "2 + 3?")
        await wait_until(pilot, lambda: ready(app) and app.query(Answered))
        assert [type(child) for child in app.query_one("#chat").children] == [
            Said,
            Card,
            Answered,
        ]
        card = app.query_one(Card)
        assert card.has_class("done")
        assert "a: 2" in str(card.query_one(".arguments", Static).content)
        assert str(card.query_one(".output", Static).content) == "5"
        assert app.query_one(Answered).source == "It is **5**."
        assert "tokens at" in status(app)
    assert session.messages[-1] == Answer("It is **5**.")


async def test_a_tool_that_writes_runs_when_the_user_says_so() -> None:
    session = Session(Scripted(ADD_2_3, ["5"]), [WRITE])
    app = app_with(session)
    async with app.run_test() as pilot:
        await say(pilot, "2 + 3?")
        await wait_until(pilot, lambda: isinstance(app.screen, Approval))
        assert "It writes on this machine" in str(app.screen.query_one("#question", Static).content)
        await pilot.press("y")
        await wait_until(pilot, lambda: ready(app) and app.query(Answered))
    assert any(isinstance(m, Result) and m.output == "5" for m in session.messages)


@pytest.mark.parametrize("key", ["enter", "escape", "n"])
async def test_enter_and_escape_refuse(key: str) -> None:
    session = Session(Scripted(ADD_2_3, ["No."]), [WRITE])
    app = app_with(session)
    async with app.run_test() as pilot:
        await say(pilot, "2 + 3?")
        await wait_until(pilot, lambda: isinstance(app.screen, Approval))
        await pilot.press(key)
        await wait_until(pilot, lambda: ready(app) and app.query(Answered))
        assert app.query_one(Card).has_class("refused")


async def test_leaving_refuses_what_is_asked_and_ends_the_turn() -> None:
    session = Session(Scripted(ADD_2_3, ADD_2_3, ["5"]), [WRITE])
    app = app_with(session)
    async with app.run_test() as pilot:
        await say(pilot, "2 + 3?")
        await wait_until(pilot, lambda: isinstance(app.screen, Approval))
        turn = app.turn
        assert turn is not None
        await pilot.press("ctrl+q")
        await wait_until(pilot, lambda: turn.is_finished)
    assert any(isinstance(m, Result) and not m.ok for m in session.messages)


async def test_always_asks_no_more() -> None:
    session = Session(Scripted(ADD_2_3, ["5"], ADD_2_3, ["5"]), [WRITE])
    app = app_with(session)
    async with app.run_test() as pilot:
        await say(pilot, "2 + 3?")
        await wait_until(pilot, lambda: isinstance(app.screen, Approval))
        await pilot.press("a")
        await wait_until(pilot, lambda: ready(app) and len(app.query(Answered)) == 1)
        await say(pilot, "Again?")
        await wait_until(pilot, lambda: ready(app) and len(app.query(Answered)) == 2)
        assert all(card.has_class("done") for card in app.query(Card))


class Endless(Scripted):
    """Writes on and on, one piece each time it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Semaphore(0)

    def generate(
        self, written: Prompt, grammar: Grammar | None, sampling: Sampling
    ) -> Generator[Prefill | str | End, bool | None, None]:
        try:
            while self.go.acquire(timeout=10):
                yield "on "
        finally:
            self.closed += 1


async def test_escape_cancels_and_what_was_said_stays() -> None:
    engine = Endless()
    session = Session(engine)
    app = app_with(session)
    async with app.run_test() as pilot:
        await say(pilot, "Talk.")
        engine.go.release()
        await wait_until(pilot, lambda: app.query(Answered))
        await pilot.press("escape")
        await say(pilot, "This waits in the line.")
        assert app.query_one("#say", Input).value == "This waits in the line."
        engine.go.release()
        await wait_until(pilot, lambda: ready(app))
        assert "Cancelled." in str(app.query_one(Note).content)
    assert engine.closed == 1
    assert session.messages == [User("Talk."), Answer("on on")]


async def test_what_is_said_while_the_model_loads_is_not_lost() -> None:
    loaded = threading.Event()
    session = Session(Scripted(["Hello."]))

    def load() -> Session:
        assert loaded.wait(10)
        return session

    app = XlamApp(load, Path("/folder"))
    async with app.run_test() as pilot:
        await say(pilot, "Hi")
        assert "Loading" in status(app)
        loaded.set()
        await wait_until(pilot, lambda: ready(app) and app.query(Answered))
    assert session.messages == [User("Hi"), Answer("Hello.")]


async def test_without_a_model_the_app_says_what_to_do() -> None:
    def load() -> Session:
        raise ModelMissing("No model is installed; `xlam-local models pull demo` brings one.")

    app = XlamApp(load, Path("/folder"))
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: app.query(Note))
        assert "models pull demo" in str(app.query_one(Note).content)
        assert status(app) == "No model"


async def test_the_end_of_a_turn_that_went_wrong_is_told() -> None:
    app = app_with(Session(Scripted(ADD_2_3, ADD_2_3, ADD_2_3), [ADD]))
    async with app.run_test() as pilot:
        await say(pilot, "2 + 3?")
        await wait_until(pilot, lambda: app.query(Note))
        assert "again and again" in str(app.query_one(Note).content)
        assert not app.query(Writing)


async def test_a_long_result_is_folded_and_nothing_commands_the_terminal() -> None:
    noisy = Tool("add", "", PARAMETERS, Effect.READ, lambda a, b: "\x1b]52;c;x\x07[b]\n" * 50)
    app = app_with(Session(Scripted(ADD_2_3, ["\x1b[2J ok"]), [noisy]))
    async with app.run_test() as pilot:
        await say(pilot, "2 + 3?")
        await wait_until(pilot, lambda: ready(app) and app.query(Answered))
        screen = app.export_screenshot()
    assert "\x1b" not in screen
    assert "(51 lines)" in screen.replace("&#160;", " ")
    assert "\\u001b[2J ok" in screen.replace("&#160;", " ")
