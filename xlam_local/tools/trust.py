"""The tool files that the user trusts, by the hash of their content."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from .. import user_file
from ..errors import ToolFileError, UsageError
from . import file_formats


def content_hash(content: bytes) -> str:
    """Return the SHA-256 of some content, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


class TrustStore:
    """The hashes of trusted content: in a file, or in memory for one session."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._session: set[str] = set()

    def __contains__(self, content_hash: str) -> bool:
        return content_hash in self._session or content_hash in self._read()

    def trust(self, content_hash: str, name: str) -> None:
        """Trust content permanently. `name` is for people who read the file."""
        with file_formats.exclusive(self.path) as replace:
            replace(json.dumps({**self._read(), content_hash: name}, indent=1))
        self._session.add(content_hash)

    def trust_for_session(self, content_hash: str) -> None:
        """Trust content until this program ends."""
        self._session.add(content_hash)

    def _read(self) -> dict[str, str]:
        """Return the names of the trusted files by hash."""
        try:
            stored = user_file.read_json(self.path)
        except user_file.FileMissing:
            return {}
        except UsageError as error:
            raise ToolFileError(
                f"The list of trusted tool files cannot be read. {error} Delete it and trust them "
                "again."
            ) from error
        return stored if isinstance(stored, dict) else {}
