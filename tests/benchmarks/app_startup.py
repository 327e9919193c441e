"""Measures how long the app takes until one can type, in turn with another program.

python -m tests.startup [--runs 7] [--against COMMAND --shows TEXT]

The time ends when a letter that is typed stands on the screen; it is typed when TEXT, which
belongs to the prompt, is there. The first run of each is cold: what the program reads was taken
out of the system's cache. The app loads a model meanwhile.
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

from .resources import get
from .terminal import Terminal

PROMPT = "Ask something"
LETTER = "ö"


def seconds(command: Sequence[str], prompt: str) -> float:
    """Seconds from the start of a program until it has taken a letter."""
    with Terminal(command) as terminal:
        terminal.wait(prompt)
        shown = len(terminal.seen)
        terminal.type(LETTER.encode())
        return terminal.wait(LETTER, shown)


def chill(program: str) -> None:
    """Take what a program of a virtual environment reads out of the system's cache."""
    own = Path(shutil.which(program) or program).parent.parent
    for top in (own, Path(__file__).parent.parent / "xlam_local", Path(os.__file__).parent):
        for path in top.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--against", metavar="COMMAND", default="")
    parser.add_argument("--shows", metavar="TEXT", default="")
    wanted = parser.parse_args()
    model = str(get("smollm2-135m"))
    programs = {"xlam-local": ([sys.executable, "-m", "xlam_local", "-m", model], PROMPT)}
    if wanted.against:
        programs[wanted.against] = (shlex.split(wanted.against), wanted.shows)
    with tempfile.TemporaryDirectory() as home:
        os.environ["XLAM_LOCAL_HOME"] = home
        taken: dict[str, list[float]] = {name: [] for name in programs}
        for run in range(wanted.runs):
            for name, (command, prompt) in programs.items():
                if run == 0:
                    chill(command[0])
                taken[name].append(seconds(command, prompt))
    for name, (cold, *warm) in taken.items():
        sys.stdout.write(f"{name}: cold {cold:.2f} s, warm {statistics.median(warm):.2f} s\n")


if __name__ == "__main__":
    main()
