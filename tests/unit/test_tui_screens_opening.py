"""Screens whose contents are read in a thread: opened slowly, and closed before all is read."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.fakes.fake_engine import Scripted
from tests.fakes.tui_helpers import app_with, screen_text, wait_idle, wait_until
from tests.fakes.turns import PARAMETERS
from xlam_local.hardware import Machine
from xlam_local.tui.screens.models import ModelsScreen, models_screen
from xlam_local.tui.screens.tools import ToolsScreen
from xlam_local.types import Effect, Tool

TOOL = Tool("list_files", "List files.", PARAMETERS, Effect.READ, None, source="given")


class SlowMount:
    """Is mounted only after other tasks have run; Textual calls the handlers of all classes."""

    async def on_mount(self) -> None:
        await asyncio.sleep(0.3)


class SlowModelsScreen(ModelsScreen, SlowMount):  # type: ignore[misc]
    """A models screen that is mounted after its models were read."""


class SlowToolsScreen(ToolsScreen, SlowMount):  # type: ignore[misc]
    """A tools screen that is mounted after its tools were read."""


@pytest.mark.slow
async def test_models_that_are_read_before_the_screen_is_mounted_are_all_shown() -> None:
    app = app_with(Scripted())
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        screen = models_screen(app.controller)
        app.push_screen(SlowModelsScreen(screen.catalog, screen.downloads))
        await wait_until(pilot, lambda: "d downloads the demo model" in screen_text(app))


@pytest.mark.slow
async def test_tools_that_are_read_before_the_screen_is_mounted_are_listed() -> None:
    app = app_with(Scripted(), [TOOL])
    async with app.run_test(size=(140, 40)) as pilot:
        await wait_idle(pilot)
        controller = app.controller
        app.push_screen(SlowToolsScreen(controller.tools, lambda: None, dict, lambda tool: ""))
        await wait_until(pilot, lambda: "list_files" in screen_text(app))


@pytest.mark.slow
async def test_closing_the_models_screen_early_does_no_harm() -> None:
    detected = threading.Event()

    def detect_machine() -> Machine:
        assert detected.wait(10)
        return Machine("A laptop", 16 << 30, 12 << 30, 4)

    app = app_with(Scripted(), [TOOL])
    app.controller.detect_machine = detect_machine
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await pilot.press("f2")
        await wait_until(pilot, lambda: isinstance(app.screen, ModelsScreen))
        await pilot.press("escape")
        await wait_until(pilot, lambda: not isinstance(app.screen, ModelsScreen))
        detected.set()
        await app.workers.wait_for_complete()
