"""Checks of free disk space, and the errors of writing to a disk."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import XlamError
from .types import format_bytes

RESERVED_BYTES = 64 << 20
"""Disk space that a download leaves free."""


def check_free_space(path: Path, needed: int) -> None:
    """Check that the disk of `path` can hold `needed` more bytes.

    Raises:
        XlamError: it cannot.
    """
    folder = next(folder for folder in (path, *path.parents) if folder.exists())
    free = shutil.disk_usage(folder).free
    if needed + RESERVED_BYTES > free:
        raise XlamError(
            f"Not enough disk space: {format_bytes(needed)} more are needed, and "
            f"{format_bytes(free)} are free at {folder}. Free some space, or set HF_HOME to a "
            "folder on a larger disk."
        )


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into an XlamError about `path`."""
    try:
        yield
    except OSError as error:
        raise XlamError(_message(error, path)) from error


def _message(error: OSError, path: Path) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return (
                f"The disk is full at {path.parent}. Free some space and try again; a "
                "partial download resumes."
            )
        case errno.EACCES | errno.EPERM:
            return f"Permission denied: {path.parent}."
        case errno.EROFS:
            return f"{path.parent} is on a read-only file system."
        case _:
            return f"{path} cannot be written: {error.strerror or error}."
