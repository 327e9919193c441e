"""A program in a terminal of its own, whose screen nobody sees but the test."""

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

PATIENCE = 60.0
ANSWERS = {
    b"\x1b[c": b"\x1b[?62;22c",
    b"\x1b[6n": b"\x1b[1;1R",
    b"\x1b[14t": b"\x1b[4;600;1000t",
    b"\x1b[16t": b"\x1b[6;20;10t",
}
"""What a terminal says of itself when it is asked; some programs wait for it."""


class Terminal:
    """Runs a command; what it writes is kept as it came."""

    def __init__(
        self,
        command: Sequence[str],
        size: tuple[int, int] = (100, 30),
        environment: Mapping[str, str] = os.environ,
        heard: Callable[[bytes], object] = lambda _: None,
    ) -> None:
        self.began = time.perf_counter()
        self.seen = b""
        self.heard = heard
        """Told of each piece that comes."""
        self.command = command
        width, height = size
        told = {**environment, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        told |= {"COLUMNS": str(width), "LINES": str(height)}
        self.child, self.fd = pty.fork()
        if self.child == 0:
            os.execvpe(command[0], list(command), told)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)
        os.close(self.fd)

    def read(self, seconds: float = 0.01) -> bool:
        """Take in what has come; whether the program still has its terminal."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            piece = os.read(self.fd, 65536)
        except OSError:
            return False
        self.seen += piece
        self.heard(piece)
        for query, answer in ANSWERS.items():
            self.type(answer * piece.count(query))
        return bool(piece)

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.fd, keys)

    def wait(self, text: str, since: int = 0, patience: float = PATIENCE) -> float:
        """Wait until a text has been written; seconds since the start."""
        wanted, until = text.encode(), time.perf_counter() + patience
        while wanted not in self.seen[since:]:
            if time.perf_counter() > until or not self.read():
                raise AssertionError(f"{self.command[0]} never wrote {text!r}.")
        return time.perf_counter() - self.began

    def end(self, patience: float = PATIENCE) -> None:
        """Wait until the program ends."""
        until = time.perf_counter() + patience
        while self.read(0.1):
            if time.perf_counter() > until:
                raise AssertionError(f"{self.command[0]} never ended.")
