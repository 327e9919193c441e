"""The SQLite file: opened, checked, and set aside where it is damaged."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import HistoryError

VERSION = 1
PATIENCE = 5.0
"""Seconds that another program may hold the file."""
COMPANIONS = ("", "-wal", "-shm")
"""What the names of the database's files end in."""
SCHEMA = """
CREATE TABLE conversation (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    title TEXT NOT NULL,
    created REAL NOT NULL,
    changed REAL NOT NULL,
    model TEXT NOT NULL DEFAULT '',
    folder TEXT NOT NULL DEFAULT ''
);
CREATE INDEX conversation_changed ON conversation (changed DESC);
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
    place INTEGER NOT NULL,
    kind TEXT NOT NULL,
    packed TEXT NOT NULL,
    words TEXT NOT NULL,
    UNIQUE (conversation, place)
);
CREATE TABLE piece (
    id INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
    text TEXT NOT NULL
);
CREATE INDEX piece_conversation ON piece (conversation);
CREATE VIRTUAL TABLE found USING fts5 (
    words, content='message', content_rowid='id', tokenize='unicode61 remove_diacritics 2'
);
CREATE TRIGGER message_added AFTER INSERT ON message BEGIN
    INSERT INTO found (rowid, words) VALUES (new.id, new.words);
END;
CREATE TRIGGER message_removed AFTER DELETE ON message BEGIN
    INSERT INTO found (found, rowid, words) VALUES ('delete', old.id, old.words);
END;
"""


class Damaged(HistoryError):
    """The file is no database, or a broken one."""


def open_database(path: Path) -> tuple[sqlite3.Connection, str]:
    """The database at `path`, and a sentence about what had to be done to it."""
    with _alone(path):
        try:
            return _opened(path), ""
        except Damaged as error:
            aside = set_aside(path)
            connection = _opened(path)
            saved = salvage(aside, connection)
            return connection, (
                f"The history was damaged ({error}); it is kept as {aside.name}, and {saved} "
                "conversations could be read from it."
            )


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn what SQLite says into sentences."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise _operational(error, path) from error
    except sqlite3.IntegrityError:
        raise
    except sqlite3.DatabaseError as error:
        raise Damaged(f"{path}: {error}") from error


def _operational(error: sqlite3.OperationalError, path: Path) -> HistoryError:
    code = getattr(error, "sqlite_errorname", "")
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return HistoryError(f"The history is held by another program ({path}); try again later.")
    if code.startswith("SQLITE_FULL"):
        return HistoryError(f"The history is not saved: no room is left for {path}.")
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return Damaged(f"{path}: {error}")
    return HistoryError(f"The history at {path} cannot be used: {error}.")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other programs from opening, and from setting aside, at the same time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f"{path.name}.lock"), timeout=PATIENCE)
        lock.acquire()
    except Timeout as error:
        raise HistoryError(f"The history is held by another program ({path}).") from error
    except OSError as error:
        raise HistoryError(f"{error.filename} cannot be written: {error.strerror}.") from error
    with closing_lock(lock):
        yield


@contextmanager
def closing_lock(lock: FileLock) -> Iterator[None]:
    """Release the lock at the end."""
    try:
        yield
    finally:
        lock.release()


def _opened(path: Path) -> sqlite3.Connection:
    with suppress(OSError):  # nobody else reads it; SQLite says what is wrong with it
        path.touch(0o600, exist_ok=False)
    with told(path):
        connection = sqlite3.connect(
            path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise Damaged(str(verdict).replace("\n", " "))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise HistoryError(f"{path} was written by a newer xlam-local; update this one.")
    if version < VERSION:
        connection.executescript(f"BEGIN;{SCHEMA}PRAGMA user_version = {VERSION};COMMIT;")


def set_aside(path: Path) -> Path:
    """Give a damaged database another name, with all that belongs to it."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    for end in COMPANIONS:
        with suppress(FileNotFoundError):
            path.with_name(path.name + end).rename(aside.with_name(aside.name + end))
    return aside


def salvage(aside: Path, into: sqlite3.Connection) -> int:
    """Copy what can still be read of a damaged database; how many conversations that is."""
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(aside)) as old:
        for table, columns in (
            ("conversation", "id, title, created, changed, model, folder"),
            ("message", "id, conversation, place, kind, packed, words"),
            ("piece", "id, conversation, text"),
        ):
            for row in _readable(old, table, columns):
                marks = ", ".join("?" * len(row))
                with suppress(sqlite3.IntegrityError):
                    into.execute(f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})", row)
    (saved,) = into.execute("SELECT count(*) FROM conversation").fetchone()
    return int(saved)


def _readable(old: sqlite3.Connection, table: str, columns: str) -> Iterator[tuple[object, ...]]:
    """The rows before the first damaged page, and those after the last."""
    for order in ("ASC", "DESC"):
        try:
            yield from old.execute(f"SELECT {columns} FROM {table} ORDER BY id {order}")
            return
        except sqlite3.DatabaseError:
            continue
