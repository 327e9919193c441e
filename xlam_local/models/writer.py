"""A file that grows from a broken download to a whole one, hashed while it is written."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from .digest import Digest
from .types import Progress

BUFFER = 512 << 10
BUFFERS = 8
FLUSH = 64 << 20
"""Bytes after which the system is told to bring to the disk what it has, so that the end of a
download need not wait for all of it."""


class Writer:
    """Appends to a partial file; beside it one thread hashes, and one brings bytes to the disk."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.size = 0
        """Bytes that are in the file."""
        self._file = path.open("r+b" if path.exists() else "w+b", buffering=0)
        self._digest = Digest()
        self._free: SimpleQueue[bytearray] = SimpleQueue()
        self._full: SimpleQueue[tuple[bytearray, int] | None] = SimpleQueue()
        for _ in range(BUFFERS):
            self._free.put(bytearray(BUFFER))
        self._flushing: SimpleQueue[bool] = SimpleQueue()
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._hash, self._flush)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._full.put(None)
        self._flushing.put(False)
        for thread in self._threads:
            thread.join()
        self._file.close()

    def take_up(self, most: int) -> Iterator[Progress]:
        """Hash what is in the file already, up to `most` bytes; what is beyond goes."""
        total = min(os.fstat(self._file.fileno()).st_size, most)
        self._file.truncate(total)
        while self.size < total:
            self._use(total - self.size, self._file.readinto)
            yield Progress(self.size, total, "checking what is here")

    def fill(self, most: int, read: Callable[[memoryview], int]) -> int:
        """Append what `read` puts into a buffer of at most `most` bytes; how many those are."""

        def written(buffer: memoryview) -> int:
            count = read(buffer)
            piece = buffer[:count]
            while piece:
                piece = piece[self._file.write(piece) :]
            return count

        before = self.size
        count = self._use(most, written)
        if before // FLUSH != self.size // FLUSH:
            self._flushing.put(True)
        return count

    def rewind(self) -> None:
        """Begin anew with an empty file."""
        self._settle()
        self._file.seek(0)
        self._file.truncate(0)
        self._digest = Digest()
        self.size = 0

    def finish(self) -> Digest:
        """The digest of the whole file, which is safe on the disk from now on."""
        self._settle()
        os.fsync(self._file.fileno())
        return self._digest

    def _use(self, most: int, put: Callable[[memoryview], int]) -> int:
        """Let `put` fill a free buffer, and hash what it put there."""
        buffer, count = self._free.get(), 0
        try:
            count = put(memoryview(buffer)[:most])
        finally:
            self._full.put((buffer, count))
        self.size += count
        return count

    def _settle(self) -> None:
        """Wait until everything is hashed."""
        buffers = [self._free.get() for _ in range(BUFFERS)]
        for buffer in buffers:
            self._free.put(buffer)

    def _hash(self) -> None:
        while (full := self._full.get()) is not None:
            buffer, count = full
            self._digest.update(memoryview(buffer)[:count])
            self._free.put(buffer)

    def _flush(self) -> None:
        while self._flushing.get():
            # The last flush of all tells of a disk that fails.
            with suppress(OSError):
                os.fsync(self._file.fileno())
