"""Where tools come from, and in which state each place is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..types import Tool

BUILT_IN = "built-in"
"""The source of the tools that come with the program."""
KEYS = (
    *(".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".netrc", ".git-credentials"),
    *(".npmrc", ".pypirc", ".config/gcloud", ".config/gh", ".password-store", ".mozilla"),
    *(".local/share/keyrings", ".cache/huggingface/token", "Library/Keychains"),
)
"""What holds keys and passwords in a home folder, for when that is the working folder."""
Kind = Literal["built-in", "python", "command", "http", "mcp", "schemas"]
"""`schemas` are tools that the caller runs."""
State = Literal["ready", "starting", "off", "failed", "not agreed"]


@dataclass(frozen=True, slots=True)
class Source:
    """A place that tools come from."""

    name: str
    kind: Kind
    state: State
    tools: tuple[Tool, ...] = ()
    detail: str = ""
    """Why it failed, or what has to be agreed to, as a sentence."""
    place: str = ""
    """The file that it is, to read before one agrees."""
    version: str = ""
    """What its content is known by: who agrees says which they saw."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where a toolbox finds its tools, and keeps what it has to remember."""

    config: Path
    """The user's own files of tools are in `tools` under it."""
    data: Path
    state: Path
    folder: Path
    """The working folder, which the tools see."""

    @property
    def closed(self) -> tuple[Path, ...]:
        """What no tool reaches: the program's settings, what was agreed to, and keys."""
        home = Path.home()
        return self.config, self.data, self.state, *(home / name for name in KEYS)
