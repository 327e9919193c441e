"""An MCP server over streamable HTTP, made with the protocol's own library.

python tests/fakes/http_mcp_server.py PORT
"""

from __future__ import annotations

import asyncio
import sys

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("http")


@server.tool()
def echo(text: str) -> str:
    """Say it again."""
    return text


@server.tool()
def much() -> str:
    """Say more than anyone can bear."""
    return "x" * (40 << 20)


@server.tool()
async def wait() -> str:
    """Take a minute."""
    await asyncio.sleep(60)
    return "done"


@server.tool()
def headers(context: Context) -> str:
    """Tell the headers of this request."""
    request = context.request_context.request
    return str(dict(request.headers)) if request else ""


@server.tool()
async def grow(context: Context) -> str:
    """Offer another tool from now on."""

    def more() -> str:
        """One tool more."""
        return "more"

    server.add_tool(more)
    await context.notify_tools_changed()
    return "grown"


if __name__ == "__main__":
    server.run(transport="streamable-http", port=int(sys.argv[1]))
