"""Make the fresh world of a run: a folder of its own with a copy of the start state."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from .. import user_file
from ..errors import ToolError, UsageError
from ..tools.sandbox import process
from ..tools.sandbox.config import Limits, SandboxConfig
from ..tools.sandbox.isolation import best_available
from . import fixture_main
from .scenario import FixtureFunction, StartState

FIXTURE_LIMITS = Limits(timeout=60.0)


@contextmanager
def fresh_world(start: StartState) -> Iterator[Path]:
    """Return a new folder with a copy of the start state; it is removed afterwards.

    Raises:
        UsageError: the start state cannot be made.
    """
    with tempfile.TemporaryDirectory(prefix="xlam-check-", ignore_cleanup_errors=True) as name:
        world = Path(name).resolve() / "world"
        try:
            if start.folder is not None:
                shutil.copytree(start.folder, world, symlinks=True)
            else:
                world.mkdir()
            if start.database is not None:
                _copy_database(start.database, world)
        except (OSError, shutil.Error) as error:
            raise UsageError(f"The start state cannot be copied: {error}.") from error
        if start.setup is not None:
            call_fixture(start.setup, world)
        yield world


def call_fixture(function: FixtureFunction, world: Path, *arguments: Any) -> str | None:
    """Call a function of the user with the world and arguments; return its text, or None.

    It runs isolated if this machine can isolate programs, and can write in the world only.

    Raises:
        UsageError: the function failed.
    """
    request = {
        "path": str(function.path),
        "text": function.text,
        "function": function.name,
        "arguments": arguments,
    }
    source = Path(fixture_main.__file__).read_text(encoding="utf-8")
    sandbox = SandboxConfig(world, best_available(), FIXTURE_LIMITS)
    try:
        done = process.run(
            [sys.executable, "-I", "-c", source], sandbox, json.dumps(request).encode()
        )
    except ToolError as error:
        raise UsageError(f"{function.place} cannot run: {error}") from error
    if done.exit_code or done.stop_reason:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = done.stop_reason or " ".join(lines[-1:]) or f"exit code {done.exit_code}"
        raise UsageError(f"{function.place} failed: {reason}.")
    try:
        value = json.loads(done.stdout.splitlines()[-1])["value"]
    except (ValueError, IndexError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"{function.place} ended without a result.") from error
    return None if value is None else str(value)


def _copy_database(path: Path, world: Path) -> None:
    if path.suffix != ".sql":
        shutil.copy(path, world / path.name)
        return
    script = user_file.read_text(path)
    try:
        with closing(sqlite3.connect(world / f"{path.stem}.db")) as database:
            database.set_authorizer(_deny_other_files)
            database.executescript(script)
            database.commit()
    except sqlite3.Error as error:
        raise UsageError(f"{path} is no SQL script for SQLite: {error}.") from error


def _deny_other_files(action: int, *_details: Sequence[str] | str | None) -> int:
    """Deny what opens another database file."""
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK
