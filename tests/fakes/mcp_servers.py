"""MCP servers for tests: configured, started, trusted."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xlam_local.tools.mcp import McpClients
from xlam_local.tools.sources import Source
from xlam_local.types import Tool

SERVER = str(Path(__file__).parent / "stdio_mcp_server.py")


def entry(mode: str = "good", *more: str, **keys: Any) -> dict[str, Any]:
    """What mcp.json says of our own server in one of its modes."""
    return {"command": sys.executable, "args": [SERVER, mode, *more], **keys}


def written(top: Path, **entries: dict[str, Any]) -> Path:
    """The mcp.json with these servers."""
    path = top / "mcp.json"
    path.write_text(json.dumps({"mcpServers": entries}))
    return path


@contextmanager
def opened(top: Path, **entries: dict[str, Any]) -> Iterator[McpClients]:
    """The servers, none started; ended at the end."""
    with McpClients.open(written(top, **entries), top / "state", top / "data") as servers:
        yield servers


@contextmanager
def running(top: Path, mode: str = "good", *more: str, **keys: Any) -> Iterator[McpClients]:
    """One server called `one`, started and trusted if it can be."""
    with opened(top, one=entry(mode, *more, **keys)) as servers:
        servers.start()
        servers.wait(30)
        if source(servers).state == "untrusted":
            servers.trust("one")
        yield servers


def source(servers: McpClients, name: str = "one") -> Source:
    """One server as it is now."""
    return next(one for one in servers.sources if one.name == name)


def tool(servers: McpClients, name: str = "echo", server: str = "one") -> Tool:
    """One tool that is offered now."""
    return next(one for one in source(servers, server).tools if one.name == name)


def call(servers: McpClients, name: str = "echo", **arguments: Any) -> object:
    """Call a tool of the server called `one`."""
    run = tool(servers, name).run
    assert run is not None
    return run(**arguments)
