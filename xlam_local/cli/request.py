"""The user's request: the words of the command line, piped text and attached files."""

from __future__ import annotations

import io
import select
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from .. import user_file
from ..attachments import attachment
from ..types import UserMessage

STDIN_WORD = "-"
SILENT_STDIN_S = 2.0
"""Seconds of silence on stdin after which a notice says that the program waits for it."""
WAITING = "Waiting for text on stdin. Press Ctrl+D to end it, or start the command with </dev/null."
MISSING = "Give a request, pipe it to stdin, or attach a file with -f."


def file_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option -f, which attaches files to the request."""
    return click.option(
        "-f",
        "--file",
        "files",
        multiple=True,
        type=click.Path(path_type=Path),
        help="Attach this text file to the request. Can be given several times.",
    )(command)


def read_request(
    words: Sequence[str], files: Sequence[Path] = (), *, required: bool = True
) -> UserMessage:
    """Return the request: TEXT, then the text on stdin, then the attached files.

    Stdin is read if it is not a terminal, or if the last word is `-`. If nothing is `required`,
    the request may be empty.

    Raises:
        UsageError: there is no request, TEXT is empty, or a file cannot be attached.
    """
    asks_for_stdin = bool(words) and words[-1] == STDIN_WORD
    words = words[:-1] if asks_for_stdin else words
    text = " ".join(words)
    user_file.check_characters(text, "The argument TEXT")
    if words and not text.strip():
        raise click.UsageError("The argument TEXT is empty.")
    piped = _read_stdin() if asks_for_stdin or not sys.stdin.isatty() else ""
    if asks_for_stdin and not piped:
        raise click.UsageError("Missing argument TEXT: stdin is empty.")
    attached = {str(path): attachment(str(path), path) for path in files}
    request = "\n\n".join(filter(None, [text, piped, *attached.values()]))
    if required and not request:
        missing = "" if sys.stdin.isatty() else ", and stdin is empty"
        raise click.UsageError(f"Missing argument TEXT{missing}. {MISSING}")
    return UserMessage(request, tuple(attached))


def _read_stdin() -> str:
    """Return what is piped to this program, without blank space at both ends."""
    if not sys.stdin.isatty() and not _is_readable(SILENT_STDIN_S):
        click.echo(WAITING, err=True)
    return user_file.read_stdin().strip()


def _is_readable(timeout: float) -> bool:
    """Return whether stdin has text or has ended after at most `timeout` seconds."""
    try:
        readable, _, _ = select.select([sys.stdin.buffer], [], [], timeout)
    except (io.UnsupportedOperation, ValueError, OSError):
        return True  # It has no descriptor, or is a file: reading it does not wait.
    return bool(readable)
