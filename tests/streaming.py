"""Measures what showing an answer in the app costs the engine, beside `ask`.

python -m tests.streaming [--model qwen2.5-coder-0.5b] [--rounds 40] [--tokens 100]

One process of llama.cpp answers the same request again and again: in the app, and as `ask --jsonl`
takes an answer, while the screen does nothing. It says itself how fast it wrote. (Two processes
differ more, by where their memory lies, than the screen costs.)
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

from xlam_local import config, machine, tui
from xlam_local.cli.ask import FORMS
from xlam_local.opening import opening
from xlam_local.session import Session
from xlam_local.tui.app import XlamApp
from xlam_local.tui.desk import Desk
from xlam_local.tui.loaded import Loaded
from xlam_local.tui.toolset import Toolset
from xlam_local.types import Loading, Note, Usage

from .resources import get
from .terminal import Terminal

REQUEST = "Explain in detail, with headings, lists and Python code, how quicksort works."
SIZE = (120, 40)
PATIENCE = 3600.0


class Told(XlamApp):
    """The app, which answers the request by turns with `ask`, and leaves."""

    CSS_PATH = str(Path(tui.__file__).with_name("app.tcss"))
    rounds: int
    out: Path
    shown: bool | None = None
    """Whether the answer that is being written is shown; nothing before the first."""
    count = 0

    def look(self) -> None:
        """See what has happened, and go on to the next answer."""
        super().look()
        if not self.ready or self.chat.turn is not None or self.leaving:
            return
        if self.shown and (done := self.chat.figures.done) is not None:
            self.tell("app", done.usage)
        if self.count == 2 * self.rounds + 1:
            self.call_later(self.action_leave)
            return
        # The first answer warms up; then app, ask, ask, app, app and so on.
        self.shown = (self.count + 1) // 2 % 2 == 0
        self.count += 1
        if self.shown:
            self.run_command("new")
            self.chat.say(REQUEST)
        else:
            self.tell("ask", self.asked())
            self.watch_jobs()

    def asked(self) -> Usage:
        """The answer as `ask` takes it, in the thread of the screen."""
        session = Session(self.desk.talk.engine, rules=self.desk.talk.rules)
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            return FORMS["jsonl"](session.send(REQUEST), session.messages).usage

    def tell(self, who: str, usage: Usage) -> None:
        """Write down how fast an answer was written."""
        with self.out.open("a") as out:
            out.write(json.dumps([who, usage.reply_tokens, usage.decode_speed]) + "\n")
        self.shown = None


def run_app(model: str, rounds: int, out: Path) -> None:
    """Run the app for all answers."""
    folders = config.folders()
    settings = config.load(folders.config / "config.toml")

    def opened(name: str | None) -> Generator[Loading | Note, None, Loaded]:
        return (yield from opening(model, settings, folders))

    app = Told(Desk(folders, settings, Path.cwd(), opened, Toolset(), machine.here))
    app.rounds, app.out = rounds, out
    app.run()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--app", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.app:
        run_app(wanted.model, wanted.rounds, Path(wanted.app))
        return
    with tempfile.TemporaryDirectory() as home:
        os.environ["XLAM_LOCAL_HOME"] = home
        for key, value in {"max_tokens": wanted.tokens, "prefix_cache": 0}.items():
            config.save(config.folders().config / "config.toml", key, value)
        out = Path(home) / "speeds.jsonl"
        told = ["--model", str(get(wanted.model)), "--rounds", str(wanted.rounds)]
        with Terminal([sys.executable, "-m", __spec__.name, *told, "--app", str(out)], SIZE) as app:
            app.end(PATIENCE)
        answers = [json.loads(line) for line in out.read_text().splitlines()][1:]
    assert len({tokens for _, tokens, _ in answers}) == 1
    speeds = {who: [speed for name, _, speed in answers if name == who] for who in ("ask", "app")}
    rounds = list(zip(speeds["ask"], speeds["app"], strict=True))
    for number, (ask, app_speed) in enumerate(rounds, 1):
        sys.stdout.write(f"round {number}: ask {ask:.2f}, app {app_speed:.2f} tokens/s\n")
    middle = {who: statistics.median(found) for who, found in speeds.items()}
    cost = statistics.median(100 * (1 - app_speed / ask) for ask, app_speed in rounds)
    sys.stdout.write(
        f"{wanted.model}: ask {middle['ask']:.2f}, app {middle['app']:.2f} tokens/s; "
        f"the app costs {cost:.1f} %\n"
    )


if __name__ == "__main__":
    main()
