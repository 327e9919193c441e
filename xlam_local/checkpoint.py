"""Save the results of long work in a JSONL file, one line per row, so that it can be resumed.

The file holds the results and is the checkpoint. Beside it, `NAME.run` holds the fingerprint:
everything that changes results. A run with another fingerprint is refused.
"""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from . import atomic_file, user_file
from .errors import IntegrityError, UsageError, XlamError

Row = Mapping[str, Any]

SYNC_INTERVAL_S = 1.0
"""A power failure loses at most the rows of this time; a kill loses none."""
MAX_SHOWN_CHARS = 60


class CheckpointError(XlamError):
    """A result cannot be written, for example because the disk is full."""


class Checkpoint:
    """The rows of a JSONL file, each with an id; `open` locks the file. Threads may share it."""

    def __init__(self, path: Path, key: str, descriptor: int) -> None:
        self.path = path
        self.cut_bytes = 0
        """The bytes of an incomplete last line, which were removed when the file was opened."""
        self._key = key
        self._descriptor = descriptor
        self._places: dict[str, tuple[int, int]] = {}
        """The offset and the length of each row's line, in the order of the file."""
        self._size = 0
        self._synced_at = time.monotonic()
        self._mutex = threading.Lock()

    @classmethod
    @contextmanager
    def open(
        cls, path: Path, fingerprint: Mapping[str, Any], *, key: str = "id"
    ) -> Iterator[Checkpoint]:
        """Create the file at `path`, or open it to add rows; lock it while it is open.

        `fingerprint` names everything that changes results, as JSON: the model's hash, the seed,
        the version of the program. `key` is the field of a row with its id. An incomplete last
        line, which a killed program leaves, is removed.

        Raises:
            UsageError: another program writes the file, or it has results of another fingerprint.
            IntegrityError: a line before the last one is damaged.
            CheckpointError: the file cannot be written.
        """
        checkpoint = cls(path, key, _open_locked(path))
        try:
            checkpoint._check_fingerprint(json.loads(json.dumps(dict(fingerprint))))
            checkpoint._read()
            yield checkpoint
            checkpoint._sync()
        finally:
            os.close(checkpoint._descriptor)

    @property
    def done(self) -> Set[str]:
        """The ids of the rows in the file."""
        return self._places.keys()

    def append(self, row: Row) -> None:
        """Add a row: its whole line is written, or nothing.

        Raises:
            CheckpointError: the line cannot be written; the rows before it are complete.
        """
        line = to_line(row)
        with self._mutex:
            if row[self._key] in self._places:
                raise ValueError(f"{self.path} already has a row with the id {row[self._key]!r}.")
            try:
                self._write(line)
            except OSError as error:
                with suppress(OSError):
                    os.ftruncate(self._descriptor, self._size)
                raise self._unwritable(error) from error
            self._places[row[self._key]] = (self._size, len(line))
            self._size += len(line)
            if time.monotonic() - self._synced_at > SYNC_INTERVAL_S:
                self._sync()

    def rows(self) -> Iterator[Row]:
        """Yield the rows in the order of the file."""
        for place in list(self._places.values()):
            yield json.loads(self._line_at(place))

    def remove(self, unwanted: Callable[[Row], bool]) -> int:
        """Remove rows, for example failed ones that are to run again; return their number."""
        kept = [row[self._key] for row in self.rows() if not unwanted(row)]
        removed = len(self._places) - len(kept)
        if removed:
            self._rewrite(kept)
        return removed

    def sort(self, ids: Iterable[str]) -> None:
        """Bring the rows into the order of `ids`; others follow in their old order."""
        first = [name for name in dict.fromkeys(ids) if name in self._places]
        known = set(first)
        self._rewrite([*first, *(name for name in self._places if name not in known)])

    def _check_fingerprint(self, fingerprint: Row) -> None:
        file = self.path.with_name(f"{self.path.name}.run")
        if os.fstat(self._descriptor).st_size:
            _compare(self.path, file, fingerprint)
            return
        try:
            atomic_file.write_text(file, json.dumps(fingerprint, indent=1) + "\n")
        except OSError as error:
            raise CheckpointError(f"{file} cannot be written: {error.strerror}.") from error

    def _read(self) -> None:
        """Find the rows; remove an incomplete end."""
        damage: IntegrityError | None = None
        offset = 0
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            file.seek(0)
            for number, line in enumerate(file, 1):
                try:
                    name = self._id(line)
                except ValueError as error:
                    damage = damage or IntegrityError(
                        f"{self.path}, line {number}, is damaged: {error}. "
                        "Remove the line; its row runs again."
                    )
                else:
                    if damage:
                        raise damage
                    if name in self._places:
                        raise IntegrityError(
                            f"{self.path}, line {number}, repeats the id {_short(name)}. "
                            "Remove one of the lines."
                        )
                    self._places[name] = (offset, len(line))
                    self._size = offset + len(line)
                offset += len(line)
        self.cut_bytes = offset - self._size
        if self.cut_bytes:
            os.ftruncate(self._descriptor, self._size)

    def _id(self, line: bytes) -> str:
        """Return the id of a line; raise ValueError with the reason if the row is not complete."""
        if not line.endswith(b"\n"):
            raise ValueError("it has no end")
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError("it is not JSON") from error
        if not isinstance(row, dict) or not isinstance(row.get(self._key), str):
            raise ValueError(f"it has no {self._key}")
        return str(row[self._key])

    def _line_at(self, place: tuple[int, int]) -> bytes:
        offset, length = place
        return os.pread(self._descriptor, length, offset)

    def _write(self, data: bytes) -> None:
        # A full disk can take a part of a line, and fails only at the next write.
        while data:
            data = data[os.write(self._descriptor, data) :]

    def _sync(self) -> None:
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise self._unwritable(error) from error
        self._synced_at = time.monotonic()

    def _rewrite(self, names: Iterable[str]) -> None:
        """Replace the file by one with these rows; the lock is held on both."""
        new_path = self.path.with_name(f".{self.path.name}.new")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        with self._mutex:
            new = Checkpoint(self.path, self._key, -1)
            try:
                new_path.unlink(missing_ok=True)
                mode = stat.S_IMODE(os.fstat(self._descriptor).st_mode)
                new._descriptor = os.open(new_path, flags, mode)
                atomic_file.lock(new._descriptor, timeout_s=0)
                for name in names:
                    line = self._line_at(self._places[name])
                    new._write(line)
                    new._places[name] = (new._size, len(line))
                    new._size += len(line)
                os.fsync(new._descriptor)
                new_path.replace(self.path)
            except OSError as error:
                with suppress(OSError):
                    os.close(new._descriptor)
                    new_path.unlink()
                raise self._unwritable(error) from error
            os.close(self._descriptor)
            self._descriptor, self._places, self._size = new._descriptor, new._places, new._size

    def _unwritable(self, error: OSError) -> CheckpointError:
        return CheckpointError(
            f"{self.path} cannot be written: {error.strerror}. It has {len(self._places)} complete "
            "rows; run the same command again to continue."
        )


