"""The app with a model on another machine: it asks at the first use of a host, and names it."""

from __future__ import annotations

from pathlib import Path

from tests.fakes.remote_server import remote_server
from tests.fakes.tui_helpers import App, app_of, app_with_model, is_idle, screen_text, wait_until
from xlam_local import config
from xlam_local.tui.screens.remote_host import RemoteHostScreen


def flat_screen(pilot: App) -> str:
    return " ".join(screen_text(app_of(pilot)).split())


async def test_the_first_use_of_a_host_asks_and_the_status_line_names_it(own_folders: Path) -> None:
    with remote_server(text="Hello.") as server:
        # 0.0.0.0 leads to this machine, but is not one of its addresses.
        url = server.url.replace("127.0.0.1", "0.0.0.0")
        app = app_with_model(Path("none.gguf"))
        app.controller.model = url
        async with app.run_test(size=(100, 30)) as pilot:
            await wait_until(pilot, lambda: isinstance(app.screen, RemoteHostScreen))
            assert "The model runs on 0.0.0.0. Conversations, wi" in flat_screen(pilot)
            assert server.host.requests == []
            await pilot.press("y", "enter")
            await wait_until(pilot, lambda: "Nothing is sent to 0.0.0.0" in flat_screen(pilot))
            assert server.host.requests == []
            app.run_command("model", url)
            await wait_until(pilot, lambda: isinstance(app.screen, RemoteHostScreen))
            await pilot.press("down", "enter")
            await wait_until(pilot, lambda: is_idle(app))
            await wait_until(pilot, lambda: "on 0.0.0.0 · Ready" in flat_screen(pilot))
            assert "not encrypted" in flat_screen(pilot)
            saved = config.load(own_folders / "config" / "config.toml")
            assert saved.allow_remote == ("0.0.0.0",)
            app.run_command("model", url)
            await wait_until(pilot, lambda: app.controller.loading is None)
            assert app.screen is app.chat


async def test_a_host_that_is_not_allowed_leaves_the_model_as_it_was(own_folders: Path) -> None:
    with remote_server(text="Hello.") as server:
        app = app_with_model(Path("none.gguf"))
        app.controller.model = server.url
        async with app.run_test(size=(100, 30)) as pilot:
            await wait_until(pilot, lambda: is_idle(app))
            assert "on 127.0.0.1 · Ready" not in flat_screen(pilot)
            app.run_command("model", "http://192.0.2.1:8000")
            await wait_until(pilot, lambda: isinstance(app.screen, RemoteHostScreen))
            await pilot.press("escape")
            await wait_until(pilot, lambda: "Nothing is sent to 192.0.2.1" in flat_screen(pilot))
            assert is_idle(app)
            assert app.controller.engine is not None
