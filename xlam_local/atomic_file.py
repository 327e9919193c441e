"""Write private files: whole or not at all, one program at a time, readable by their owner only."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
LOCK_TIMEOUT_S = 5.0
LOCK_INTERVAL_S = 0.01
UNSUPPORTED = {errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""Errors of file systems without locks."""


def write_text(path: Path, text: str, mode: int = PRIVATE_FILE) -> None:
    """Replace the file at `path` with UTF-8 text, so that a reader finds the old text or the new.

    A symbolic link stays a link: the file that it points to is replaced, and keeps its mode. A new
    file gets `mode`. Missing parent folders are created.

    Raises:
        OSError: the file cannot be written; the old one is unchanged.
    """
    write_bytes(path, _encoded(text), mode)


def write_bytes(path: Path, data: bytes, mode: int = PRIVATE_FILE) -> None:
    """Replace the file at `path` as `write_text` does."""
    with _locked_target(path) as target:
        _replace(target, data, mode)


@contextmanager
def exclusive(path: Path) -> Iterator[Callable[[str], None]]:
    """Hold the lock of the file at `path`; yield a function that replaces its text.

    A program that reads the file under this lock, and then replaces it, loses nothing that another
    program writes at the same time.

    Raises:
        OSError: another program holds the lock, or the file cannot be written.
    """
    with _locked_target(path) as target:
        yield lambda text: _replace(target, _encoded(text), PRIVATE_FILE)


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise OSError(errno.EILSEQ, "the text has half of a surrogate pair") from error


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents, accessible to their owner only."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(PRIVATE_FOLDER, exist_ok=True)
    path.mkdir(exist_ok=True)  # an error if it is not a folder


def open_private(path: Path, mode: str, **options: Any) -> IO[Any]:
    """Open a file as `open` does; if it is created, only its owner can read it."""
    make_folder(path.parent)
    return open(path, mode, opener=_private, **options)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE_FILE)


@contextmanager
def _locked_target(path: Path) -> Iterator[Path]:
    """Lock the folder of the file that `path` is or leads to; yield that file's path."""
    try:
        target = path.resolve()
    except RuntimeError as error:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from error
    make_folder(target.parent)
    # The lock of a folder leaves no file behind. It ends with the descriptor, also after a kill.
    descriptor = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        lock(descriptor)
        yield target
    finally:
        os.close(descriptor)


def lock(descriptor: int, timeout_s: float = LOCK_TIMEOUT_S) -> None:
    """Lock an open file or folder until it is closed.

    Raises:
        OSError: another program holds the lock.
    """
    end = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                message = "another program has locked its folder"
                raise OSError(errno.ETIMEDOUT, message) from None
            time.sleep(LOCK_INTERVAL_S)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
            return
        else:
            return


def is_locked(path: Path) -> bool:
    """Return whether a program holds the lock of a file."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _replace(target: Path, data: bytes, mode: int) -> None:
    with suppress(FileNotFoundError):
        mode = target.stat().st_mode
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(target))
    # A killed program leaves its temporary file, which the next write removes.
    temporary = target.with_name(f".{target.name}.new")
    temporary.unlink(missing_ok=True)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(temporary, flags, mode & 0o777), "wb") as file:
            if target.exists():
                os.fchmod(file.fileno(), mode & 0o777)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Write the folder's entries to the disk, so that the new file survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # Some file systems cannot.
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
