"""Open and check the SQLite file: repair a damaged one, and only read one that is read-only."""

from __future__ import annotations

import errno
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from ..atomic_file import PRIVATE_FILE, make_folder
from ..errors import HistoryError
from .recovery import DatabaseImage
from .salvage import salvage
from .schema import MIGRATIONS, VERSION

BUSY_TIMEOUT_S = 5.0
"""Seconds to wait for another program's lock."""
FILE_SUFFIXES = ("", "-wal", "-shm")
"""Suffixes of the database's files."""
MIN_DATABASE_BYTES = 512
"""A file with a write-ahead log has at least its first page."""
READ_ONLY_ERRORS = {errno.EROFS, errno.EACCES, errno.EPERM}


class DatabaseDamaged(HistoryError):
    """The file is not a database, or is damaged."""


class DatabaseReadOnly(HistoryError):
    """The file or its folder cannot be written."""


@dataclass(frozen=True, slots=True)
class OpenDatabase:
    """An open database."""

    connection: sqlite3.Connection
    note: str = ""
    """A sentence about repairs, or why it is read-only; "" if neither."""
    read_only: bool = False


def open_database(path: Path) -> OpenDatabase:
    """Open the database: repair it if it is damaged, and only read it if it cannot be written."""
    try:
        with _exclusive(path):
            try:
                return OpenDatabase(_connect(path))
            except DatabaseDamaged as error:
                return _repair(path, error)
    except DatabaseReadOnly as error:
        return _open_read_only(path, error)


def _repair(path: Path, error: DatabaseDamaged) -> OpenDatabase:
    """Move a damaged database aside, and copy what is left of it into a new one."""
    aside = set_aside(path)
    connection = _connect(path)
    saved = _salvage(aside, connection)
    return OpenDatabase(
        connection,
        f"The history was damaged ({error}). The damaged file is now {aside.name}; {saved} "
        "conversations were recovered.",
    )


def _salvage(aside: Path, into: sqlite3.Connection) -> int:
    return salvage(DatabaseImage(aside), into, aside.stat().st_mtime)


def _open_read_only(path: Path, error: DatabaseReadOnly) -> OpenDatabase:
    """Load a database that cannot be written, because SQLite needs files beside it."""
    connection = _new_connection(":memory:")
    try:
        if path.exists():
            try:
                connection.deserialize(DatabaseImage(path).to_bytes())
                _prepare(connection, path)
            except (sqlite3.DatabaseError, UnicodeDecodeError, DatabaseDamaged):
                connection.close()
                connection = _new_connection(":memory:")
                _prepare(connection, path)
                _salvage(path, connection)
        else:
            _prepare(connection, path)
        connection.execute("PRAGMA query_only = ON")
    except OSError as fault:
        raise HistoryError(f"{path} cannot be read: {fault.strerror}.") from fault
    return OpenDatabase(connection, f"{error} It is opened read-only.", read_only=True)


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Convert SQLite's errors to HistoryError."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise _operational(error, path) from error
    except sqlite3.IntegrityError:
        raise
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        # The message of an error can quote a damaged name, which is not UTF-8.
        raise DatabaseDamaged(f"{path}: {error}") from error


def _operational(error: sqlite3.OperationalError, path: Path) -> HistoryError:
    code = getattr(error, "sqlite_errorname", "")
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return HistoryError(f"The history is locked by another program ({path}); try again later.")
    if code.startswith("SQLITE_FULL"):
        return HistoryError(f"The history is not saved: no space left on the disk of {path}.")
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return DatabaseDamaged(f"{path}: {error}")
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
        return DatabaseReadOnly(f"The history at {path} cannot be written: {error}.")
    return HistoryError(f"The history at {path} cannot be used: {error}.")


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Hold the lock that excludes other programs while the file is opened or moved."""
    try:
        make_folder(path.parent)
        lock_path = path.with_name(f"{path.name}.lock")
        lock = FileLock(lock_path, timeout=BUSY_TIMEOUT_S, mode=PRIVATE_FILE)
        lock.acquire()
    except Timeout as error:
        raise HistoryError(f"The history is locked by another program ({path}).") from error
    except OSError as error:
        message = f"The history at {path} cannot be written: {error.strerror}."
        if path.exists() or error.errno in READ_ONLY_ERRORS:
            raise DatabaseReadOnly(message) from error
        raise HistoryError(message) from error
    with _released(lock):
        yield


@contextmanager
def _released(lock: FileLock) -> Iterator[None]:
    """Release the lock at the end."""
    try:
        yield
    finally:
        lock.release()


def _connect(path: Path) -> sqlite3.Connection:
    log = path.with_name(f"{path.name}-wal")
    if _size(path) < MIN_DATABASE_BYTES and _size(log):
        raise DatabaseDamaged(f"{path} is cut")  # SQLite would delete the log.
    with suppress(OSError):  # created with mode 0600; SQLite reports any error
        path.touch(PRIVATE_FILE, exist_ok=False)
    with sqlite_errors(path):
        connection = _new_connection(path)
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def _size(path: Path) -> int:
    """Return the size of a file; 0 if there is none."""
    return path.stat().st_size if path.exists() else 0


def _new_connection(path: Path | str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    # A damaged text is no error for the rows beside it.
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise DatabaseDamaged(str(verdict).replace("\n", " "))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise HistoryError(f"{path} was written by a newer xlam-local; update this one.")
    if version < VERSION:
        # One transaction: a program that is killed leaves the old version or the new one.
        steps = "".join(MIGRATIONS[version:])
        connection.executescript(f"BEGIN IMMEDIATE;{steps}PRAGMA user_version = {VERSION};COMMIT;")


def set_aside(path: Path) -> Path:
    """Rename a damaged database and its companion files; return the new path."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    for end in FILE_SUFFIXES:
        with suppress(FileNotFoundError):
            path.with_name(path.name + end).rename(aside.with_name(aside.name + end))
    return aside
