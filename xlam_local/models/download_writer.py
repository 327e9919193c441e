"""Write a download to its partial file and hash it at the same time."""

from __future__ import annotations

import errno
import mmap
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from .checksum import Checksum
from .types import Progress

BUFFER_BYTES = 2 << 20
BUFFER_COUNT = 4
"""A kill loses at most the bytes of all buffers; they are downloaded again."""
PROGRESS_INTERVAL_S = 0.1
"""How long `append` reads before it returns, so that the progress is shown."""
FLUSH_INTERVAL_BYTES = 64 << 20
"""The file is flushed each time that so many bytes were written, so that the end of a download
does not wait for all of it."""


@dataclass(frozen=True, slots=True)
class WriterOptions:
    """When buffers are written, and how."""

    max_buffer_age_s: float = 1.0
    """A buffer that is filled more slowly is written before it is full."""
    fast_fill_s: float = 0.02
    """A buffer that is filled faster, at 100 MB/s or more, is written past the page cache."""
    direct_io_block: int = 4096
    """The alignment of writes past the page cache, in the file and in memory."""


DEFAULT_OPTIONS = WriterOptions()


class _Buffer:
    """Bytes between the network, the hash and the disk."""

    def __init__(self, options: WriterOptions) -> None:
        self.options = options
        self.memory = memoryview(mmap.mmap(-1, BUFFER_BYTES))
        """It begins at a page boundary, as direct writes require."""
        self.reset(0)

    def reset(self, start: int) -> None:
        """Empty the buffer; its first byte is at `start` in the file, its end at a block."""
        self.start, self.count = start, 0
        self.capacity = BUFFER_BYTES - start % self.options.direct_io_block
        self.reset_at = time.monotonic()
        self.filled_fast = False
        self.pending_uses = 0
        """How many threads still need the bytes."""

    @property
    def ready(self) -> bool:
        """Whether it is full or old enough to be written."""
        age = time.monotonic() - self.reset_at
        return self.count == self.capacity or age > self.options.max_buffer_age_s


