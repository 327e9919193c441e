"""The state of a world, as lines of text that can be compared: files, and rows of databases."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from fnmatch import fnmatchcase
from pathlib import Path

from ..errors import XlamError

State = Mapping[str, tuple[str, ...]]
"""The lines of each file, by its path within the world."""
SQLITE_MAGIC = b"SQLite format 3\x00"
SQLITE_COMPANIONS = ("-wal", "-shm", "-journal")
MAX_COMPARED_BYTES = 1 << 20
"""Files over this size are compared by their hash."""
MAX_WORLD_FILES = 10_000
MAX_DIFF_LINES = 40


def read_state(folder: Path, ignore: Sequence[str] = ()) -> dict[str, tuple[str, ...]]:
    """Return the state of a world. Links are not followed.

    Raises:
        XlamError: a file cannot be read, or there are too many.
    """
    state: dict[str, tuple[str, ...]] = {}
    try:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if _is_ignored(name, ignore) or (path.is_dir() and not path.is_symlink()):
                continue
            if len(state) == MAX_WORLD_FILES:
                raise XlamError(f"The world of a run has more than {MAX_WORLD_FILES:,} files.")
            state[name] = tuple(_lines(path, ignore))
    except OSError as error:
        raise XlamError(f"The world of a run cannot be read: {error.strerror}.") from error
    return state


def state_diff(expected: State, found: State) -> list[str]:
    """Return the lines that are missing (-) and those that should not be there (+)."""
    lines: list[str] = []
    for name in sorted({*expected, *found}):
        wanted, present = Counter(expected.get(name, ())), Counter(found.get(name, ()))
        lines += [f"- {name}: {line}" for line in (wanted - present).elements()]
        lines += [f"+ {name}: {line}" for line in (present - wanted).elements()]
        if name not in expected or name not in found:
            lines += [f"{'-' if name in expected else '+'} {name}"]
    if not lines and expected != found:
        lines = [
            f"+ {name}: other order of lines" for name in found if found[name] != expected[name]
        ]
    left = len(lines) - MAX_DIFF_LINES
    return lines if left <= 0 else [*lines[:MAX_DIFF_LINES], f"... and {left} more lines"]


def _is_ignored(name: str, ignore: Sequence[str]) -> bool:
    return name.endswith(SQLITE_COMPANIONS) or any(fnmatchcase(name, one) for one in ignore)


def _lines(path: Path, ignore: Sequence[str]) -> Iterator[str]:
    if path.is_symlink():
        yield f"link to {path.readlink()}"
        return
    if not path.is_file():
        yield "no regular file"
        return
    with path.open("rb") as file:
        data = file.read(MAX_COMPARED_BYTES + 1)
    if data.startswith(SQLITE_MAGIC):
        yield from _database_lines(path, ignore)
    elif len(data) > MAX_COMPARED_BYTES or b"\x00" in data:
        with path.open("rb") as file:
            yield f"SHA-256 {hashlib.file_digest(file, 'sha256').hexdigest()}"
    else:
        yield from data.decode("utf-8", "backslashreplace").splitlines()


def _database_lines(path: Path, ignore: Sequence[str]) -> Iterator[str]:
    """Yield the tables of a database and their rows, whatever the order of rows."""
    try:
        with closing(sqlite3.connect(path)) as database:
            database.text_factory = lambda data: data.decode("utf-8", "backslashreplace")
            tables = database.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND sql IS NOT NULL "
                "AND sql NOT LIKE 'CREATE VIRTUAL%' AND name NOT LIKE 'sqlite_%' ORDER BY name"
            ).fetchall()
            for table, sql in tables:
                yield " ".join(sql.split())
                yield from sorted(_rows(database, table, ignore))
    except sqlite3.Error as error:
        yield f"no readable database: {error}"


def _rows(database: sqlite3.Connection, table: str, ignore: Sequence[str]) -> Iterator[str]:
    quoted = table.replace('"', '""')
    cursor = database.execute(f'SELECT * FROM "{quoted}"')
    columns = [description[0] for description in cursor.description]
    for values in cursor:
        row = {
            column: value.hex() if isinstance(value, bytes) else value
            for column, value in zip(columns, values, strict=True)
            if not any(fnmatchcase(f"{table}.{column}", one) for one in ignore)
        }
        yield f"{table} {json.dumps(row, ensure_ascii=False)}"
