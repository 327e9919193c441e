"""The on-disk prompt cache: tokens, and the KV cache after them.

The least recently used entries are evicted when the cache exceeds its size.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..atomic_file import is_locked, lock, make_folder
from ..errors import IntegrityError, XlamError

MAGIC = b"XLAMKV1\n"
PREAMBLE = struct.Struct("<8sI")
"""MAGIC, and the number of bytes of the JSON header that follows."""
MAX_HEADER_BYTES = 4096
"""The age from which an unfinished file is deleted: its writer has ended."""
FINGERPRINT_START_BYTES = 1 << 20
FINGERPRINT_SAMPLES = 16
FINGERPRINT_SAMPLE_BYTES = 1 << 16

TokenArray = npt.NDArray[np.int32]
State = npt.NDArray[np.uint8]

READ_ERRORS = (OSError, ValueError, KeyError, TypeError, RecursionError)
"""What reading a damaged file raises."""


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A file of the cache."""

    path: Path
    size: int
    """Bytes."""
    last_used: float
    """Seconds since 1970."""
    model: str
    """The model's name; "" if the file has another format."""
    tokens: int


class PromptCache:
    """The saved KV caches of one model with one set of load options, identified by `key`."""

    def __init__(self, folder: Path, key: str, model: str, max_bytes: int) -> None:
        self._folder = folder
        self._key = key
        self._model = model
        self._max_bytes = max_bytes

    def find(self, tokens: Sequence[int]) -> tuple[Path | None, int]:
        """Return the file with the longest common prefix, and the prefix's number of tokens."""
        best, longest = None, 0
        for path in self._files():
            length = _common_prefix_length(path, tokens)
            if length > longest:
                best, longest = path, length
        return best, longest

    def load(self, path: Path) -> tuple[list[int], State]:
        """Return the tokens and the state in a file, and mark it as used now.

        Raises:
            IntegrityError: the file is damaged; it was deleted.
        """
        try:
            data = np.fromfile(path, dtype=np.uint8)
            header, start = _read_header(path)
            tokens = data[start : start + 4 * header["tokens"]].view(np.int32)
            body = data[start:]
            digest = hashlib.sha256(body.data).hexdigest()
            if digest != header["sha256"] or header["key"] != self._key:
                raise ValueError("the checksum or the key differs")
            os.utime(path)
        except READ_ERRORS as error:
            _delete(path)
            raise IntegrityError(
                f"The cached prompt {path.name} is damaged. It was deleted, and the prompt is "
                "processed again."
            ) from error
        return tokens.tolist(), body[4 * len(tokens) :]

    def save(self, tokens: Sequence[int], state: State) -> None:
        """Save a state, and delete the entries whose tokens are a prefix of `tokens`.

        Raises:
            XlamError: the state cannot be written; no other entry was changed.
        """
        body = np.asarray(tokens, dtype=np.int32).tobytes()
        digest = hashlib.sha256(body)
        digest.update(state.data)
        header = {
            "key": self._key,
            "model": self._model,
            "tokens": len(tokens),
            "sha256": digest.hexdigest(),
        }
        size = len(body) + len(state)
        if size > self._max_bytes:
            raise XlamError(
                f"The prompt is not cached: it has {size:,} bytes, more than the limit of "
                f"{self._max_bytes:,} bytes."
            )
        path = self._folder / f"{self._key}-{hashlib.sha256(body).hexdigest()[:16]}.kv"
        try:
            make_folder(self._folder)
            _evict(self._folder, self._max_bytes - size)
            self._write(path, json.dumps(header).encode(), body, state)
        except OSError as error:
            raise XlamError(f"The prompt cannot be cached: {error.strerror}.") from error
        for other in self._files():
            if other != path and _is_prefix(other, tokens):
                _delete(other)

    def _files(self) -> Iterator[Path]:
        return self._folder.glob(f"{self._key}-*.kv")

    def _write(self, path: Path, header: bytes, body: bytes, state: State) -> None:
        descriptor, part = tempfile.mkstemp(dir=self._folder, prefix=".", suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as file:
                lock(descriptor)  # until it is complete; see _evict
                file.write(PREAMBLE.pack(MAGIC, len(header)) + header)
                file.write(body)
                file.write(state.data)
            Path(part).replace(path)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise


def fingerprint(path: Path) -> str:
    """Return a hash of a model file's size, start, and samples, to tell files apart quickly."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(FINGERPRINT_START_BYTES))
        for number in range(1, FINGERPRINT_SAMPLES + 1):
            end = size * number // FINGERPRINT_SAMPLES
            file.seek(max(0, end - FINGERPRINT_SAMPLE_BYTES))
            digest.update(file.read(FINGERPRINT_SAMPLE_BYTES))
    return digest.hexdigest()


def entries(folder: Path) -> list[CacheEntry]:
    """Return all entries, the most recently used first."""
    return sorted(_entries(folder), key=lambda entry: -entry.last_used)


def clear(folder: Path) -> tuple[int, int]:
    """Delete all entries and token files; return the number of entries and their bytes."""
    deleted = entries(folder)
    for path in folder.glob("*.tokens"):
        _delete(path)
    for entry in deleted:
        entry.path.unlink(missing_ok=True)
    return len(deleted), sum(entry.size for entry in deleted)


def _entries(folder: Path) -> Iterator[CacheEntry]:
    for path in folder.glob("*.kv"):
        try:
            status = path.stat()
            header, _ = _read_header(path)
            model, tokens = str(header["model"]), int(header["tokens"])
        except OSError:
            continue
        except (ValueError, KeyError, TypeError, RecursionError):
            model, tokens = "", 0
        yield CacheEntry(path, status.st_size, status.st_mtime, model, tokens)


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """Return a file's header and the offset of its tokens."""
    with path.open("rb") as file:
        preamble = file.read(PREAMBLE.size)
        if len(preamble) != PREAMBLE.size:
            raise ValueError("the file is too short")
        magic, length = PREAMBLE.unpack(preamble)
        if magic != MAGIC or length > MAX_HEADER_BYTES:
            raise ValueError("the file has another format")
        header = json.loads(file.read(length))
    if not isinstance(header, dict) or not isinstance(header.get("tokens"), int):
        raise ValueError("the header has no number of tokens")
    return header, PREAMBLE.size + length


def _read_tokens(path: Path) -> TokenArray:
    header, start = _read_header(path)
    count: int = header["tokens"]
    if not 0 <= count <= path.stat().st_size // 4:
        raise ValueError("the number of tokens is invalid")
    return np.fromfile(path, dtype=np.int32, count=count, offset=start)


def _common_prefix_length(path: Path, tokens: Sequence[int]) -> int:
    """Return how many tokens a file and `tokens` share at the start; 0 for a damaged file."""
    try:
        cached = _read_tokens(path)
    except READ_ERRORS:
        return 0
    wanted = np.asarray(tokens[: len(cached)], dtype=np.int32)
    differences = np.flatnonzero(cached[: len(wanted)] != wanted)
    return int(differences[0]) if len(differences) else len(wanted)


def _is_prefix(path: Path, tokens: Sequence[int]) -> bool:
    """Return whether a file's tokens are a proper prefix of `tokens`."""
    try:
        cached = _read_tokens(path)
    except READ_ERRORS:
        return False
    return len(cached) < len(tokens) and cached.tolist() == list(tokens[: len(cached)])


def _evict(folder: Path, max_bytes: int) -> None:
    """Delete the least recently used entries until the others have at most `max_bytes`."""
    for part in folder.glob(".*.part"):
        if not is_locked(part):  # Its program was killed.
            _delete(part)
    total = 0
    for entry in entries(folder):
        total += entry.size
        if total > max_bytes:
            _delete(entry.path)


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        # The cache may be read-only.
        return
