"""The model store, the models in it, and the progress of a download."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LOCAL_OWNER = "xlam-local"
"""The repository owner of stored models that do not come from the Hub: imports and the demo."""


@dataclass(frozen=True, slots=True)
class Store:
    """The folders that hold models, and what the user accepted, used and added to the catalog."""

    hub_cache: Path
    """The Hugging Face cache: `models--owner--name/{blobs,refs,snapshots}`."""
    data: Path
    """Holds the accepted licenses, block hashes, and the time of each model's last use."""
    config: Path
    """Holds `models.toml`, the user's entries in the catalog."""

    @classmethod
    def from_folders(
        cls, config: Path, data: Path, environment: Mapping[str, str] = os.environ
    ) -> Store:
        """Return the store of a user; the environment says where the Hugging Face cache is."""
        return cls(hub_cache_folder(environment), data, config)


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model in the store: one file, or the parts of a split model."""

    name: str
    """The name that commands take."""
    path: Path
    """The file that llama.cpp opens: the first part of a split model."""
    files: tuple[Path, ...]
    repo: str
    """The repository, as `owner/name`; empty for a file outside the store."""
    size: int
    """Bytes of all files."""
    complete: bool = True
    """False if parts of a split model are missing."""
    last_used: float | None = None
    """The time of its last use, in seconds since 1970; None if it was never used."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a download, an import or a check, in bytes."""

    done: int
    total: int
    """0 if it is unknown."""
    status: str
    """The current step, as a short phrase for a progress bar."""
    path: Path | None = None
    """The installed model; only the last progress has it."""


def hub_cache_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder of the Hugging Face cache.

    The variables and their order are those of huggingface_hub, which is slow to import:
    https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
    """
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if value := environment.get(variable):
            return _expand(value)
    if home := environment.get("HF_HOME"):
        return _expand(home) / "hub"
    base = environment.get("XDG_CACHE_HOME") or "~/.cache"
    return _expand(base) / "huggingface" / "hub"


def _expand(path: str) -> Path:
    return Path(os.path.expandvars(path)).expanduser().absolute()


def format_bytes(size: float) -> str:
    """Return a number of bytes in decimal units, for example 986 MB or 1.9 GB."""
    for unit in ("bytes", "kB", "MB"):
        if size < 999.5:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
