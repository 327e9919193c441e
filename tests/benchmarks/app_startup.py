"""Measure the time until the app accepts input, alternating with another program.

usage: python -m tests.benchmarks.app_startup [--runs N] [--against COMMAND --shows TEXT]

A letter is typed when TEXT, a part of the program's prompt, is on the screen; the time ends when
the letter is shown. Before the first run of each program, its files are dropped from the page
cache, so that run is a cold start. The app loads a model at the same time.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.fakes.resources import fetch
from tests.fakes.terminal import Terminal

MODEL = "smollm2-135m"
PROMPT = "Ask something"
LETTER = "ö"


def measure(command: Sequence[str], prompt: str) -> float:
    """Return the seconds from the start of a program until it shows a typed letter."""
    with Terminal(command) as terminal:
        terminal.wait_for(prompt)
        shown = len(terminal.output)
        terminal.type(LETTER.encode())
        return terminal.wait_for(LETTER, shown)


def drop_page_cache(program: str) -> None:
    """Drop the files of a program in a virtual environment from the page cache (Linux only)."""
    environment = Path(shutil.which(program) or program).parent.parent
    package = Path(__file__).parents[2] / "xlam_local"
    for folder in (environment, package, Path(os.__file__).parent):
        for path in folder.rglob("*"):
            if path.is_file() and sys.platform == "linux":
                with path.open("rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--against", metavar="COMMAND", default="")
    parser.add_argument("--shows", metavar="TEXT", default="")
    options = parser.parse_args()
    model = str(fetch(MODEL))
    programs = {"xlam-local": ([sys.executable, "-m", "xlam_local", "-m", model], PROMPT)}
    if options.against:
        programs[options.against] = (shlex.split(options.against), options.shows)
    with tempfile.TemporaryDirectory() as home:
        os.environ["XLAM_LOCAL_HOME"] = home
        times: dict[str, list[float]] = {name: [] for name in programs}
        for run in range(options.runs):
            for name, (command, prompt) in programs.items():
                if run == 0:
                    drop_page_cache(command[0])
                times[name].append(measure(command, prompt))
    for name, (cold, *warm) in times.items():
        print(f"{name}: cold {cold:.2f} s, warm {statistics.median(warm):.2f} s")


if __name__ == "__main__":
    main()
