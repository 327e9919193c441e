"""SHA-256 of files, read in pieces so that whoever waits can watch."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from pathlib import Path

from .types import Progress

STEP = 8 << 20


def sha256(path: Path, what: str = "checking") -> Generator[Progress, None, str]:
    """Read the file to its end; the SHA-256 is the value of `yield from`."""
    digest = hashlib.sha256()
    total, done = path.stat().st_size, 0
    with path.open("rb") as file:
        while piece := file.read(STEP):
            digest.update(piece)
            done += len(piece)
            yield Progress(done, total, what)
    return digest.hexdigest()
