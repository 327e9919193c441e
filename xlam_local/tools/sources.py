"""Where tools come from, and the folders that a toolbox uses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..types import Tool
from .safe_paths import link_chain
from .sandbox.credentials import credential_paths, hidden_in_home

MCP_CONFIG_FILE = "mcp.json"
"""The file of MCP servers, and the name of a source that stands for it if it cannot be read."""
SETTINGS_FILES = (
    *("config.toml", "policy.toml", "mcp.json", "models.toml", "keys.toml", "tools"),
    *("trust.json", "mcp-trust.json", "licenses.json"),
)
"""Files and folders in the configuration folder that decide what may run."""
SourceKind = Literal["built-in", "python", "command", "http", "mcp", "schemas"]
"""The tools of `schemas` have no implementation; the caller runs them."""
SourceState = Literal["ready", "starting", "off", "failed", "untrusted"]


@dataclass(frozen=True, slots=True)
class Source:
    """A file, a package or a server with tools, or the built-in tools."""

    name: str
    kind: SourceKind
    state: SourceState
    tools: tuple[Tool, ...] = ()
    """The known tools; those of a source that is not ready cannot run."""
    detail: str = ""
    """Why it failed, or a description of everything that the user would trust."""
    path: str = ""
    """The tool file, for the user to read."""
    left_out: tuple[str, ...] = ()
    """Sentences that name the tools that are left out, and why."""
    notices: tuple[str, ...] = ()
    """Sentences about keys of its entry that have no effect."""
    content_hash: str = ""
    """The hash of what the user would trust. It changes with the content."""


@dataclass(frozen=True, slots=True)
class ToolPaths:
    """The folders that a toolbox uses."""

    config: Path
    """Configuration; its folder `tools` has the user's tool files."""
    data: Path
    """What the user trusts, and notes."""
    state: Path
    """Logs and long results."""
    cwd: Path
    """The working folder of the tools."""
    private_logs: Path | None = None
    """The folder for logs if they must not stay; otherwise they are in `state`."""

    @property
    def logs(self) -> Path:
        """The folder for the logs of Python files and MCP servers."""
        return self.private_logs or self.state

    @property
    def protected(self) -> tuple[Path, ...]:
        """The paths that no tool may access: the program's own folders, and credentials.

        If one of them is a symbolic link, each link on the way and its target are protected.
        """
        settings = [self.config / name for name in SETTINGS_FILES]
        own = [path for base in (self.config, self.data, self.state) for path in link_chain(base)]
        linked = [path for file in settings for path in link_chain(file)]
        return tuple(dict.fromkeys([*own, *linked, *credential_paths()]))

    @property
    def hidden(self) -> tuple[Path, ...]:
        """The paths that no isolated program sees."""
        return (*self.protected, *hidden_in_home(self.cwd))
