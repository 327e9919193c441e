"""The part of the client that needs the MCP library; importing it takes seconds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp_types import Implementation, ListToolsResult, Tool
from pydantic import ValidationError

from ...errors import ToolError, XlamError
from ...terminal_text import escape_control
from .http_transport import http_client
from .stdio_transport import start as start_server
from .stdio_transport import streams as stdio_transport

__all__ = [
    "CLIENT_ERRORS",
    "call_error",
    "call_tool",
    "connect",
    "error_message",
    "http_transport",
    "learn_tools",
    "list_tools",
    "start_server",
    "stdio_transport",
]

CLIENT_ERRORS: tuple[type[BaseException], ...] = (
    XlamError,
    MCPError,
    httpx2.HTTPError,
    OSError,
    ValueError,
    RuntimeError,
    ExceptionGroup,
    anyio.ClosedResourceError,
    anyio.BrokenResourceError,
)
"""The exceptions that are raised when a server fails."""


@asynccontextmanager
async def connect(transport: Any, on_tools_changed: Callable[[], None]) -> AsyncIterator[Client]:
    """Connect to a server; call `on_tools_changed` when it says that its tools have changed."""

    async def handle(message: Any) -> None:
        if type(message).__name__ == "ToolListChangedNotification":
            on_tools_changed()

    name = Implementation(name="xlam-local", version="1")
    async with Client(transport, client_info=name, message_handler=handle, cache=None) as client:
        yield client


@asynccontextmanager
async def http_transport(
    url: str, headers: Mapping[str, str], timeout_s: float
) -> AsyncIterator[Any]:
    """Open the streamable HTTP transport of a server."""
    async with http_client(headers, timeout_s) as client:
        yield streamable_http_client(url, http_client=client)


async def call_tool(client: Any, name: str, arguments: Mapping[str, Any]) -> Any:
    """Call a tool and return the server's result, which may be any JSON."""
    return await _request(client, "tools/call", {"name": name, "arguments": dict(arguments)})


async def list_tools(client: Any, cursor: str | None) -> tuple[list[Any], str | None]:
    """Return a page of tools as the server describes them, and the cursor of the next page.

    Raises:
        ToolError: the answer has no list of tools.
    """
    page = await _request(client, "tools/list", {"cursor": cursor} if cursor else {})
    tools = page.get("tools") if isinstance(page, dict) else None
    if not isinstance(tools, list):
        raise ToolError("Its answer to tools/list has no list of tools.")
    following = page.get("nextCursor")
    return tools, following if isinstance(following, str) else None


def learn_tools(client: Any, tools: Sequence[Any]) -> None:
    """Let the library know the tools; newer protocols send some arguments as HTTP headers."""
    known = [tool for tool in tools if isinstance(tool, dict)]
    valid = []
    for tool in known:
        with suppress(ValidationError):
            valid.append(Tool.model_validate(tool, by_name=False))
    client.session._absorb_tool_listing(ListToolsResult(tools=valid), complete=False)


async def _request(client: Any, method: str, params: dict[str, Any]) -> Any:
    """Send a request and return the result as it is.

    The library's own functions reject a whole list for one invalid tool, and a whole result for
    one unknown block. They also validate a result against the output schema, whose patterns can
    make Python's regular expressions run for an unlimited time.
    """
    session = client.session
    request = {"method": method, "params": params}
    options: dict[str, Any] = {}
    session._stamp(request, options)
    return await session._dispatcher.send_raw_request(method, request["params"], options)


def call_error(error: BaseException) -> str:
    """Return everything that an error says about a call: its message, and its data if any."""
    if not isinstance(error, MCPError):
        return error_message(error)
    data = error.error.data
    more = "" if data is None else "\n" + json.dumps(data, ensure_ascii=False, default=str)
    return escape_control(f"{error.message}{more}".strip()) or "MCPError."


def error_message(error: BaseException) -> str:
    """Return an error as one line."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ValidationError):
        return f"Its answer is not a valid {error.title}."
    if isinstance(error, TimeoutError):
        return "It did not list its tools in time."
    with suppress(IndexError):
        said = escape_control(str(error).strip().splitlines()[0])[:300].rstrip(".")
        return f"{said}." if said else f"{type(error).__name__}."
    return f"{type(error).__name__}."
