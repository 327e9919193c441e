"""All built-in tools, and which of them are enabled by default."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ...permissions.targets import BUILT_IN
from ...types import Tool
from ..safe_paths import SafeFolder
from ..sources import ToolPaths
from .files import file_tools
from .general import general_tools
from .notes import note_tools
from .shell import shell_tools
from .web import fetch_page

DISABLED_BY_DEFAULT = frozenset(
    {
        *("edit_file", "run_command", "fetch_page"),
        *("read_clipboard", "write_clipboard", "add_note", "read_notes"),
    }
)
"""Tools that the user must enable. A small model chooses worse among many tools."""


def builtin_tools(folder: Path) -> tuple[Tool, ...]:
    """Return the built-in tools that are enabled by default; file tools are limited to `folder`."""
    tools = (*general_tools(), *file_tools(SafeFolder.from_path(folder)))
    return tuple(tool for tool in tools if tool.name not in DISABLED_BY_DEFAULT)


def all_builtin_tools(paths: ToolPaths) -> tuple[Tool, ...]:
    """Return all built-in tools, including those that are disabled by default."""
    tools = (
        *general_tools(),
        *file_tools(SafeFolder.from_path(paths.cwd, paths.protected)),
        *shell_tools(paths),
        fetch_page,
        *note_tools(paths.data / "notes.jsonl"),
    )
    return tuple(replace(tool, source=BUILT_IN) for tool in tools)
