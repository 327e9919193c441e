"""Draw the pictures of the app in `assets/`: a real model calls two tools in one turn.

python -m tests.scripts.app_pictures [--model NAME] [--request TEXT]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from pathlib import Path

from tests.fakes.resources import FILES, fetch
from tests.fakes.tui_helpers import (
    App,
    app_loading,
    app_of,
    approvals,
    is_idle,
    submit,
    wait_long,
)
from xlam_local.model_loading import loading_steps
from xlam_local.tools import builtin_tools
from xlam_local.tui.app import XlamApp
from xlam_local.tui.state.controller import LoadSteps
from xlam_local.tui.state.turn_stats import BAR_COUNT

ASSETS = Path(__file__).parents[2] / "assets"
REQUEST = "Convert 26.2 miles to kilometers, and 100 degrees Fahrenheit to Celsius."
WRITE_REQUEST = "Write the file hello.txt with the text: Hello from xLAM."
STATS_SIZE = (120, 32)


async def draw(model: Path, request: str, size: tuple[int, int], folder: Path) -> None:
    """Draw a finished turn, the statistics panel, and an approval prompt."""

    def load_engine(name: str | None) -> LoadSteps:
        return (yield from loading_steps(str(model)))

    app = app_loading(load_engine, builtin_tools(Path()), Path("/notes"))
    async with app.run_test(size=size) as pilot:
        await wait_long(pilot, lambda: is_idle(app))
        await submit(pilot, request)
        await wait_long(pilot, lambda: is_idle(app))
        await pilot.resize_terminal(*STATS_SIZE)
        await pilot.press("f5")
        await app.workers.wait_for_complete()
        await save(pilot, folder / "app-statistics.svg")
        await pilot.press("f5")
        await pilot.resize_terminal(*size)
        hide_speed(app)
        await save(pilot, folder / "app.svg")
        await submit(pilot, WRITE_REQUEST)
        await wait_long(pilot, lambda: bool(approvals(app)) or is_idle(app))
        hide_speed(app)
        await save(pilot, folder / "app-approval.svg")
        await pilot.press("ctrl+q")


def hide_speed(app: XlamApp) -> None:
    """Leave out the speed, as the machine that draws the pictures may be busy."""
    stats = app.chat.stats
    stats.first_token_s = stats.done = None
    stats.bars.extend([0.0] * BAR_COUNT)
    stats._bar_chars = 0


async def save(pilot: App, path: Path) -> None:
    """Save a picture of the screen."""
    app = app_of(pilot)
    app.chat.update_status()
    await pilot.pause()
    path.write_text(app.export_screenshot(title="xlam-local"), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="qwen2.5-coder-1.5b", choices=list(FILES))
    parser.add_argument("--request", default=REQUEST)
    parser.add_argument("--size", default="100x28", help="Columns and lines.")
    parser.add_argument("--folder", type=Path, default=ASSETS)
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as home:
        os.environ["XLAM_LOCAL_HOME"] = home
        model = fetch(arguments.model)
        asyncio.run(draw(model, arguments.request, (width, height), arguments.folder))


if __name__ == "__main__":
    main()
