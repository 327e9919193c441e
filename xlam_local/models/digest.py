"""SHA-256 of files, with marks that tell later where the bytes went wrong."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import IntegrityError
from . import cache
from .types import Progress, Store

STEP = 8 << 20
"""Bytes from one mark to the next."""
SHORT = 16
"""Digits of the hash that a mark keeps."""


class Digest:
    """The SHA-256 of bytes as they come; at each mark, that of all bytes so far."""

    def __init__(self) -> None:
        self.size = 0
        self.marks: list[str] = []
        self._sum = hashlib.sha256()

    def update(self, piece: memoryview) -> None:
        """Add bytes."""
        while piece:
            part = piece[: STEP - self.size % STEP]
            self._sum.update(part)
            self.size += len(part)
            if self.size % STEP == 0:
                self.marks.append(self._sum.hexdigest()[:SHORT])
            piece = piece[len(part) :]

    def sha256(self) -> str:
        """The hash of all bytes."""
        return self._sum.hexdigest()


def digest(path: Path, what: str = "checking") -> Generator[Progress, None, Digest]:
    """Read the file to its end; its hash is the value of `yield from`."""
    summed, buffer = Digest(), memoryview(bytearray(STEP))
    try:
        with path.open("rb", buffering=0) as file:
            total = os.fstat(file.fileno()).st_size
            while got := file.readinto(buffer):
                summed.update(buffer[:got])
                yield Progress(summed.size, total, what)
    except OSError as error:
        raise IntegrityError(f"{path} cannot be read: {error.strerror}.") from error
    return summed


def keep_marks(summed: Digest, store: Store) -> None:
    """Note the marks of a file that is right, for the day on which it is not."""
    path = _marks(store, summed.sha256())
    # A model is of use without them, so a data folder that cannot be written is no hindrance.
    with suppress(OSError):
        if not path.exists():
            cache.write(path, json.dumps(summed.marks))


@dataclass(frozen=True, slots=True)
class Fault:
    """The bytes among which a file goes wrong first."""

    start: int
    end: int


def fault(found: Digest, sha256: str, store: Store) -> Fault | None:
    """Where the file with this digest differs from the one with this hash, if that can be told."""
    try:
        marks = json.loads(_marks(store, sha256).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    for number, (mine, right) in enumerate(zip(found.marks, marks, strict=False)):
        if mine != right:
            return Fault(number * STEP, (number + 1) * STEP)
    return Fault(min(len(found.marks), len(marks)) * STEP, found.size)


def _marks(store: Store, sha256: str) -> Path:
    return store.data / "marks" / f"{sha256}.json"
