"""Models: the catalog, GGUF headers, fetching, what is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .store import default, find, get, installed, mark_used
from .types import Installed, Progress, Store, amount

__all__ = [
    "Installed",
    "Progress",
    "Store",
    "amount",
    "default",
    "find",
    "get",
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
