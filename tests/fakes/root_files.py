"""A file system root with some files, such as those in /proc and /sys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write_root(root: Path, files: Mapping[str, str]) -> Path:
    """Write files below `root`, and return it."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root
