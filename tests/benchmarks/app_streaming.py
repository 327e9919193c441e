"""Measure how much the app slows down the model, compared with `ask`.

python -m tests.benchmarks.app_streaming [--model qwen2.5-coder-0.5b] [--rounds 40] [--tokens 100]

One llama.cpp process answers the same request alternately in the app, and as in `ask --jsonl` while
the screen is idle. Two processes would differ by more than the app costs, because of where their
memory lies. The speeds are those that the engine reports.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

from tests.fakes.resources import fetch
from tests.fakes.terminal import Terminal
from xlam_local import config, hardware, tui
from xlam_local.cli.render import JsonLinesOutput
from xlam_local.generators import drain
from xlam_local.model_loading import loading_steps
from xlam_local.session import Session
from xlam_local.tui.app import XlamApp
from xlam_local.tui.state.controller import ChatController, LoadSteps
from xlam_local.tui.state.tool_catalog import ToolCatalog
from xlam_local.types import Usage

REQUEST = "Explain in detail, with headings, lists and Python code, how quicksort works."
SIZE = (120, 40)
TIMEOUT_S = 3600.0


class AlternatingApp(XlamApp):
    """Answers the request alternately in the app and as `ask` does, and quits."""

    CSS_PATH = str(Path(tui.__file__).with_name("app.tcss"))
    rounds: int
    out: Path
    in_app: bool | None = None
    """Whether the current answer is shown in the app; None while there is none."""
    count = 0

    def poll(self) -> None:
        """Poll the jobs, and start the next answer when the last one has ended."""
        super().poll()
        if not self.controller.ready or self.controller.turn is not None or self.quitting:
            return
        if self.in_app and (done := self.chat.stats.done) is not None:
            self.record("app", done.usage)
        if self.count == 2 * self.rounds + 1:
            self.call_later(self.action_quit)
            return
        # The first answer warms up; the order is app, ask, ask, app, app and so on.
        self.in_app = (self.count + 1) // 2 % 2 == 0
        self.count += 1
        if self.in_app:
            self.run_command("new")
            self.chat.send(REQUEST)
        else:
            self.record("ask", self.ask())
            self.start_polling()

    def ask(self) -> Usage:
        """Answer the request as `ask` does, in the screen's thread."""
        engine = self.controller.conversation.active_session.engine
        session = Session(engine, options=self.controller.turn_options())
        with Path(os.devnull).open("w") as devnull, contextlib.redirect_stdout(devnull):
            return drain(session.send(REQUEST), JsonLinesOutput().show).usage

    def record(self, name: str, usage: Usage) -> None:
        """Append the speed of an answer to the file."""
        with self.out.open("a") as out:
            out.write(json.dumps([name, usage.reply_tokens, usage.decode_speed]) + "\n")
        self.in_app = None


def run_app(model: str, rounds: int, out: Path) -> None:
    """Run the app until all answers are written."""
    folders = config.folders()
    settings = config.load(folders.config / "config.toml")

    def load_engine(name: str | None) -> LoadSteps:
        return (yield from loading_steps(model, settings, folders))

    controller = ChatController(
        folders=folders,
        settings=settings,
        cwd=Path.cwd(),
        load_engine=load_engine,
        tools=ToolCatalog(),
        detect_machine=hardware.detect,
    )
    app = AlternatingApp(controller)
    app.rounds, app.out = rounds, out
    app.run()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--app", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.app:
        run_app(arguments.model, arguments.rounds, Path(arguments.app))
        return
    with tempfile.TemporaryDirectory() as home:
        os.environ["XLAM_LOCAL_HOME"] = home
        for key, value in {"max_tokens": arguments.tokens, "prompt_cache_mib": 0}.items():
            config.save(config.folders().config / "config.toml", key, value)
        out = Path(home) / "speeds.jsonl"
        command = [sys.executable, "-m", __spec__.name, "--model", str(fetch(arguments.model))]
        command += ["--rounds", str(arguments.rounds), "--app", str(out)]
        with Terminal(command, SIZE) as terminal:
            terminal.wait_for_exit(TIMEOUT_S)
        answers = [json.loads(line) for line in out.read_text().splitlines()][1:]
    report(arguments.model, answers)


def report(model: str, answers: list[tuple[str, int, float]]) -> None:
    """Print the speed of each round, the medians, and the share that the app costs."""
    assert len({tokens for _, tokens, _ in answers}) == 1
    ask, app = ([speed for name, _, speed in answers if name == who] for who in ("ask", "app"))
    for number, (ask_speed, app_speed) in enumerate(zip(ask, app, strict=True), 1):
        sys.stdout.write(f"round {number}: ask {ask_speed:.2f}, app {app_speed:.2f} tokens/s\n")
    costs = [
        100 * (1 - app_speed / ask_speed) for ask_speed, app_speed in zip(ask, app, strict=True)
    ]
    cost = statistics.median(costs)
    sys.stdout.write(
        f"{model}: ask {statistics.median(ask):.2f}, app {statistics.median(app):.2f} tokens/s; "
        f"the app costs {cost:.1f} %\n"
    )


if __name__ == "__main__":
    main()
