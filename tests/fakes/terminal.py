"""Run a program in a pseudo-terminal and read what it writes."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Self

TIMEOUT_S = 60.0
READ_BYTES = 65536
TERMINAL_REPLIES = {
    b"\x1b[c": b"\x1b[?62;22c",
    b"\x1b[6n": b"\x1b[1;1R",
    b"\x1b[14t": b"\x1b[4;600;1000t",
    b"\x1b[16t": b"\x1b[6;20;10t",
}
"""The replies of a terminal to queries about itself; some programs wait for them."""


class Terminal:
    """A command in a pseudo-terminal."""

    def __init__(
        self,
        command: Sequence[str],
        size: tuple[int, int] = (100, 30),
        environment: Mapping[str, str] = os.environ,
        on_output: Callable[[bytes], object] = lambda _: None,
    ) -> None:
        self.started = time.perf_counter()
        self.output = b""
        """Everything that the program has written."""
        self.on_output = on_output
        """Called with each piece of the output."""
        self.command = command
        width, height = size
        variables = {**environment, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        variables |= {"COLUMNS": str(width), "LINES": str(height)}
        self.child, self.fd = pty.fork()
        if self.child == 0:
            os.execvpe(command[0], list(command), variables)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)
        os.close(self.fd)

    def read(self, seconds: float = 0.01) -> bool:
        """Read what the program has written; return False if it has closed its terminal."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            piece = os.read(self.fd, READ_BYTES)
        except OSError:
            return False
        self.output += piece
        self.on_output(piece)
        for query, reply in TERMINAL_REPLIES.items():
            self.type(reply * piece.count(query))
        return bool(piece)

    def type(self, keys: bytes) -> None:
        """Send keys to the program."""
        os.write(self.fd, keys)

    def wait_for(self, text: str, since: int = 0, timeout_s: float = TIMEOUT_S) -> float:
        """Wait until the output after position `since` has a text; return seconds since start."""
        deadline = time.perf_counter() + timeout_s
        while text.encode() not in self.output[since:]:
            if time.perf_counter() > deadline or not self.read():
                raise AssertionError(f"{self.command[0]} did not write {text!r}.")
        return time.perf_counter() - self.started

    def wait_for_exit(self, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until the program has ended."""
        deadline = time.perf_counter() + timeout_s
        while self.read(0.1):
            if time.perf_counter() > deadline:
                raise AssertionError(f"{self.command[0]} did not end.")
