"""Which tools and sources the user has switched on or off."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ToolFileError
from . import files


@dataclass(slots=True)
class Switches:
    """What the user has switched, kept in a file; all else is as it is by itself."""

    path: Path
    off: Collection[str]
    """What is off as long as the user has not switched it on."""
    said: dict[str, bool] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path, off: Collection[str]) -> Switches:
        """The switches as they were left.

        Raises:
            ToolFileError: their file is not what it should be.
        """
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls(path, off)
        except (OSError, ValueError) as error:
            raise ToolFileError(f"{path} cannot be read: {error}.") from error
        if not isinstance(said, Mapping) or not all(isinstance(on, bool) for on in said.values()):
            raise ToolFileError(f"{path} is not an object of names, each true or false.")
        return cls(path, off, dict(said))

    def offers(self, name: str) -> bool:
        """Whether the tool or source called `name` is on."""
        return self.said.get(name, name not in self.off)

    def set(self, name: str, on: bool) -> None:
        """Switch it, and keep that."""
        if self.offers(name) == on:
            return
        self.said[name] = on
        files.put(self.path, json.dumps(self.said, indent=1))
