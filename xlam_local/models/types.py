"""The nouns of the model manager: the store, what is in it, and how far a fetch is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LOCAL_OWNER = "xlam-local"
"""The owner under which models stand in the store that come from no Hub repository."""


@dataclass(frozen=True, slots=True)
class Store:
    """Where models are kept, and where it is noted what the user adds, accepts and uses."""

    hub: Path
    """The Hugging Face cache: `models--owner--name/{blobs,refs,snapshots}`."""
    data: Path
    """Holds the accepted licences and when each model was used."""
    config: Path
    """Holds `models.toml`, the entries that the user adds to the catalog."""

    @classmethod
    def under(cls, config: Path, data: Path, environment: Mapping[str, str] = os.environ) -> Store:
        """The store of this user: the Hugging Face cache, wherever its variables put it."""
        return cls(hub_cache(environment), data, config)


@dataclass(frozen=True, slots=True)
class Installed:
    """A model in the store: one file, or the parts of a split one."""

    name: str
    """What to type for it."""
    path: Path
    """The file that llama.cpp opens: the first part of a split model."""
    files: tuple[Path, ...]
    repo: str
    size: int
    """Bytes of all its parts."""
    whole: bool = True
    """False while parts of a split model are missing."""
    used: float | None = None
    """When it last ran, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a fetch is, in bytes."""

    done: int
    total: int
    what: str
    """What is going on, as a word or two for a progress bar."""
    path: Path | None = None
    """The model, once it is in the store."""


def hub_cache(environment: Mapping[str, str]) -> Path:
    """The Hugging Face cache, by the variables that huggingface_hub reads, without importing it."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if value := environment.get(variable):
            return _expanded(value)
    if home := environment.get("HF_HOME"):
        return _expanded(home) / "hub"
    base = environment.get("XDG_CACHE_HOME") or "~/.cache"
    return _expanded(base) / "huggingface" / "hub"


def _expanded(path: str) -> Path:
    return Path(os.path.expandvars(path)).expanduser().absolute()


def amount(size: float) -> str:
    """A number of bytes as people write it: 986 MB, 1.9 GB."""
    for unit in ("bytes", "kB", "MB"):
        if size < 999.5:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
