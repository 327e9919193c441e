"""Save tool results that are too long for the context window, in full."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from ..atomic_file import write_bytes

MAX_RESULT_FILES = 50
"""How many results a folder keeps; the oldest are deleted."""
MAX_NAME_CHARS = 60


def result_saver(folder: Path) -> Callable[[str, str], str]:
    """Return a function that saves a tool's result in `folder`.

    It takes the tool's name and the result, and returns the path of the file, or an empty string
    if the file cannot be written.
    """

    def save(tool_name: str, result: str) -> str:
        safe_name = re.sub(r"[^\w.-]", "_", tool_name)[:MAX_NAME_CHARS]
        path = folder / f"{datetime.now():%Y%m%d-%H%M%S-%f}-{safe_name}.txt"
        try:
            write_bytes(path, result.encode("utf-8", "replace"))
        except OSError:
            return ""
        _delete_oldest(folder)
        return str(path)

    return save


def _delete_oldest(folder: Path) -> None:
    for path in sorted(folder.glob("*.txt"))[:-MAX_RESULT_FILES]:
        with suppress(OSError):
            path.unlink()
