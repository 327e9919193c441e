"""One writer at a time for each blob, by the lock that huggingface_hub takes too."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from . import cache
from .types import Progress

if TYPE_CHECKING:
    from filelock import BaseFileLock

PAUSE = 0.25
"""Seconds between two tries to take a lock that another has."""


def taken(blob: Path, total: int) -> Generator[Progress, None, BaseFileLock]:
    """Take the blob's lock; meanwhile show how far the one is who has it."""
    from filelock import FileLock, SoftFileLock, Timeout

    path, partial = cache.lock_of(blob), blob.with_name(f"{blob.name}.incomplete")
    path.parent.mkdir(parents=True, exist_ok=True)
    lock: BaseFileLock = FileLock(path, mode=0o664, thread_local=False)
    while True:
        try:
            return lock.acquire(timeout=PAUSE).lock
        except Timeout:
            yield Progress(_size(partial), total, "another process is fetching")
        except NotImplementedError:
            lock = SoftFileLock(path, mode=0o664, thread_local=False)


@contextmanager
def released(lock: BaseFileLock) -> Iterator[None]:
    """Give the lock back at the end, however it comes."""
    try:
        yield
    finally:
        lock.release()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
