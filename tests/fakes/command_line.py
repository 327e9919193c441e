"""Run commands, in this process or in a fresh one."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from xlam_local.cli import run_command


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


class _Stdin(io.BytesIO):
    name = "<stdin>"


def run(*arguments: str, stdin: str = "") -> Finished:
    """Run a command in this process, without a terminal."""
    stdout, stderr = io.StringIO(), io.StringIO()
    text_in = io.TextIOWrapper(_Stdin(stdin.encode()), encoding="utf-8")
    with (
        mock.patch.object(sys, "stdin", text_in),
        redirect_stdout(stdout),
        redirect_stderr(stderr),
        _restored_log(),
    ):
        returncode = run_command(list(arguments))
    return Finished(returncode, stdout.getvalue(), stderr.getvalue())


def run_process(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command in a fresh process, as a script starts it."""
    return subprocess.run(
        [sys.executable, "-m", "xlam_local", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
        timeout=120,
    )


@contextmanager
def _restored_log() -> Iterator[None]:
    """Undo what a command does to the program's log."""
    log = logging.getLogger("xlam_local")
    before = (log.handlers, log.level, log.propagate)
    try:
        yield
    finally:
        for handler in log.handlers:
            handler.close()
        log.handlers, log.level, log.propagate = before


def write_tools(folder: Path, content: object) -> str:
    """Write a tool file, given as JSON or as text; return its path."""
    path = folder / "tools.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)