def _open_locked(path: Path) -> int:
    """Return a descriptor of the file at `path`, which is created if needed, with its lock."""
    while True:
        descriptor = _open(path)
        try:
            atomic_file.lock(descriptor, timeout_s=0)
            # A program that rewrites the file may have replaced it after it was opened here.
            with suppress(FileNotFoundError):
                if os.path.samestat(path.stat(), os.fstat(descriptor)):
                    return descriptor
        except OSError as error:
            os.close(descriptor)
            raise UsageError(
                f"Another program writes {path}. Wait until it ends, or use another file."
            ) from error
        os.close(descriptor)


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, atomic_file.PRIVATE_FILE)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error
    except ValueError as error:
        raise UsageError(f"{str(path)!r} is not a valid path: {error}.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UsageError(f"{path} is not a regular file, so work could not be resumed from it.")
    return descriptor


def _compare(path: Path, file: Path, fingerprint: Row) -> None:
    try:
        saved = user_file.read_json(file)
    except user_file.FileMissing as error:
        raise UsageError(
            f"{path} was not written by this command: {file.name} is missing. Use another file."
        ) from error
    if not isinstance(saved, dict):
        raise UsageError(f"{file} is not the fingerprint of a run. Use another file.")
    if changed := [
        key
        for key in sorted({*saved, *fingerprint})
        if _json(saved.get(key)) != _json(fingerprint.get(key))
    ]:
        differences = "; ".join(
            f"{key} was {_short(saved.get(key))} and is now {_short(fingerprint.get(key))}"
            for key in changed
        )
        raise UsageError(
            f"{path} has results of another run: {differences}. Use another file, or delete it."
        )


def to_line(row: Row) -> bytes:
    """Return a row as a line of UTF-8; a row with half of a surrogate pair is written in ASCII."""
    text = json.dumps(row, ensure_ascii=False, allow_nan=False)
    try:
        return f"{text}\n".encode()
    except UnicodeEncodeError:
        return f"{json.dumps(row, allow_nan=False)}\n".encode()


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _short(value: object) -> str:
    text = _json(value)
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}…"
