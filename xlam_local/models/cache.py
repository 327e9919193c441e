"""Files in the Hugging Face cache, laid out so that every program finds them."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import IntegrityError, XlamError
from .names import OnHub, safe
from .types import amount

RESERVE = 64 << 20
"""Bytes of disk that a fetch leaves free."""


def folder(hub: Path, repo: str) -> Path:
    """The folder of one repository."""
    return hub / "--".join(["models", *repo.split("/")])


def blob(hub: Path, repo: str, etag: str) -> Path:
    """The file that holds the bytes with this hash."""
    return folder(hub, repo) / "blobs" / etag


def partial(hub: Path, repo: str, etag: str) -> Path:
    """The file that holds the bytes that have come so far."""
    return folder(hub, repo) / "blobs" / f"{etag}.incomplete"


def snapshot(hub: Path, repo: str, commit: str, file: str) -> Path:
    """The file by its own name, at one commit; a name that leads elsewhere is refused."""
    if not safe(file) or not safe(commit) or "/" in commit:
        raise IntegrityError(f"{repo} names a file outside of its repository: {file!r}.")
    return folder(hub, repo) / "snapshots" / commit / file


def place(hub: Path, wanted: OnHub, commit: str, etag: str) -> Path:
    """Give the blob its name at this commit, and let the revision point to the commit."""
    path = snapshot(hub, wanted.repo, commit, wanted.file)
    with writing(path):
        _link(path, os.path.relpath(blob(hub, wanted.repo, etag), path.parent))
        if wanted.revision != commit and current(hub, wanted.repo, wanted.revision) != commit:
            write(folder(hub, wanted.repo) / "refs" / wanted.revision, commit)
    return path


def _link(path: Path, target: str) -> None:
    if not (path.is_symlink() and str(path.readlink()) == target):
        beside = _beside(path)
        beside.symlink_to(target)
        beside.replace(path)


def write(path: Path, text: str) -> None:
    """Write a small file so that a reader finds the old text or the new, never a part."""
    beside = _beside(path)
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def _beside(path: Path) -> Path:
    """Where to make what will become `path`; what a kill left there goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    return beside


def current(hub: Path, repo: str, revision: str) -> str | None:
    """The commit that a revision pointed to when it was last fetched."""
    try:
        text = (folder(hub, repo) / "refs" / revision).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return text if safe(text) and "/" not in text else None


def lock_of(blob: Path) -> Path:
    """The lock of a blob, where huggingface_hub has it too."""
    repo = blob.parent.parent
    return repo.parent / ".locks" / repo.name / f"{blob.name}.lock"


def check_room(path: Path, needed: int) -> None:
    """Refuse to begin what the disk under `path` cannot hold."""
    while not path.exists():
        path = path.parent
    free = shutil.disk_usage(path).free
    if needed + RESERVE > free:
        raise XlamError(
            f"The disk has {amount(free)} free at {path}, and {amount(needed)} are still to come; "
            "free some, or put HF_HOME on a larger disk."
        )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says of a failed write into a sentence about `path`."""
    try:
        yield
    except OSError as error:
        raise XlamError(_why(error, path)) from error


def _why(error: OSError, path: Path) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return f"The disk is full at {path.parent}; what has come so far is kept."
        case errno.EACCES | errno.EPERM:
            return f"There is no right to use {path.parent}."
        case errno.EROFS:
            return f"{path.parent} is on a disk that can only be read."
        case _:
            return f"{path} cannot be written: {error.strerror or error}."
