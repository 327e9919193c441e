"""Loading and switching models in the app."""

from __future__ import annotations

import threading

import pytest

from tests.fakes.fake_engine import Scripted
from tests.fakes.tui_helpers import (
    App,
    app_loading,
    app_of,
    is_idle,
    messages,
    run_turn,
    screen_text,
    submit,
    wait_idle,
    wait_until,
)
from xlam_local.errors import ModelMissing
from xlam_local.tui.state.controller import LoadSteps
from xlam_local.types import AssistantMessage, LoadProgress, Notice


async def test_a_message_while_the_model_loads_is_queued() -> None:
    loaded = threading.Event()

    def load_engine(name: str | None) -> LoadSteps:
        yield LoadProgress(0.25)
        assert loaded.wait(10)
        yield Notice("It was slow.")
        return Scripted(["Hello."])

    app = app_loading(load_engine)
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: "25 %" in screen_text(app))
        await submit(pilot, "Hi")
        assert "queued: Hi" in screen_text(app)
        loaded.set()
        await wait_until(pilot, lambda: is_idle(app) and len(messages(app)) == 2)
        assert "It was slow." in screen_text(app)


@pytest.mark.slow
async def test_the_models_screen_opens_if_no_model_is_installed() -> None:
    def load_engine(name: str | None) -> LoadSteps:
        yield LoadProgress(0.0)
        if installed:
            return Scripted()
        raise ModelMissing("No model is installed.")

    installed = False
    app = app_loading(load_engine)
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: "Models" in screen_text(app))
        await wait_until(pilot, lambda: "Recommended for this machine" in screen_text(app))
        assert "demo" in screen_text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert "No model is installed." in screen_text(app)
        installed = True
        app.load_model("demo")
        await wait_idle(pilot)
        assert "No model" not in screen_text(app)


@pytest.mark.slow
async def test_the_conversation_continues_with_another_model() -> None:
    engines = {None: Scripted(["One."]), "other": Scripted(["Two."])}

    def load_engine(name: str | None) -> LoadSteps:
        yield LoadProgress(0.5)
        if name not in engines:
            raise ModelMissing(f"There is no model {name!r}.")
        return engines[name]

    app = app_loading(load_engine)
    async with app.run_test() as pilot:
        await run_turn(pilot, "Hi")
        await switch_model(pilot, "other")
        await run_turn(pilot, "And now?")
        assert "Hi" in engines["other"].prompts[0]
        await switch_model(pilot, "none")
        assert "There is no model 'none'" in screen_text(app)
        assert app.controller.ready
    answers = [m.text for m in messages(app) if isinstance(m, AssistantMessage)]
    assert answers == ["One.", "Two."]


async def switch_model(pilot: App, name: str) -> None:
    await submit(pilot, f"/model {name}")
    await wait_until(pilot, lambda: app_of(pilot).controller.loading is None)
