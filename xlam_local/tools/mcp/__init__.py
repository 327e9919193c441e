"""Tools of MCP servers, which are started when they are needed.

https://modelcontextprotocol.io describes the protocol.
"""

from __future__ import annotations

from .clients import McpClients

__all__ = ["McpClients"]
