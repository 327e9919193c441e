"""Run Python in a terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time


def run_in_terminal(arguments: list[str], answer: str) -> str:
    """Run Python in a terminal, answer a question if there is one, and return the screen."""
    terminal, child_terminal = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, *arguments],
        stdin=child_terminal,
        stdout=child_terminal,
        stderr=child_terminal,
    )
    os.close(child_terminal)
    screen, deadline = "", time.monotonic() + 30
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                data = os.read(terminal, 4096)
            except OSError:  # the child has closed the terminal
                break
            if not data:
                break
            screen += data.decode()
        if answer and "[y/N]" in screen:
            os.write(terminal, answer.encode())
            answer = ""
    child.wait(10)
    os.close(terminal)
    return screen
