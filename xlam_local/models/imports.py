"""Files that are on this machine already, taken into the store."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..errors import UsageError
from . import cache, catalog
from .checks import whole
from .digest import digest, keep_marks
from .names import OnHub
from .store import PART, parts
from .types import LOCAL_OWNER, Progress, Store

STEP = 8 << 20


def link(path: Path, store: Store, name: str | None = None) -> Iterator[Progress]:
    """Take a file into the store without a second copy of its bytes."""
    yield from _take(path, store, name, copy=False)


def copy(path: Path, store: Store, name: str | None = None) -> Iterator[Progress]:
    """Copy a file into the store."""
    yield from _take(path, store, name, copy=True)


def _take(path: Path, store: Store, name: str | None, copy: bool) -> Iterator[Progress]:
    files = list(parts(path.expanduser().absolute()))
    whole(files)
    repo = f"{LOCAL_OWNER}/{_free(name or _stem(files[0]), store)}"
    found = []
    for file in files:
        found.append((yield from digest(file, f"reading {file.name}")))
    commit = found[0].sha256()[:40]
    if cache.current(store.hub, repo, "main") not in (None, commit):
        raise UsageError(f"Another model has the name {repo.split('/')[1]}; give --name.")
    for file, summed in zip(files, found, strict=True):
        target = cache.blob(store.hub, repo, summed.sha256())
        if not target.is_file():
            yield from _bring(file, target, copy)
        keep_marks(summed, store)
        cache.place(store.hub, OnHub(repo, file.name), commit, target.name)
    size = sum(file.stat().st_size for file in files)
    first = cache.snapshot(store.hub, repo, commit, files[0].name)
    yield Progress(size, size, "installed", first)


def _bring(file: Path, target: Path, copy: bool) -> Iterator[Progress]:
    with cache.writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if copy:
            yield from _copied(file, target)
        else:
            _linked(file, target)


def _linked(file: Path, target: Path) -> None:
    """A second name for the same bytes, or a pointer to them where the disk is another."""
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(file.resolve())
    except OSError:
        target.symlink_to(file.resolve())


def _copied(file: Path, target: Path) -> Iterator[Progress]:
    beside = target.with_name(f"{target.name}.incomplete")
    total, done = file.stat().st_size, 0
    cache.check_room(beside, total)
    with file.open("rb") as source, beside.open("wb") as copied:
        while piece := source.read(STEP):
            copied.write(piece)
            done += len(piece)
            yield Progress(done, total, f"copying {file.name}")
    shutil.copymode(file, beside)
    beside.replace(target)


def _stem(file: Path) -> str:
    part = PART.fullmatch(file.name)
    text = part["stem"] if part else file.stem
    return re.sub(r"[^\w.-]+", "-", text).strip("-.").replace("--", "-") or "model"


def _free(name: str, store: Store) -> str:
    """The name, unless it belongs to a model of the catalog or cannot be one."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,95}", name) or "--" in name or ".." in name:
        raise UsageError(f"{name!r} cannot be a model's name: use letters, digits, dashes, dots.")
    if any(name.casefold() == model.name for model in catalog.load(store.config)):
        raise UsageError(f"{name} is the name of a model of the catalog; give another --name.")
    return name
