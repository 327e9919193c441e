"""The SHA-256 of an installed model's file."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import atomic_file, user_file
from ..errors import IntegrityError
from ..generators import drain
from .checksum import compute_checksum
from .types import Store

HASHES_FILE = "model_hashes.json"
"""The hashes that were computed, by path, size and time of change."""
BLOB_NAME = re.compile(r"[0-9a-f]{64}")


def file_sha256(path: Path, store: Store) -> str:
    """Return the SHA-256 of a model's file; it is computed once, which takes seconds.

    Raises:
        IntegrityError: the file cannot be read.
    """
    blob = path.resolve()
    if BLOB_NAME.fullmatch(blob.name) and blob.parent.name == "blobs":
        return blob.name  # In the Hugging Face cache, a file's name is its hash.
    try:
        about = blob.stat()
    except OSError as error:
        raise IntegrityError(f"{path} cannot be read: {error.strerror}.") from error
    key, saved = f"{blob} {about.st_size} {about.st_mtime_ns}", store.data / HASHES_FILE
    found = user_file.read_own_json(saved)
    known: dict[str, Any] = found if isinstance(found, dict) else {}
    if not isinstance(known.get(key), str):
        known[key] = drain(compute_checksum(blob)).sha256()
        with suppress(OSError):  # A data folder that is not writable only costs time.
            atomic_file.write_text(saved, json.dumps(known))
    return str(known[key])
