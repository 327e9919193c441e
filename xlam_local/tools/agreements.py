"""Which files of tools their user has agreed to, by what is in them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ..errors import ToolFileError
from . import files


def digest(content: bytes) -> str:
    """What a file's content is known by."""
    return hashlib.sha256(content).hexdigest()


class Agreements:
    """The contents that were agreed to, kept in a file; those for one session only, in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._session: set[str] = set()

    def __contains__(self, content: str) -> bool:
        return content in self._session or content in self._kept()

    def add(self, content: str, name: str) -> None:
        """Agree for good to the content known by `content`, of the file called `name`."""
        files.put(self.path, json.dumps({**self._kept(), content: name}, indent=1))
        self._session.add(content)

    def add_for_now(self, content: str) -> None:
        """Agree to the content until this program ends."""
        self._session.add(content)

    def _kept(self) -> dict[str, str]:
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ToolFileError(
                f"{self.path}, which holds the files of tools that were agreed to, "
                f"cannot be read: {error}. Remove it to agree to them anew."
            ) from error
        return kept if isinstance(kept, dict) else {}
