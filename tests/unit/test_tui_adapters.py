"""LoRA adapters are applied, scaled and taken off in the app while the model is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.fake_engine import Scripted
from tests.fakes.peft_folders import write_peft_folder
from tests.fakes.tui_helpers import (
    app_with,
    app_with_model,
    is_idle,
    notices,
    run_turn,
    screen_text,
    submit,
    wait_idle,
    wait_long,
    wait_until,
)
from xlam_local.config import folders
from xlam_local.models import Store, adapters
from xlam_local.tui.app import XlamApp


def shown_errors(app: XlamApp) -> list[str]:
    return [notification.message for notification in app._notifications]


@pytest.mark.slow
async def test_adapters_change_while_the_model_is_loaded(qwen_path: Path, tmp_path: Path) -> None:
    store = Store.from_folders(folders().config, folders().data)
    for name in ("lamp", "shop"):
        adapters.add(write_peft_folder(tmp_path / name), "tiny", qwen_path, store)
    app = app_with_model(qwen_path)
    async with app.run_test(size=(120, 30)) as pilot:
        await wait_long(pilot, lambda: is_idle(app))
        await submit(pilot, "/adapter lamp:0.5")
        await wait_until(pilot, lambda: is_idle(app) and "+lamp:0.5 · Ready" in screen_text(app))
        await run_turn(pilot, "Hi")
        await submit(pilot, "/adapter shop")
        await wait_until(pilot, lambda: is_idle(app) and "+lamp:0.5+shop" in screen_text(app))
        await submit(pilot, "/adapter")
        lines = "lamp: on, scale 0.5 (for tiny, rank 4)\nshop: on, scale 1 (for tiny, rank 4)"
        await wait_until(pilot, lambda: lines in notices(app))
        await submit(pilot, "/adapter lamp off")
        await wait_until(pilot, lambda: is_idle(app) and "tiny+shop · " in screen_text(app))
        await submit(pilot, "/adapter off")
        await wait_until(pilot, lambda: is_idle(app) and "tiny · Ready" in screen_text(app))
        conversation = app.controller.conversation
        assert conversation.history is not None
        assert conversation.id is not None
        replies = conversation.history.replies(conversation.id).values()
        assert {reply.adapters for reply in replies} == {"lamp:0.5"}
        for change in ("other", "lamp off", "lamp:much", "lamp maybe"):
            await submit(pilot, f"/adapter {change}")
        await wait_until(pilot, lambda: len(shown_errors(app)) == 4)
        for error, text in zip(
            shown_errors(app),
            ("no adapter 'other'", "lamp is not on", "not a number", "Use /adapter NAME"),
            strict=True,
        ):
            assert text in error
        assert app.controller.model_name == "xLAM-2-tiny"


async def test_a_model_that_runs_elsewhere_keeps_its_adapters() -> None:
    app = app_with(Scripted())
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await submit(pilot, "/adapter")
        await wait_until(pilot, lambda: any("no LoRA adapters" in text for text in notices(app)))
        await submit(pilot, "/adapter off")
        await wait_until(pilot, lambda: shown_errors(app))
        assert "runs on this machine" in shown_errors(app)[0]
