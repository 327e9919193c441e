"""Models: the catalog, GGUF headers, fetching, what is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .store import default, find, get, installed, mark_used, parts
from .types import Installed, Progress, Store, amount

if TYPE_CHECKING:
    from .gguf import Header

__all__ = [
    "Installed",
    "Progress",
    "Store",
    "amount",
    "default",
    "find",
    "get",
    "header",
    "import_",
    "installed",
    "mark_used",
    "pull",
]


def pull(name: str, store: Store) -> Iterator[Progress]:
    """Bring a model into the store; the last progress has its path."""
    from . import sources

    yield from sources.pull(name, store)


def import_(path: Path, store: Store, name: str | None = None) -> Iterator[Progress]:
    """Take a file of this machine into the store, without a second copy of its bytes."""
    from . import imports

    yield from imports.link(path, store, name)


def header(path: Path) -> Header:
    """The header of the model at `path`, once all its parts were found whole."""
    from .checks import whole

    return whole(list(parts(path)))
