"""A file that grows from a broken download to a whole one, hashed while it is written."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from .digest import Digest
from .types import Progress

BUFFER = 256 << 10
BUFFERS = 16


class Writer:
    """Appends to a partial file in a thread that hashes too, from buffers that are used again."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.size = 0
        """Bytes that are in the file or on their way into it."""
        self._file = path.open("r+b" if path.exists() else "w+b", buffering=0)
        self.digest = Digest()
        self._free: SimpleQueue[bytearray] = SimpleQueue()
        self._full: SimpleQueue[tuple[bytearray, int] | None] = SimpleQueue()
        self._error: OSError | None = None
        for _ in range(BUFFERS):
            self._free.put(bytearray(BUFFER))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._full.put(None)
        self._thread.join()
        self._file.close()

    def take_up(self, most: int) -> Iterator[Progress]:
        """Hash what is in the file already, up to `most` bytes; what is beyond goes."""
        total = min(os.fstat(self._file.fileno()).st_size, most)
        self._file.truncate(total)
        buffer = bytearray(BUFFER)
        while self.size < total:
            got = self._file.readinto(memoryview(buffer)[: total - self.size])
            self.digest.update(memoryview(buffer)[:got])
            self.size += got
            yield Progress(self.size, total, "checking what is here")

    def rewind(self) -> None:
        """Begin anew with an empty file."""
        self.settle()
        self._file.seek(0)
        self._file.truncate(0)
        self.digest = Digest()
        self.size = 0

    def fill(self, most: int, read: Callable[[memoryview], int]) -> int:
        """Append what `read` puts into a buffer of at most `most` bytes; how many those are."""
        buffer, count = self._free.get(), 0
        try:
            if self._error is not None:
                raise self._error
            count = read(memoryview(buffer)[:most])
        finally:
            self.size += count
            self._full.put((buffer, count))
        return count

    def settle(self) -> None:
        """Wait until everything is written."""
        buffers = [self._free.get() for _ in range(BUFFERS)]
        for buffer in buffers:
            self._free.put(buffer)
        if self._error is not None:
            raise self._error

    def finish(self) -> Digest:
        """The digest of the whole file, which is safe on the disk from now on."""
        self.settle()
        os.fsync(self._file.fileno())
        return self.digest

    def _run(self) -> None:
        while (full := self._full.get()) is not None:
            buffer, count = full
            if self._error is None:
                try:
                    self._append(memoryview(buffer)[:count])
                except OSError as error:
                    self._error = error
            self._free.put(buffer)

    def _append(self, piece: memoryview) -> None:
        self.digest.update(piece)
        while piece:
            piece = piece[self._file.write(piece) :]
