"""Run the app with a scripted engine, and wait for what it shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.pilot import Pilot

from xlam_local import config
from xlam_local.hardware import Machine
from xlam_local.model_loading import loading_steps
from xlam_local.tools import Toolbox
from xlam_local.tui.app import XlamApp
from xlam_local.tui.rendering.entries import NoticeEntry
from xlam_local.tui.state.controller import ChatController, LoadSteps
from xlam_local.tui.state.tool_catalog import ToolCatalog
from xlam_local.tui.widgets.approval import READ_DELAY_S, Approval
from xlam_local.tui.widgets.text_viewer import TextViewer
from xlam_local.types import LoadProgress, Message, Tool

if TYPE_CHECKING:
    from xlam_local.tui.state.controller import LoadedEngine

App = Pilot[None]
POLL_S = 0.01
POLLS = 1000
LONG_WAITS = 60
"""How often `wait_long` waits as long as `wait_until`."""


def app_with(
    engine: LoadedEngine,
    tools: Sequence[Tool] = (),
    folder: Path | None = None,
    ephemeral: bool = False,
) -> XlamApp:
    """Return the app with an engine; its configuration folders are those of the test."""

    def load_engine(name: str | None) -> LoadSteps:
        yield LoadProgress(0.5)
        return engine

    return app_loading(load_engine, tools, folder, ephemeral)


def app_loading(
    load_engine: Callable[[str | None], LoadSteps],
    tools: Sequence[Tool] = (),
    folder: Path | None = None,
    ephemeral: bool = False,
) -> XlamApp:
    """Return the app with a function that loads the engine."""
    folders = config.folders()
    machine = Machine("A laptop", 16 << 30, 12 << 30, 4)
    controller = ChatController(
        folders=folders,
        settings=config.load(folders.config / "config.toml"),
        cwd=folder or Path("/notes"),
        load_engine=load_engine,
        tools=ToolCatalog(tools),
        detect_machine=lambda: machine,
        ephemeral=ephemeral,
    )
    return XlamApp(controller)


def app_with_model(
    model: Path,
    tools: Sequence[Tool] | Callable[[], Toolbox] = (),
    folder: Path | None = None,
    **settings: Any,
) -> XlamApp:
    """Return the app with a GGUF file in a process of its own, and fixed tools or a toolbox."""
    folders = config.folders()
    small = {"context": 2048, "threads": 1, "prompt_cache_mib": 0, "max_tokens": 64}

    def load_engine(name: str | None) -> LoadSteps:
        return (yield from loading_steps(name or str(model), controller.settings, folders))

    catalog = ToolCatalog(open_toolbox=tools) if callable(tools) else ToolCatalog(tools)
    controller = ChatController(
        folders=folders,
        settings=config.Config(**{**small, **settings}),
        cwd=folder or Path("/notes"),
        load_engine=load_engine,
        tools=catalog,
        detect_machine=lambda: Machine("A laptop", 16 << 30, 12 << 30, 4),
    )
    return XlamApp(controller)


async def wait_until(pilot: App, condition: Callable[[], object]) -> None:
    for _ in range(POLLS):
        if condition():
            await pilot.pause()
            return
        await pilot.pause(POLL_S)
    raise AssertionError(f"It did not happen. The screen:\n{screen_text(app_of(pilot))}")


async def wait_long(pilot: App, condition: Callable[[], object]) -> None:
    """Wait for a real model, which takes its time."""
    for _ in range(LONG_WAITS):
        try:
            return await wait_until(pilot, condition)
        except AssertionError:
            continue
    raise AssertionError(f"It took too long. The screen:\n{screen_text(app_of(pilot))}")


def app_of(pilot: App) -> XlamApp:
    assert isinstance(pilot.app, XlamApp)
    return pilot.app


def is_idle(app: XlamApp) -> bool:
    return app.controller.ready and app.controller.turn is None and app.chat.is_mounted


async def wait_idle(pilot: App) -> None:
    """Wait until the model is loaded and no turn runs."""
    await wait_until(pilot, lambda: is_idle(app_of(pilot)))


async def submit(pilot: App, text: str) -> None:
    """Submit a message or a command."""
    app_of(pilot).chat.prompt.set_text(text)
    await pilot.press("enter")


async def run_turn(pilot: App, text: str) -> None:
    """Submit a message and wait for the end of the turn."""
    app = app_of(pilot)
    await wait_idle(pilot)
    before = len(messages(app))
    await submit(pilot, text)
    await wait_until(pilot, lambda: is_idle(app) and len(messages(app)) > before)


async def approval_shown(pilot: App) -> Approval:
    """Wait for an approval prompt, read it to its end, and let keys answer it without a delay."""
    app = app_of(pilot)
    await wait_until(pilot, lambda: approvals(app))
    (approval,) = approvals(app)
    await wait_until(pilot, lambda: approval.query_one(TextViewer).size.height > 0)
    await pilot.pause()
    if not approval.seen_to_end:
        approval.action_scroll_to_end()
    await wait_until(pilot, lambda: approval.seen_to_end)
    await pilot.pause()
    approval.shown_at -= READ_DELAY_S
    return approval


async def answer_approval(pilot: App, *keys: str) -> None:
    """Wait for an approval prompt, press keys, and wait for the end of the turn."""
    await approval_shown(pilot)
    await pilot.press(*keys)
    await wait_idle(pilot)


def approvals(app: XlamApp) -> list[Approval]:
    return list(app.chat.query(Approval))


def messages(app: XlamApp) -> Sequence[Message]:
    return app.controller.conversation.messages


def notices(app: XlamApp) -> list[str]:
    return [e.text for e in app.chat.transcript.entries if isinstance(e, NoticeEntry)]


def screen_text(app: XlamApp) -> str:
    """Return the text on the screen, line by line."""
    lines = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in lines)


def kinds(found: Sequence[Message]) -> list[str]:
    """Return the class names of messages."""
    return [type(message).__name__ for message in found]
