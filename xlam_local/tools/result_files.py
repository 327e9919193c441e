"""Results that were too long for the context, kept whole in files."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

MOST_FILES = 50
"""How many results are kept; the oldest give way."""


def keeper(folder: Path) -> Callable[[str, str], str]:
    """What keeps a tool's result in `folder`, and says where; nothing where it cannot."""

    def keep(name: str, text: str) -> str:
        safe = re.sub(r"[^\w.-]", "_", name)[:60]
        path = folder / f"{datetime.now():%Y%m%d-%H%M%S-%f}-{safe}.txt"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            alone = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(alone, "w", encoding="utf-8", errors="replace") as file:
                file.write(text)
        except OSError:
            return ""
        _prune(folder)
        return str(path)

    return keep


def _prune(folder: Path) -> None:
    for path in sorted(folder.glob("*.txt"))[:-MOST_FILES]:
        with suppress(OSError):
            path.unlink()
