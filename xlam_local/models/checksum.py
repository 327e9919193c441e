"""SHA-256 checksums of files, with block hashes that locate damage later."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .. import atomic_file, user_file
from ..errors import IntegrityError
from .types import Progress, Store

BLOCK_BYTES = 8 << 20
BLOCK_HASH_DIGITS = 16
"""Hexadecimal digits kept of each block hash."""


class Checksum:
    """The SHA-256 of bytes as they arrive.

    The hash of all bytes so far is recorded after each block of BLOCK_BYTES.
    """

    def __init__(self) -> None:
        self.size = 0
        self.block_hashes: list[str] = []
        self._hash = hashlib.sha256()

    def update(self, data: memoryview) -> None:
        """Add bytes."""
        while data:
            part = data[: BLOCK_BYTES - self.size % BLOCK_BYTES]
            self._hash.update(part)
            self.size += len(part)
            if self.size % BLOCK_BYTES == 0:
                self.block_hashes.append(self._hash.hexdigest()[:BLOCK_HASH_DIGITS])
            data = data[len(part) :]

    def sha256(self) -> str:
        """Return the hash of all bytes, in hexadecimal."""
        return self._hash.hexdigest()


def compute_checksum(path: Path, status: str = "checking") -> Generator[Progress, None, Checksum]:
    """Read a file, yield the progress and return its checksum.

    Raises:
        IntegrityError: the file cannot be read.
    """
    checksum, buffer = Checksum(), memoryview(bytearray(BLOCK_BYTES))
    try:
        with path.open("rb", buffering=0) as file:
            total = os.fstat(file.fileno()).st_size
            while count := file.readinto(buffer):
                checksum.update(buffer[:count])
                yield Progress(checksum.size, total, status)
    except OSError as error:
        raise IntegrityError(f"{path} cannot be read: {error.strerror}.") from error
    return checksum


def save_block_hashes(checksum: Checksum, store: Store) -> None:
    """Save the block hashes of a valid file, so that `find_damage` can compare with them."""
    path = _block_hashes_path(store, checksum.sha256())
    # The model works without them, so a data folder that is not writable is not an error.
    with suppress(OSError):
        if not path.exists():
            atomic_file.write_text(path, json.dumps(checksum.block_hashes))


@dataclass(frozen=True, slots=True)
class DamagedRange:
    """The byte range that contains a file's first wrong byte; empty if the file is too short."""

    start: int
    end: int
    """The first byte after the range."""


def find_damage(actual: Checksum, expected_sha256: str, store: Store) -> DamagedRange | None:
    """Return where a file first differs from the expected one; None if that is unknown."""
    expected = user_file.read_own_json(_block_hashes_path(store, expected_sha256))
    if not isinstance(expected, list):
        return None
    pairs = zip(actual.block_hashes, expected, strict=False)
    for number, (mine, theirs) in enumerate(pairs):
        if mine != theirs:
            return DamagedRange(number * BLOCK_BYTES, (number + 1) * BLOCK_BYTES)
    valid_blocks = min(len(actual.block_hashes), len(expected))
    return DamagedRange(valid_blocks * BLOCK_BYTES, actual.size)


def _block_hashes_path(store: Store, sha256: str) -> Path:
    return store.data / "block_hashes" / f"{sha256}.json"
