"""Tools from Python functions, commands, HTTP and MCP servers, and the built-in ones."""

from __future__ import annotations

from .builtin import builtin
from .files import load
from .functions import tool
from .toolbox import Toolbox
from .types import Places, Source

__all__ = ["Places", "Source", "Toolbox", "builtin", "load", "tool"]
