"""The standard streams: closed, full, or in an encoding that lacks some characters."""

from __future__ import annotations

import codecs
import io
import json
import os
import re
import select
import sys
from collections.abc import Callable
from typing import Any, TextIO

import click

from ..errors import XlamError

NOT_ASCII = re.compile(r"[^\x00-\x7f]")
REPLACE = "xlam_local.replace"
CLOSED_FLAGS = (os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)
"""How /dev/null replaces a closed stream: writing to stdout fails, messages to stderr vanish."""


class OutputError(XlamError):
    """The results cannot be written to stdout."""


class OutputClosed(Exception):
    """The reader of stdout has exited, as after `| head`."""


class _OutputFile(io.FileIO):
    """A standard stream for writing; after the first error, all else is dropped."""

    def __init__(self, descriptor: int, report: Callable[[OSError], None]) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._report = report
        self._failed = False

    def write(self, data: Any, /) -> int:
        """Write some of the bytes; wait if the reader is slow and the stream does not block."""
        if self._failed:
            return len(data)
        try:
            while (count := super().write(data)) is None:
                select.select([], [self], [])
        except OSError as error:
            self._failed = True
            self._report(error)
            return len(data)
        return count


def _report_stdout(error: OSError) -> None:
    if isinstance(error, BrokenPipeError):
        raise OutputClosed from error
    raise OutputError(f"stdout cannot be written: {error.strerror}.") from error


def _report_stderr(error: OSError) -> None:
    """Ignore the error: it could only be reported on stderr itself."""


class _Replaced:
    """Whether a character was replaced, because the encoding of stdout lacks it."""

    seen = False


def prepare() -> None:
    """Make the standard streams of this process usable, whatever they are."""
    for descriptor, flags in enumerate(CLOSED_FLAGS):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, flags)  # the lowest free descriptor, which is this one
    codecs.register_error(REPLACE, _replace)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # for answers; files are read as bytes
    sys.stdout = _text(_OutputFile(1, _report_stdout), sys.stdout, REPLACE)
    sys.stderr = _text(_OutputFile(2, _report_stderr), sys.stderr, "backslashreplace")


def finish() -> None:
    """Flush stdout, and print a notice if characters were replaced.

    Raises:
        OutputError: stdout cannot be written.
    """
    sys.stdout.flush()
    if _Replaced.seen:
        click.echo(
            f"The encoding of stdout, {sys.stdout.encoding}, lacks some characters. They are "
            "replaced with question marks; set PYTHONIOENCODING=utf-8 to print them.",
            err=True,
        )


def echo_json(value: Any, indent: int | None = None) -> None:
    """Print a JSON value."""
    # Most commands print no JSON, and the format imports all types.
    from ..openai_format import dumps

    click.echo(encodable_json(dumps(value, indent)))


def encodable_json(text: str) -> str:
    """Return a JSON text for stdout; in another encoding than UTF-8, all but ASCII is escaped."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    if codecs.lookup(encoding).name == "utf-8":
        return text
    return NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text)


def _text(file: io.FileIO, before: TextIO | None, errors: str) -> io.TextIOWrapper:
    encoding = before.encoding if before is not None else "utf-8"
    return io.TextIOWrapper(io.BufferedWriter(file), encoding, errors, line_buffering=file.isatty())


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Replace characters by question marks, as the error handler "replace" does."""
    assert isinstance(error, UnicodeEncodeError)
    _Replaced.seen = True
    return "?" * (error.end - error.start), error.end
