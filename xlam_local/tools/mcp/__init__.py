"""Tools of MCP servers: other programs, started when they are wanted."""

from __future__ import annotations

from .servers import Servers

__all__ = ["Servers"]
