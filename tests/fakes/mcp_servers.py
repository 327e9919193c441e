"""MCP servers for tests: written down, started, agreed to."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xlam_local.tools.mcp import Servers
from xlam_local.tools.types import Source
from xlam_local.types import Tool

SERVER = str(Path(__file__).parent / "mcp_server.py")


def entry(mode: str = "good", *more: str, **keys: Any) -> dict[str, Any]:
    """What mcp.json says of our own server in one of its modes."""
    return {"command": sys.executable, "args": [SERVER, mode, *more], **keys}


def written(top: Path, **entries: dict[str, Any]) -> Path:
    """The mcp.json with these servers."""
    path = top / "mcp.json"
    path.write_text(json.dumps({"mcpServers": entries}))
    return path


@contextmanager
def opened(top: Path, **entries: dict[str, Any]) -> Iterator[Servers]:
    """The servers, none started; ended at the end."""
    with Servers.open(written(top, **entries), top / "state", top / "data") as servers:
        yield servers


@contextmanager
def running(top: Path, mode: str = "good", *more: str, **keys: Any) -> Iterator[Servers]:
    """One server called `one`, started and agreed to if it can be."""
    with opened(top, one=entry(mode, *more, **keys)) as servers:
        servers.start()
        servers.wait(30)
        if source(servers).state == "not agreed":
            servers.agree("one")
        yield servers


def source(servers: Servers, name: str = "one") -> Source:
    """One server as it is now."""
    return next(one for one in servers.sources if one.name == name)


def tool(servers: Servers, name: str = "echo", server: str = "one") -> Tool:
    """One tool that is offered now."""
    return next(one for one in source(servers, server).tools if one.name == name)


def call(servers: Servers, name: str = "echo", **arguments: Any) -> object:
    """Call a tool of the server called `one`."""
    run = tool(servers, name).run
    assert run is not None
    return run(**arguments)
