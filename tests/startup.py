"""Measures how long the app takes until one can type, in turn with other programs.

python -m tests.startup [--runs 7] [--other "oterm" --marker "text on its first screen"]
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import shlex
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Sequence
from contextlib import suppress

OURS = [sys.executable, "-m", "xlam_local"]
MARKER = "Ask something"
PATIENCE = 60.0


def seconds_until(command: Sequence[str], marker: str) -> float:
    """Seconds from the start of a program until `marker` is on its screen."""
    began = time.perf_counter()
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS="100", LINES="30")
        os.execvp(command[0], list(command))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    seen = b""
    try:
        while time.perf_counter() - began < PATIENCE:
            if select.select([terminal], [], [], 0.01)[0]:
                with suppress(OSError):
                    seen += os.read(terminal, 65536)
            if marker.encode() in seen:
                return time.perf_counter() - began
        raise SystemExit(f"{command[0]} never showed {marker!r}.")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(terminal)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--other", default="")
    parser.add_argument("--marker", default="")
    wanted = parser.parse_args()
    programs = {"xlam-local": (OURS, MARKER)}
    if wanted.other:
        programs["other"] = (shlex.split(wanted.other), wanted.marker)
    with tempfile.TemporaryDirectory() as home:
        os.environ["XLAM_LOCAL_HOME"] = home
        taken: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(wanted.runs):
            for name, (command, marker) in programs.items():
                taken[name].append(seconds_until(command, marker))
    for name, times in taken.items():
        first, rest = times[0], times[1:] or times
        told = f"first {first:.2f} s, then {statistics.median(rest):.2f} s (median)"
        sys.stdout.write(f"{name}: {told}\n")


if __name__ == "__main__":
    main()
