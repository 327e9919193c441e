"""Keep what was found out about servers, so that a command need not find it out again."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import atomic_file, user_file

Json = Any
MAX_AGE_S = 24 * 3600.0
MAX_ENTRIES = 100


class ProbeCache:
    """Findings in a JSON file, by a hash of the server's URL, model, version and properties."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def get(self, key: Mapping[str, Json]) -> Mapping[str, Json] | None:
        """Return findings of the last day; None if there are none."""
        found = self._load().get(_digest(key))
        if not isinstance(found, dict) or not isinstance(found.get("time"), int | float):
            return None
        return found if 0 <= time.time() - found["time"] < MAX_AGE_S else None

    def put(self, key: Mapping[str, Json], findings: Mapping[str, Json]) -> None:
        """Keep findings; without a file that can be written, they are found out again next time."""
        if self._path is None:
            return
        with suppress(OSError), atomic_file.exclusive(self._path) as write:
            saved = self._load()
            saved.pop(_digest(key), None)
            saved[_digest(key)] = {**findings, "time": time.time()}
            write(json.dumps(dict(list(saved.items())[-MAX_ENTRIES:])))

    def _load(self) -> dict[str, Json]:
        saved = user_file.read_own_json(self._path) if self._path else None
        return saved if isinstance(saved, dict) else {}


def _digest(key: Mapping[str, Json]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
