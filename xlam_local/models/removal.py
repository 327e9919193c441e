"""Taking models out of the store, and what broken fetches and older revisions left in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import cache
from .types import LOCAL_OWNER, Installed, Store


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file that nothing needs."""

    path: Path
    size: int
    why: str


def remove(model: Installed, store: Store) -> int:
    """Take the model out of the store; how many bytes of disk that gave back.

    Blobs that another file of the repository points to stay.
    """
    freed = 0
    for file in model.files:
        repo = _repo_of(file, store)
        with cache.writing(file):
            freed += _unlink(repo, file)
    with cache.writing(store.hub):
        for repo in {_repo_of(file, store) for file in model.files}:
            _tidy(repo)
    return freed


def leftovers(store: Store) -> list[Leftover]:
    """Parts of fetches that nobody goes on with, and blobs that no name points to."""
    return [
        one
        for repo in sorted(store.hub.glob("models--*"))
        if _ours(repo)
        for one in (*_partials(repo), *_nameless(repo))
    ]


def older(store: Store) -> list[Leftover]:
    """Models of revisions that nothing points to any more, where a newer one is here."""
    return [
        one
        for repo in sorted(store.hub.glob("models--*"))
        if _ours(repo)
        for one in _replaced(repo)
    ]


def prune(store: Store, with_older: bool = False) -> int:
    """Delete the leftovers, and older revisions if asked to; how many bytes of disk that gave."""
    replaced = older(store) if with_older else []
    for one in replaced:
        # The bytes are left over then, unless another name points to them.
        with cache.writing(one.path):
            one.path.unlink()
    found = leftovers(store)
    for one in found:
        with cache.writing(one.path):
            if one.path.is_dir():
                shutil.rmtree(one.path)
            else:
                one.path.unlink(missing_ok=True)
    with cache.writing(store.hub):
        for repo in {_repo_of(one.path, store) for one in (*found, *replaced)}:
            _tidy(repo)
    return sum(one.size for one in found)


def _ours(repo: Path) -> bool:
    """Whether a repository holds GGUF files, or is about to: others are not touched."""
    named = "gguf" in repo.name.casefold() or repo.name.startswith(f"models--{LOCAL_OWNER}--")
    return named or any((repo / "snapshots").rglob("*.gguf"))


def _repo_of(file: Path, store: Store) -> Path:
    return store.hub / file.relative_to(store.hub).parts[0]


def _unlink(repo: Path, file: Path) -> int:
    """Delete the file's name at every commit, then its bytes if no other name points to them."""
    name = Path(*file.relative_to(repo / "snapshots").parts[1:])
    blobs = set()
    for commit in (repo / "snapshots").iterdir():
        here = commit / name
        if here.is_symlink() or here.is_file():
            blobs.add(_blob(here))
            here.unlink()
    kept = {_blob(path) for path in (repo / "snapshots").rglob("*") if path.is_symlink()}
    freed = 0
    for blob in blobs - kept:
        freed += _freed_by(blob)
        blob.unlink(missing_ok=True)
        cache.lock_of(blob).unlink(missing_ok=True)
    return freed


def _blob(link: Path) -> Path:
    """The file in `blobs` that a name points to; it may be a pointer itself."""
    if not link.is_symlink():
        return link
    return Path(os.path.abspath(link.parent / link.readlink()))  # noqa: PTH100  # folds `..`


def _freed_by(blob: Path) -> int:
    """The bytes that go with this name: none while the file has another name elsewhere."""
    if blob.is_symlink() or not blob.exists():
        return 0
    stat = blob.stat()
    return stat.st_size if stat.st_nlink == 1 else 0


def _tidy(repo: Path) -> None:
    """Delete folders that hold nothing any more, and names of commits that are gone."""
    for folder in sorted((repo / "snapshots").rglob("*"), reverse=True):
        if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
            folder.rmdir()
    for ref in [path for path in (repo / "refs").rglob("*") if path.is_file()]:
        if not (repo / "snapshots" / ref.read_text(encoding="utf-8").strip()).is_dir():
            ref.unlink()
    if any(path.is_file() or path.is_symlink() for path in repo.rglob("*")):
        return
    for folder in sorted((path for path in repo.rglob("*")), reverse=True):
        folder.rmdir()
    if repo.is_dir():
        repo.rmdir()


def _partials(repo: Path) -> Iterator[Leftover]:
    for path in sorted((repo / "blobs").glob("*.incomplete*")):
        if not _locked(path.with_name(path.name.partition(".")[0])):
            size = path.stat().st_size if path.is_file() else 0
            yield Leftover(path, size, "a part of a fetch that broke off")


def _nameless(repo: Path) -> Iterator[Leftover]:
    snapshots = repo / "snapshots"
    named = {_blob(path) for path in snapshots.rglob("*") if path.is_symlink()}
    for path in sorted((repo / "blobs").glob("*")):
        if "." not in path.name and path.absolute() not in named and not _locked(path):
            yield Leftover(path, _freed_by(path), "bytes that no name points to")


def _replaced(repo: Path) -> Iterator[Leftover]:
    """Files of commits without a reference that a commit with one has in another form."""
    commits = [path for path in sorted((repo / "snapshots").glob("*")) if path.is_dir()]
    refs = [path for path in (repo / "refs").rglob("*") if path.is_file()]
    current = {ref.read_text(encoding="utf-8").strip() for ref in refs}
    newest = [commit for commit in commits if commit.name in current]
    kept = {_blob(path) for commit in newest for path in commit.rglob("*.gguf")}
    for commit in commits:
        for path in sorted(commit.rglob("*.gguf")) if commit not in newest else ():
            name = path.relative_to(commit)
            if any((new / name).is_file() for new in newest):
                size = 0 if _blob(path) in kept else _freed_by(_blob(path))
                kept.add(_blob(path))
                yield Leftover(path, size, "an older revision")


def _locked(blob: Path) -> bool:
    """Whether someone is writing this blob now."""
    from filelock import FileLock, Timeout

    path = cache.lock_of(blob)
    if not path.is_file():
        return False
    try:
        with FileLock(path, timeout=0, mode=0o664):
            return False
    except Timeout:
        return True
