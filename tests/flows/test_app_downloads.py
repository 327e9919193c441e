"""Downloads in the app: what is shown when they fail, and how they are tried again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes import fake_hub
from tests.fakes.tui_helpers import (
    App,
    app_of,
    app_with_model,
    is_idle,
    notices,
    screen_text,
    wait_long,
    wait_until,
)
from xlam_local.models import Store, catalog, licenses
from xlam_local.models.hub import HubClient
from xlam_local.tui.app import XlamApp
from xlam_local.tui.screens.models import ModelsScreen
from xlam_local.tui.state.downloads import Downloads

NAME = "xlam-2-1b:Q4_K_M"
MODEL = catalog.XLAM[0]


@pytest.fixture
def hub(own_folders: Path) -> Iterator[fake_hub.FakeHub]:
    """A Hub without the model; its licenses are accepted."""
    store = Store.from_folders(own_folders / "config", own_folders / "data")
    licenses.accept(licenses.pending(MODEL, store), store)
    with fake_hub.running(fake_hub.FakeHub()) as hub:
        yield hub


def add_model(hub: fake_hub.FakeHub, folder: Path, model: Path) -> None:
    origin = folder / MODEL.file_name("Q4_K_M")
    shutil.copy(model, origin)
    hub.add(str(MODEL.repo), origin)


async def select(pilot: App, name: str) -> None:
    """Select a model on the models screen."""
    screen = app_of(pilot).screen
    assert isinstance(screen, ModelsScreen)
    await wait_until(pilot, lambda: any(row.plan for row in screen.rows))
    names = [row.name for row in screen.rows]
    await pilot.press("home", *["down"] * names.index(name))
    await wait_until(pilot, lambda: screen.selected and screen.selected.name == name)


def app_without_model(hub: fake_hub.FakeHub) -> XlamApp:
    """Return an app that downloads from a fake Hub; its default model is not installed."""
    app = app_with_model(Path("xlam-2-1b:Q4_K_M"))
    client = HubClient(hub.endpoint, None, 5.0)
    app.controller.downloads = Downloads(lambda: app.controller.store, client)
    return app


@pytest.mark.slow
async def test_a_failed_download_shows_the_reason_and_what_to_do_until_it_is_tried_again(
    hub: fake_hub.FakeHub, tmp_path: Path, qwen_path: Path
) -> None:
    app = app_without_model(hub)
    async with app.run_test(size=(140, 40)) as pilot:
        await wait_until(pilot, lambda: isinstance(app.screen, ModelsScreen))
        await select(pilot, NAME)
        await pilot.press("enter")
        await wait_until(pilot, lambda: "The download failed" in screen_text(app))
        await wait_until(pilot, lambda: f"{NAME} failed" in screen_text(app))
        shown = " ".join(screen_text(app).replace("│", " ").split())
        for word in ("There is no repository", "r tries again", "HTTPS_PROXY", "HF_ENDPOINT"):
            assert word in shown
        assert "models import" in shown
        assert "Downloading" not in shown
        assert "r Retry" in shown
        await pilot.press("escape")
        await wait_until(pilot, lambda: f"{NAME} failed" in screen_text(app).splitlines()[-2])
        assert any("failed: There is no repository" in notice for notice in notices(app))
        add_model(hub, tmp_path, qwen_path)
        await pilot.press("f2")
        await select(pilot, NAME)
        await pilot.press("r")
        await wait_long(pilot, lambda: is_idle(app))
        assert app.controller.model_name
        assert "failed" not in screen_text(app).splitlines()[-2]


async def test_a_failed_download_is_forgotten_when_it_is_cancelled(hub: fake_hub.FakeHub) -> None:
    app = app_without_model(hub)
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_until(pilot, lambda: isinstance(app.screen, ModelsScreen))
        await select(pilot, NAME)
        await pilot.press("enter")
        await wait_until(pilot, lambda: "r Retry" in screen_text(app))
        await pilot.press("x")
        await wait_until(pilot, lambda: "r Retry" not in screen_text(app))
        assert not list(app.controller.downloads)
        await pilot.press("escape")
        await wait_until(pilot, lambda: "failed" not in screen_text(app).splitlines()[-2])


@pytest.mark.slow
async def test_the_list_says_what_a_download_waits_for(
    hub: fake_hub.FakeHub, tmp_path: Path, qwen_path: Path
) -> None:
    add_model(hub, tmp_path, qwen_path)
    hub.always = fake_hub.respond(503)
    app = app_without_model(hub)
    async with app.run_test(size=(140, 40)) as pilot:
        await wait_until(pilot, lambda: isinstance(app.screen, ModelsScreen))
        await select(pilot, NAME)
        await pilot.press("enter")
        await wait_until(pilot, lambda: "The server answered 503" in screen_text(app))
        await wait_until(pilot, lambda: "retry in" in screen_text(app))
        hub.always = None
        await wait_long(pilot, lambda: is_idle(app))