class DownloadWriter:
    """Appends to a partial file, with one thread that writes, one that hashes, one that flushes.

    On a fast network, full buffers are written past the page cache (O_DIRECT), because copying
    them into it takes as long as hashing them. On others they go through it, so that a model that
    is loaded next is read from memory.
    """

    def __init__(self, path: Path, options: WriterOptions = DEFAULT_OPTIONS) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.size = 0
        """The bytes that have arrived; the last of them can still be in a buffer."""
        self._options = options
        self._file = path.open("r+b" if path.exists() else "w+b", buffering=0)
        self._direct_file = _open_direct(path)
        self._checksum = Checksum()
        self._filling: _Buffer | None = None
        self._error: OSError | None = None
        """The first error of writing the file; nothing is written after it."""
        self._lock = threading.Lock()
        self._free: SimpleQueue[_Buffer] = SimpleQueue()
        for _ in range(BUFFER_COUNT):
            self._free.put(_Buffer(options))
        self._to_hash: SimpleQueue[_Buffer | None] = SimpleQueue()
        self._to_write: SimpleQueue[_Buffer | None] = SimpleQueue()
        self._to_flush: SimpleQueue[bool] = SimpleQueue()
        """True flushes, False ends the thread."""
        self._threads = [
            threading.Thread(target=run, daemon=True)
            for run in (self._hash_buffers, self._write_buffers, self._flush_file)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._submit()
        self._to_hash.put(None)
        self._to_write.put(None)
        self._to_flush.put(False)
        for thread in self._threads:
            thread.join()
        self._file.close()
        self._close_direct_file()

    def resume(self, max_bytes: int) -> Iterator[Progress]:
        """Hash the bytes that are in the file already, and cut the file at `max_bytes`."""
        total = min(os.fstat(self._file.fileno()).st_size, max_bytes)
        self._file.truncate(total)
        while self.size < total:
            buffer = self._free.get()
            buffer.reset(self.size)
            buffer.count = self._file.readinto(buffer.memory[: total - self.size]) or 0
            self.size += buffer.count
            self._enqueue(buffer, self._to_hash)
            yield Progress(self.size, total, "checking the partial file")

    def append(self, max_bytes: int, read: Callable[[memoryview], int]) -> int:
        """Append up to `max_bytes` that `read` puts into a buffer; return how many.

        Returns after PROGRESS_INTERVAL_S, or when `read` returns 0.

        Raises:
            OSError: the file cannot be written; the earlier bytes are in it.
        """
        if self._filling is None:
            self._filling = self._free.get()
            self._filling.reset(self.size)
        if self._error is not None:
            raise self._error
        buffer, before = self._filling, self.size
        deadline = time.monotonic() + PROGRESS_INTERVAL_S
        end = min(buffer.capacity, buffer.count + max_bytes)
        while buffer.count < end and (count := read(buffer.memory[buffer.count : end])):
            buffer.count += count
            self.size += count
            if time.monotonic() > deadline:
                break
        if buffer.ready:
            self._submit()
        if self.size // FLUSH_INTERVAL_BYTES != before // FLUSH_INTERVAL_BYTES:
            self._to_flush.put(True)
        return self.size - before

    def restart(self) -> None:
        """Empty the file and the checksum."""
        self._drain()
        self._file.truncate(0)
        self._checksum = Checksum()
        self.size = 0

    def finish(self) -> Checksum:
        """Flush the file to the disk and return its checksum.

        Raises:
            OSError: the file cannot be written.
        """
        self._drain()
        if self._error is not None:
            raise self._error
        os.fsync(self._file.fileno())
        return self._checksum

    def _submit(self) -> None:
        """Give the buffer that is being filled to the threads."""
        if self._filling is not None:
            buffer, self._filling = self._filling, None
            seconds = time.monotonic() - buffer.reset_at
            is_full = buffer.count == BUFFER_BYTES
            buffer.filled_fast = is_full and seconds < self._options.fast_fill_s
            self._enqueue(buffer, self._to_hash, self._to_write)

    def _enqueue(self, buffer: _Buffer, *queues: SimpleQueue[_Buffer | None]) -> None:
        buffer.pending_uses = len(queues)
        for queue in queues:
            queue.put(buffer)

    def _release(self, buffer: _Buffer) -> None:
        """Make the buffer free if no other thread needs it."""
        with self._lock:
            buffer.pending_uses -= 1
            if not buffer.pending_uses:
                self._free.put(buffer)

    def _drain(self) -> None:
        """Wait until all bytes are written and hashed."""
        self._submit()
        buffers = [self._free.get() for _ in range(BUFFER_COUNT)]
        for buffer in buffers:
            self._free.put(buffer)

    def _hash_buffers(self) -> None:
        while (buffer := self._to_hash.get()) is not None:
            self._checksum.update(buffer.memory[: buffer.count])
            self._release(buffer)

    def _write_buffers(self) -> None:
        while (buffer := self._to_write.get()) is not None:
            try:
                if self._error is None:
                    self._write_buffer(buffer)
            except OSError as error:
                self._error = error  # `append` and `finish` raise it in their thread.
            self._release(buffer)

    def _write_buffer(self, buffer: _Buffer) -> None:
        data = buffer.memory[: buffer.count]
        if self._direct_file is not None and buffer.filled_fast:
            try:
                _write_at(self._direct_file, data, buffer.start)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                self._close_direct_file()  # The file system does not support it after all.
            else:
                return
        _write_at(self._file.fileno(), data, buffer.start)

    def _flush_file(self) -> None:
        while self._to_flush.get():
            # `finish` flushes again and raises the error.
            with suppress(OSError):
                os.fsync(self._file.fileno())

    def _close_direct_file(self) -> None:
        if self._direct_file is not None:
            os.close(self._direct_file)
            self._direct_file = None


def _open_direct(path: Path) -> int | None:
    """Open a file for writes past the page cache; None if the system does not support it."""
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
