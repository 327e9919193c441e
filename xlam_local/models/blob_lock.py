"""A lock per blob, so that only one process writes it. huggingface_hub takes the same locks."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from filelock import AcquireReturnProxy, BaseFileLock, FileLock, SoftFileLock, Timeout

from . import hf_cache
from .types import Progress

POLL_INTERVAL_S = 0.25
LOCK_FILE_MODE = 0o664


def acquire(blob: Path, total: int) -> Generator[Progress, None, AcquireReturnProxy[BaseFileLock]]:
    """Acquire the lock of a blob of `total` bytes; a `with` statement on the result releases it.

    While another process has the lock, yield the progress of its download.
    """
    path, partial = hf_cache.lock_path(blob), hf_cache.partial_path(blob)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock: BaseFileLock = FileLock(path, mode=LOCK_FILE_MODE, thread_local=False)
    while True:
        try:
            return lock.acquire(timeout=POLL_INTERVAL_S)
        except Timeout:
            yield Progress(_file_size(partial), total, "another process is downloading")
        except NotImplementedError:  # The file system has no locks.
            lock = SoftFileLock(path, mode=LOCK_FILE_MODE, thread_local=False)


def is_locked(blob: Path) -> bool:
    """Return whether a process is writing a blob."""
    path = hf_cache.lock_path(blob)
    if not path.is_file():
        return False
    try:
        with FileLock(path, timeout=0, mode=LOCK_FILE_MODE):
            return False
    except Timeout:
        return True


def _file_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
