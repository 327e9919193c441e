"""Measures what showing an answer in the app costs the engine, beside `ask`.

python -m tests.streaming [--model qwen2.5-coder-0.5b] [--rounds 5] [--tokens 300]

In each round both answer the same request, each in a process and a terminal of its own, and the
engine says how fast it wrote.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path

from xlam_local import config, machine, tui
from xlam_local.opening import opening
from xlam_local.tui.app import XlamApp
from xlam_local.tui.desk import Desk
from xlam_local.tui.loaded import Loaded
from xlam_local.tui.toolset import Toolset
from xlam_local.types import Loading, Note, Usage

from .resources import get
from .terminal import Terminal

REQUEST = "Explain in detail, with headings, lists and Python code, how quicksort works."
SIZE = (120, 40)
PATIENCE = 600.0


class Told(XlamApp):
    """The app, which asks once, writes down what that took, and leaves."""

    CSS_PATH = str(Path(tui.__file__).with_name("app.tcss"))
    out: Path

    def look(self) -> None:
        """See what has happened, and whether that was the end."""
        super().look()
        done = self.chat.figures.done
        if self.chat.turn is None and done is not None and not self.leaving:
            self.out.write_text(json.dumps(asdict(done.usage)))
            self.call_later(self.action_leave)
        elif self.ready and self.chat.turn is None and done is None:
            self.chat.say(REQUEST)


def run_app(model: str, out: Path) -> None:
    """Run the app for one answer."""
    folders = config.folders()
    settings = config.load(folders.config / "config.toml")

    def opened(name: str | None) -> Generator[Loading | Note, None, Loaded]:
        return (yield from opening(model, settings, folders))

    app = Told(Desk(folders, settings, Path.cwd(), opened, Toolset(), machine.here))
    app.out = out
    app.run()


def by_app(model: str, home: Path) -> Usage:
    """What the answer takes in the app."""
    out = home / "usage.json"
    with Terminal([sys.executable, "-m", __spec__.name, "--app", model, str(out)], SIZE) as app:
        app.end(PATIENCE)
    return Usage(**json.loads(out.read_text()))


def by_ask(model: str) -> Usage:
    """What it takes for `ask`, which writes a line for each piece."""
    command = [sys.executable, "-m", "xlam_local", "ask", "--jsonl", "--no-tools", "-m", model]
    with Terminal([*command, REQUEST], SIZE) as ask:
        ask.end(PATIENCE)
    (done,) = (line for line in ask.seen.splitlines() if line.startswith(b'{"event": "done"'))
    return Usage(**json.loads(done)["usage"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=300)
    parser.add_argument("--app", nargs=2, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.app:
        run_app(wanted.app[0], Path(wanted.app[1]))
        return
    model = str(get(wanted.model))
    speeds: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as home:
        os.environ["XLAM_LOCAL_HOME"] = home
        for key, value in {"max_tokens": wanted.tokens, "prefix_cache": 0}.items():
            config.save(config.folders().config / "config.toml", key, value)
        for number in range(wanted.rounds):
            one, other = by_ask(model), by_app(model, Path(home))
            assert one.reply_tokens == other.reply_tokens
            speeds.append((one.decode_speed, other.decode_speed))
            told = f"ask {one.decode_speed:.2f}, app {other.decode_speed:.2f} tokens/s"
            sys.stdout.write(f"round {number + 1}: {told}\n")
            sys.stdout.flush()
    ask, app = (statistics.median(column) for column in zip(*speeds, strict=True))
    cost = statistics.median(100 * (1 - app / ask) for ask, app in speeds)
    sys.stdout.write(
        f"{wanted.model}: ask {ask:.2f}, app {app:.2f} tokens/s; the app costs {cost:.1f} %\n"
    )


if __name__ == "__main__":
    main()
