"""A file that grows from a broken download to a whole one, hashed while it is written."""

from __future__ import annotations

import errno
import mmap
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from .digest import Digest
from .types import Progress

BUFFER = 2 << 20
BUFFERS = 4
"""At most what these hold is lost, and fetched twice, when the process is killed."""
BLOCK = 4096
"""What direct writes begin and end at."""
LONGEST = 1.0
"""Seconds that bytes wait for a buffer to become full."""
QUICK = 0.02
"""Seconds in which a buffer becomes full where a copy less is worth more than a warm page cache:
100 MB/s."""
OFTEN = 0.1
"""Seconds of reading after which its progress is told."""
FLUSH = 64 << 20
"""Bytes after which the system is told to bring to the disk what it has, so that the end of a
download need not wait for all of it."""


class _Buffer:
    """Bytes of the file on their way."""

    def __init__(self) -> None:
        self.memory = memoryview(mmap.mmap(-1, BUFFER))
        """It begins at a page, as direct writes must."""
        self.begin(0)

    def begin(self, start: int) -> None:
        """Be empty; its first byte is that of the file at `start`, its last one ends a block."""
        self.start, self.count = start, 0
        self.most = BUFFER - start % BLOCK
        self.since = time.monotonic()
        self.quick = False
        """Whether it became full in no time."""
        self.users = 0

    @property
    def ready(self) -> bool:
        """Whether it is full, or was filled for long enough."""
        return self.count == self.most or time.monotonic() - self.since > LONGEST


class Writer:
    """Appends to a partial file, while one thread writes, one hashes and one flushes.

    Where bytes come faster than most networks bring them, whole buffers go to the disk directly:
    to copy them into the page cache takes as long as to hash them. Otherwise they go through the
    cache, where the model that is loaded next finds them.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.size = 0
        """Bytes that have come; all but the last few are in the file."""
        self._file = path.open("r+b" if path.exists() else "w+b", buffering=0)
        self._direct = _opened_direct(path)
        self._digest = Digest()
        self._filling: _Buffer | None = None
        self._error: OSError | None = None
        """Why the file cannot be written."""
        self._lock = threading.Lock()
        self._free: SimpleQueue[_Buffer] = SimpleQueue()
        for _ in range(BUFFERS):
            self._free.put(_Buffer())
        self._to_hash: SimpleQueue[_Buffer | None] = SimpleQueue()
        self._to_write: SimpleQueue[_Buffer | None] = SimpleQueue()
        self._to_flush: SimpleQueue[bool] = SimpleQueue()
        self._threads = [
            threading.Thread(target=work, daemon=True)
            for work in (self._hash, self._write, self._flush)
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
        self._pass_on()
        self._to_hash.put(None)
        self._to_write.put(None)
        self._to_flush.put(False)
        for thread in self._threads:
            thread.join()
        self._file.close()
        self._close_direct()

    def take_up(self, most: int) -> Iterator[Progress]:
        """Hash what is in the file already, up to `most` bytes; what is beyond goes."""
        total = min(os.fstat(self._file.fileno()).st_size, most)
        self._file.truncate(total)
        while self.size < total:
            buffer = self._free.get()
            buffer.begin(self.size)
            buffer.count = self._file.readinto(buffer.memory[: total - self.size]) or 0
            self.size += buffer.count
            self._share(buffer, self._to_hash)
            yield Progress(self.size, total, "checking what is here")

    def fill(self, most: int, read: Callable[[memoryview], int]) -> int:
        """Append up to `most` bytes that `read` puts into a buffer, for OFTEN at most.

        How many those are; 0 when `read` has no more.

        Raises:
            OSError: the file cannot be written; what came before is in it.
        """
        if self._filling is None:
            self._filling = self._free.get()
            self._filling.begin(self.size)
        if self._error is not None:
            raise self._error
        buffer, before, until = self._filling, self.size, time.monotonic() + OFTEN
        end = min(buffer.most, buffer.count + most)
        while buffer.count < end and (count := read(buffer.memory[buffer.count : end])):
            buffer.count += count
            self.size += count
            if time.monotonic() > until:
                break
        if buffer.ready:
            self._pass_on()
        if self.size // FLUSH != before // FLUSH:
            self._to_flush.put(True)
        return self.size - before

    def rewind(self) -> None:
        """Begin anew with an empty file."""
        self._settle()
        self._file.truncate(0)
        self._digest = Digest()
        self.size = 0

    def finish(self) -> Digest:
        """The digest of the whole file, which is safe on the disk from now on."""
        self._settle()
        if self._error is not None:
            raise self._error
        os.fsync(self._file.fileno())
        return self._digest

    def _pass_on(self) -> None:
        """Write and hash what has come."""
        if self._filling is not None:
            buffer, self._filling = self._filling, None
            buffer.quick = buffer.count == BUFFER and time.monotonic() - buffer.since < QUICK
            self._share(buffer, self._to_hash, self._to_write)

    def _share(self, buffer: _Buffer, *queues: SimpleQueue[_Buffer | None]) -> None:
        buffer.users = len(queues)
        for queue in queues:
            queue.put(buffer)

    def _release(self, buffer: _Buffer) -> None:
        with self._lock:
            buffer.users -= 1
            if not buffer.users:
                self._free.put(buffer)

    def _settle(self) -> None:
        """Wait until everything is written and hashed."""
        self._pass_on()
        buffers = [self._free.get() for _ in range(BUFFERS)]
        for buffer in buffers:
            self._free.put(buffer)

    # What the threads do.

    def _hash(self) -> None:
        while (buffer := self._to_hash.get()) is not None:
            self._digest.update(buffer.memory[: buffer.count])
            self._release(buffer)

    def _write(self) -> None:
        while (buffer := self._to_write.get()) is not None:
            try:
                if self._error is None:
                    self._put(buffer)
            except OSError as error:
                self._error = error  # for whoever waits for the bytes; none are written after it
            self._release(buffer)

    def _put(self, buffer: _Buffer) -> None:
        data = buffer.memory[: buffer.count]
        if self._direct is not None and buffer.quick:
            try:
                _write_at(self._direct, data, buffer.start)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                self._close_direct()  # The file system cannot do that after all.
            else:
                return
        _write_at(self._file.fileno(), data, buffer.start)

    def _close_direct(self) -> None:
        if self._direct is not None:
            os.close(self._direct)
            self._direct = None

    def _flush(self) -> None:
        while self._to_flush.get():
            # The last flush of all tells of a disk that fails.
            with suppress(OSError):
                os.fsync(self._file.fileno())


def _opened_direct(path: Path) -> int | None:
    """The file for writes past the page cache; None where that cannot be."""
    if not hasattr(os, "O_DIRECT"):
        return None
    try:
        return os.open(path, os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
    except OSError:
        return None


def _write_at(file: int, data: memoryview, start: int) -> None:
    os.lseek(file, start, os.SEEK_SET)
    while data:
        data = data[os.write(file, data) :]
