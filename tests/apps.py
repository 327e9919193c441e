"""The app with an engine that says what it is told."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from textual.pilot import Pilot

from xlam_local import config
from xlam_local.fit import Machine
from xlam_local.tui.app import XlamApp
from xlam_local.tui.desk import Desk
from xlam_local.tui.loaded import Loaded
from xlam_local.tui.toolset import Toolset
from xlam_local.types import Loading, Message, Note, Tool

App = Pilot[None]


def app_with(
    engine: Loaded, tools: Sequence[Tool] = (), folder: Path | None = None, ephemeral: bool = False
) -> XlamApp:
    """The app; its folders are those of the test."""

    def opening(name: str | None) -> Generator[Loading | Note, None, Loaded]:
        yield Loading(0.5)
        return engine

    return app_opening(opening, tools, folder, ephemeral)


def app_opening(
    opening: Callable[[str | None], Generator[Loading | Note, None, Loaded]],
    tools: Sequence[Tool] = (),
    folder: Path | None = None,
    ephemeral: bool = False,
) -> XlamApp:
    """The app with another way to open a model."""
    places = config.folders()
    here = Machine("A laptop", 16 << 30, 12 << 30, 4)
    settings = config.load(places.config / "config.toml")
    where = folder or Path("/notes")
    desk = Desk(places, settings, where, opening, Toolset(tools), lambda: here, None, ephemeral)
    return XlamApp(desk)


async def wait_until(pilot: App, condition: Callable[[], object]) -> None:
    for _ in range(1000):
        if condition():
            await pilot.pause()
            return
        await pilot.pause(0.01)
    raise AssertionError("It did not happen.")


async def patiently(pilot: App, condition: Callable[[], object]) -> None:
    """Wait for a real model, which takes its time."""
    for _ in range(60):
        try:
            return await wait_until(pilot, condition)
        except AssertionError:
            continue
    raise AssertionError("It took too long.")


def idle(app: XlamApp) -> bool:
    return app.ready and app.chat.turn is None and app.chat.is_mounted


async def say(pilot: App, text: str) -> None:
    app = pilot.app
    assert isinstance(app, XlamApp)
    app.chat.prompt.write(text)
    await pilot.press("enter")


async def ask(pilot: App, text: str) -> None:
    """Say something and wait for the end of the turn."""
    app = pilot.app
    assert isinstance(app, XlamApp)
    await wait_until(pilot, lambda: idle(app))
    before = len(app.desk.messages)
    await say(pilot, text)
    await wait_until(pilot, lambda: idle(app) and len(app.desk.messages) > before)


def screen_text(app: XlamApp) -> str:
    """What stands on the screen, line by line."""
    lines = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in lines)


def kinds(messages: Sequence[Message]) -> list[str]:
    return [type(message).__name__ for message in messages]
