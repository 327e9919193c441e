"""Ask the user on the terminal; what was typed before a question does not answer it."""

from __future__ import annotations

import io
import os
import sys
import termios
import time
from contextlib import suppress

import click

TYPE_AHEAD_S = 0.2
"""How long input is still discarded after what the question is about was shown."""


def confirm(question: str) -> bool:
    """Ask a question with the answers yes and no; an empty answer is no."""
    discard_input()
    return click.confirm(question, default=False, err=True)


def prompt(question: str, default: str) -> str:
    """Ask for a text; an empty answer is `default`."""
    discard_input()
    answer: str = click.prompt(question, default=default, err=True)
    return answer


def discard_input() -> None:
    """Discard what was typed until now: in the terminal, and in the buffers of `sys.stdin`."""
    try:
        descriptor = sys.stdin.fileno()
    except OSError:  # it is not a file
        return
    if os.isatty(descriptor):
        time.sleep(TYPE_AHEAD_S)
        with suppress(termios.error):
            termios.tcflush(descriptor, termios.TCIFLUSH)
        buffered = io.BufferedReader(io.FileIO(descriptor, closefd=False))
        sys.stdin = io.TextIOWrapper(buffered, sys.stdin.encoding, "replace")
