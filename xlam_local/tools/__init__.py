"""Tools from Python functions, commands, HTTP and MCP servers, and the built-in ones."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .builtin.catalog import builtin_tools
    from .file_formats import load_schemas
    from .python.decorator import tool
    from .sources import Source, ToolPaths
    from .toolbox import Toolbox

__all__ = ["Source", "ToolPaths", "Toolbox", "builtin_tools", "load_schemas", "tool"]

# These modules are imported at first access: a process that runs a tool file needs only `tool`.
_LAZY_MODULES = {
    "Source": "sources",
    "ToolPaths": "sources",
    "Toolbox": "toolbox",
    "builtin_tools": "builtin.catalog",
    "load_schemas": "file_formats",
    "tool": "python.decorator",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY_MODULES:
        return getattr(import_module(f".{_LAZY_MODULES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
