"""Draws the README's pictures of the app: a real model calls two tools in one turn.

python -m tests.screens [--model NAME] [--request TEXT]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from collections.abc import Generator
from pathlib import Path

from xlam_local.tools import builtin
from xlam_local.tui.app import XlamApp
from xlam_local.tui.loaded import Loaded
from xlam_local.tui.question import Approval
from xlam_local.types import Loading, Note

from .apps import App, app_opening, idle, patiently, say
from .resources import FILES, get

ASSETS = Path(__file__).parent.parent / "assets"
REQUEST = (
    "What time is it in Paris and in New York? Call the tools once, then answer in one sentence."
)
WRITE = "Write the file hello.txt with the text: Hello from xLAM."


async def draw(model: Path, request: str, size: tuple[int, int], to: Path) -> None:
    """The app after the turn that `request` leads to, its numbers, and a file to be written."""

    def opening(name: str | None) -> Generator[Loading | Note, None, Loaded]:
        from xlam_local.opening import opening as opened

        return (yield from opened(str(model)))

    app = app_opening(opening, builtin(Path()), Path("/notes"))
    async with app.run_test(size=size) as pilot:
        await turned(pilot, app, request)
        await pilot.resize_terminal(120, 32)
        await pilot.press("f5")
        await app.workers.wait_for_complete()
        app.chat.tell()
        await pilot.pause()
        drawn = app.export_screenshot(title="xlam-local")
        to.with_name("app-numbers.svg").write_text(drawn, encoding="utf-8")
        await pilot.press("f5")
        await pilot.resize_terminal(*size)
        # The speed is that of a busy machine.
        app.chat.figures.first = app.chat.figures.done = None
        app.chat.tell()
        await pilot.pause()
        to.write_text(app.export_screenshot(title="xlam-local"), encoding="utf-8")
        await say(pilot, WRITE)
        await patiently(pilot, lambda: bool(app.chat.query(Approval)) or idle(app))
        drawn = app.export_screenshot(title="xlam-local")
        to.with_name("app-approval.svg").write_text(drawn, encoding="utf-8")
        await pilot.press("ctrl+q")


async def turned(pilot: App, app: XlamApp, request: str) -> None:
    await patiently(pilot, lambda: idle(app))
    await say(pilot, request)
    await patiently(pilot, lambda: idle(app))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b", choices=list(FILES))
    parser.add_argument("--request", default=REQUEST)
    parser.add_argument("--size", default="100x28")
    parser.add_argument("--to", type=Path, default=ASSETS / "app.svg")
    wanted = parser.parse_args()
    width, height = map(int, wanted.size.split("x"))
    with tempfile.TemporaryDirectory() as home:
        os.environ["XLAM_LOCAL_HOME"] = home
        asyncio.run(draw(get(wanted.model), wanted.request, (width, height), wanted.to))


if __name__ == "__main__":
    main()
