"""What prompts have in common, kept on disk: their tokens and the KV cache after them."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import IntegrityError, XlamError

MAGIC = b"XLAMKV1\n"
HEAD = struct.Struct("<8sI")
LONGEST_HEAD = 4096
ABANDONED = 3600.0
"""Seconds after which a part belongs to nobody."""
SAMPLES = 16
SAMPLE = 1 << 16

Tokens = npt.NDArray[np.int32]
State = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Kept:
    """A file of the cache."""

    path: Path
    size: int
    used: float
    """When it was last read or written, in seconds since 1970."""
    model: str
    tokens: int


class Prefixes:
    """The KV caches of one model under one set of settings, which `key` stands for."""

    def __init__(self, folder: Path, key: str, model: str, most_bytes: int) -> None:
        self._folder = folder
        self._key = key
        self._model = model
        self._most = most_bytes

    def find(self, tokens: Sequence[int]) -> tuple[Path | None, int]:
        """The file that has most in common with `tokens` from the start, and how much that is."""
        best, most = None, 0
        for path in self._folder.glob(f"{self._key}-*.kv"):
            shared = self._shared(path, tokens)
            if shared > most:
                best, most = path, shared
        return best, most

    def load(self, path: Path) -> tuple[list[int], State]:
        """The tokens and the state in a file.

        Raises:
            IntegrityError: it is not what was written; it has been removed.
        """
        try:
            data = np.fromfile(path, dtype=np.uint8)
            head, start = _head(path)
            tokens = data[start : start + 4 * head["tokens"]].view(np.int32)
            body = data[start:]
            if hashlib.sha256(body.data).hexdigest() != head["sha256"] or head["key"] != self._key:
                raise ValueError
            os.utime(path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            _remove(path)
            raise IntegrityError(
                f"The kept prefix {path.name} is damaged; it was removed, and the prompt is read."
            ) from error
        return tokens.tolist(), body[4 * len(tokens) :]

    def save(self, tokens: Sequence[int], state: State) -> None:
        """Keep a state, in the place of those that it goes on from, as long as there is room.

        Raises:
            XlamError: it cannot be written; nothing else is changed.
        """
        body = np.asarray(tokens, dtype=np.int32).tobytes()
        digest = hashlib.sha256(body)
        digest.update(state.data)
        head = {
            "key": self._key,
            "model": self._model,
            "tokens": len(tokens),
            "sha256": digest.hexdigest(),
        }
        size = len(body) + len(state)
        if size > self._most:
            raise XlamError(f"The prefix has {size} bytes, more than the cache may hold.")
        name = f"{self._key}-{hashlib.sha256(body).hexdigest()[:16]}.kv"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _evict(self._folder, self._most - size)
            self._write(self._folder / name, json.dumps(head).encode(), body, state)
        except OSError as error:
            raise XlamError(f"The prefix cannot be kept: {error.strerror}.") from error
        for path in self._folder.glob(f"{self._key}-*.kv"):
            if path.name != name and _continues(path, tokens):
                _remove(path)

    def _shared(self, path: Path, tokens: Sequence[int]) -> int:
        try:
            theirs = _tokens(path)
        except (OSError, ValueError, KeyError, TypeError):
            return 0
        mine = np.asarray(tokens[: len(theirs)], dtype=np.int32)
        differ = np.flatnonzero(theirs[: len(mine)] != mine)
        return int(differ[0]) if len(differ) else len(mine)

    def _write(self, path: Path, head: bytes, body: bytes, state: State) -> None:
        handle, part = tempfile.mkstemp(dir=self._folder, prefix=".", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(HEAD.pack(MAGIC, len(head)) + head)
                file.write(body)
                file.write(state.data)
            Path(part).replace(path)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise


def fingerprint(path: Path) -> str:
    """What a model's file holds, as far as its size, its ends and samples between them tell."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(1 << 20))
        for number in range(1, SAMPLES + 1):
            file.seek(max(0, size * number // SAMPLES - SAMPLE))
            digest.update(file.read(SAMPLE))
    return digest.hexdigest()


def listed(folder: Path) -> list[Kept]:
    """All files of the cache, the ones used last first; a foreign one has no model."""
    return sorted(_all(folder), key=lambda kept: -kept.used)


def clear(folder: Path) -> tuple[int, int]:
    """Remove all files of the cache; how many prompts, and their bytes."""
    found = listed(folder)
    for path in folder.glob("*.tokens"):
        _remove(path)
    for kept in found:
        kept.path.unlink(missing_ok=True)
    return len(found), sum(kept.size for kept in found)


def _all(folder: Path) -> Iterator[Kept]:
    for path in folder.glob("*.kv"):
        try:
            told = path.stat()
            head, _ = _head(path)
            yield Kept(path, told.st_size, told.st_mtime, str(head["model"]), int(head["tokens"]))
        except OSError:
            continue
        except (ValueError, KeyError, TypeError):
            yield Kept(path, told.st_size, told.st_mtime, "", 0)


def _head(path: Path) -> tuple[dict[str, Any], int]:
    """A file's head, and where its tokens begin."""
    with path.open("rb") as file:
        start = file.read(HEAD.size)
        if len(start) != HEAD.size:
            raise ValueError("no head")
        magic, length = HEAD.unpack(start)
        if magic != MAGIC or length > LONGEST_HEAD:
            raise ValueError("not a prefix")
        head = json.loads(file.read(length))
    if not isinstance(head, dict) or not isinstance(head.get("tokens"), int):
        raise ValueError("not a head")
    return head, HEAD.size + length


def _tokens(path: Path) -> Tokens:
    head, start = _head(path)
    count: int = head["tokens"]
    if not 0 <= count <= path.stat().st_size // 4:
        raise ValueError("not a count")
    return np.fromfile(path, dtype=np.int32, count=count, offset=start)


def _continues(path: Path, tokens: Sequence[int]) -> bool:
    """Whether `tokens` go on from those in a file."""
    try:
        theirs = _tokens(path)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return len(theirs) < len(tokens) and theirs.tolist() == list(tokens[: len(theirs)])


def _evict(folder: Path, most: int) -> None:
    """Remove what was not used for longest until the rest has `most` bytes."""
    for part in folder.glob(".*.part"):
        if time.time() - part.stat().st_mtime > ABANDONED:
            _remove(part)
    total = 0
    for kept in listed(folder):
        total += kept.size
        if total > most:
            _remove(kept.path)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        # A cache that cannot be written is only read.
        return
