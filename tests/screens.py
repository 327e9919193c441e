"""Draws the README's picture of the app: a real model calls two tools in one turn.

python -m tests.screens [--model NAME] [--request TEXT]
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from textual.widgets import Input

from xlam_local import Rules, Sampling, Session, Tool
from xlam_local.engine.local import Engine
from xlam_local.tools import builtin
from xlam_local.tui.app import XlamApp

from .resources import FILES, get

ASSETS = Path(__file__).parent.parent / "assets"
REQUEST = (
    "What time is it in Paris and in New York? Call the tools once, then answer in one sentence."
)


async def draw(model: Path, request: str, size: tuple[int, int]) -> str:
    """The app as SVG after the turn that `request` leads to."""
    tools: tuple[Tool, ...] = builtin(Path())

    def load() -> Session:
        rules = Rules(max_steps=4, sampling=Sampling(max_tokens=300))
        return Session(Engine.load(model), tools, rules=rules)

    app = XlamApp(load, Path("~/notes"))
    async with app.run_test(size=size) as pilot:
        app.query_one("#say", Input).value = request
        await pilot.press("enter")
        while app.session is None or app.turn is not None:
            await pilot.pause(0.2)
        await pilot.pause(0.5)
        return app.export_screenshot(title="xlam-local")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b", choices=list(FILES))
    parser.add_argument("--request", default=REQUEST)
    parser.add_argument("--size", default="100x26")
    parser.add_argument("--to", type=Path, default=ASSETS / "app.svg")
    wanted = parser.parse_args()
    width, height = map(int, wanted.size.split("x"))
    drawn = asyncio.run(draw(get(wanted.model), wanted.request, (width, height)))
    wanted.to.write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
