"""Remove models, and prune unused files: partial downloads, unreferenced blobs, old revisions.

A model is never pruned because it is the least recently used one. `models list` shows when each was
last used, and `remove` deletes it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import hf_cache
from .blob_lock import is_locked
from .disk import write_errors
from .types import LOCAL_OWNER, InstalledModel, Store


@dataclass(frozen=True, slots=True)
class UnusedFile:
    """A file that no model needs."""

    path: Path
    size: int
    """Bytes of disk that deleting it frees."""
    reason: str
    """What it is, as a phrase."""


def remove(model: InstalledModel, store: Store) -> int:
    """Remove a model from the store; return the bytes of disk that this freed.

    A blob that is also another file of the repository is kept.

    Raises:
        XlamError: a file cannot be deleted.
    """
    freed = 0
    for file in model.files:
        with write_errors(file):
            freed += _remove_file(_repo_folder(file, store), file)
    with write_errors(store.hub_cache):
        for repo in {_repo_folder(file, store) for file in model.files}:
            _remove_empty_folders(repo)
    return freed


def unused_files(store: Store) -> list[UnusedFile]:
    """Return partial downloads that no process continues, and blobs without a name."""
    return [
        file
        for repo in _gguf_repos(store)
        for file in (*_partial_downloads(repo), *_unreferenced_blobs(repo))
    ]


def old_revisions(store: Store) -> list[UnusedFile]:
    """Return the files of old commits that a newer commit has too."""
    return [file for repo in _gguf_repos(store) for file in _old_files(repo)]


def prune(store: Store, include_old_revisions: bool = False) -> int:
    """Delete the unused files; return the bytes of disk that this freed.

    Raises:
        XlamError: a file cannot be deleted.
    """
    old = old_revisions(store) if include_old_revisions else []
    for file in old:
        # The blob is an unreferenced blob afterwards, unless it has another name.
        with write_errors(file.path):
            file.path.unlink()
    unused = unused_files(store)
    for file in unused:
        with write_errors(file.path):
            if file.path.is_dir():
                shutil.rmtree(file.path)
            else:
                file.path.unlink(missing_ok=True)
    with write_errors(store.hub_cache):
        for repo in {_repo_folder(file.path, store) for file in (*unused, *old)}:
            _remove_empty_folders(repo)
    return sum(file.size for file in unused)


def _gguf_repos(store: Store) -> Iterator[Path]:
    """Yield the folders of repositories with GGUF files; the cache also has others' models."""
    for repo in sorted(store.hub_cache.glob("models--*")):
        by_name = "gguf" in repo.name.casefold() or repo.name.startswith(f"models--{LOCAL_OWNER}--")
        if by_name or any((repo / "snapshots").rglob(hf_cache.GGUF_FILES)):
            yield repo


def _repo_folder(file: Path, store: Store) -> Path:
    return store.hub_cache / file.relative_to(store.hub_cache).parts[0]


def _remove_file(repo: Path, file: Path) -> int:
    """Delete a file at every commit, and its blobs unless other files use them."""
    name = Path(*file.relative_to(repo / "snapshots").parts[1:])
    blobs = set()
    for commit in (repo / "snapshots").iterdir():
        path = commit / name
        if path.is_symlink() or path.is_file():
            blobs.add(_blob_of(path))
            path.unlink()
    freed = 0
    for blob in blobs - _referenced_blobs(repo / "snapshots"):
        freed += _freed_bytes(blob)
        blob.unlink(missing_ok=True)
        hf_cache.lock_path(blob).unlink(missing_ok=True)
    return freed


def _blob_of(file: Path) -> Path:
    """Return the blob of a file. An imported blob can be a symbolic link itself."""
    if not file.is_symlink():
        return file
    return Path(os.path.abspath(file.parent / file.readlink()))  # noqa: PTH100  # resolves `..` only


def _referenced_blobs(folder: Path) -> set[Path]:
    return {_blob_of(path) for path in folder.rglob("*") if path.is_symlink()}


def _freed_bytes(blob: Path) -> int:
    """Return the bytes that deleting a blob frees: none if the file has another link."""
    if blob.is_symlink() or not blob.exists():
        return 0
    stat = blob.stat()
    return stat.st_size if stat.st_nlink == 1 else 0


def _remove_empty_folders(repo: Path) -> None:
    """Delete empty folders, and references to commits that are gone."""
    for folder in sorted((repo / "snapshots").rglob("*"), reverse=True):
        if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
            folder.rmdir()
    for ref in [path for path in (repo / "refs").rglob("*") if path.is_file()]:
        if not (repo / "snapshots" / ref.read_text(encoding="utf-8").strip()).is_dir():
            ref.unlink()
    if any(path.is_file() or path.is_symlink() for path in repo.rglob("*")):
        return
    for folder in sorted(repo.rglob("*"), reverse=True):
        folder.rmdir()
    if repo.is_dir():
        repo.rmdir()


def _partial_downloads(repo: Path) -> Iterator[UnusedFile]:
    for path in sorted((repo / "blobs").glob("*.incomplete*")):
        if not is_locked(path.with_name(path.name.partition(".")[0])):
            size = path.stat().st_size if path.is_file() else 0
            yield UnusedFile(path, size, "partial download")


def _unreferenced_blobs(repo: Path) -> Iterator[UnusedFile]:
    referenced = _referenced_blobs(repo / "snapshots")
    for path in sorted((repo / "blobs").glob("*")):
        if "." not in path.name and path.absolute() not in referenced and not is_locked(path):
            yield UnusedFile(path, _freed_bytes(path), "unreferenced blob")


def _old_files(repo: Path) -> Iterator[UnusedFile]:
    """Yield the files of commits without a reference that a commit with a reference has too."""
    commits = [path for path in sorted((repo / "snapshots").glob("*")) if path.is_dir()]
    refs = [path for path in (repo / "refs").rglob("*") if path.is_file()]
    current = {ref.read_text(encoding="utf-8").strip() for ref in refs}
    newest = [commit for commit in commits if commit.name in current]
    kept = {_blob_of(path) for commit in newest for path in commit.rglob(hf_cache.GGUF_FILES)}
    for commit in commits:
        for path in sorted(commit.rglob(hf_cache.GGUF_FILES)) if commit not in newest else ():
            name = path.relative_to(commit)
            if any((new / name).is_file() for new in newest):
                blob = _blob_of(path)
                size = 0 if blob in kept else _freed_bytes(blob)
                kept.add(blob)
                yield UnusedFile(path, size, "old revision")
