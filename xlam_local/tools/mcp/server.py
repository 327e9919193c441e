"""Serve the tools over MCP on stdin and stdout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anyio
import mcp_types
from mcp.server import Server
from mcp.server.stdio import stdio_server

from ...errors import XlamError
from ...types import Effect, Tool, ToolCall, ToolResult

Call = Callable[[Tool, ToolCall], ToolResult]


def serve(tools: Callable[[], Sequence[Tool]], call: Call, version: str) -> None:
    """Serve `tools` on stdin and stdout until the client disconnects; `call` runs one tool.

    Raises:
        XlamError: stdout cannot be written.
    """
    try:
        anyio.run(_serve, tools, call, version)
    except BaseExceptionGroup as group:
        # anyio groups the errors of the tasks that read and write.
        failed, others = group.split(OSError)
        if failed is None or others is not None:
            raise
        error = _first(failed)
        if not isinstance(error, BrokenPipeError):
            raise XlamError(f"stdout cannot be written: {error.strerror}.") from error


def _first(group: BaseExceptionGroup[OSError]) -> OSError:
    """Return the first error in nested groups."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


async def _serve(tools: Callable[[], Sequence[Tool]], call: Call, version: str) -> None:
    number = 0

    async def list_tools(_context: Any, _params: Any) -> mcp_types.ListToolsResult:
        return mcp_types.ListToolsResult(tools=[_to_mcp_tool(tool) for tool in tools()])

    async def call_tool(
        _context: Any, params: mcp_types.CallToolRequestParams
    ) -> mcp_types.CallToolResult:
        nonlocal number
        number += 1
        found = {tool.name: tool for tool in tools()}
        if params.name not in found:
            return _to_mcp_result(
                f"Unknown tool {params.name!r}. Available tools: {', '.join(found)}."
            )
        tool = found[params.name]
        made = ToolCall(f"call_{number}", tool.name, params.arguments or {})
        try:
            done = await anyio.to_thread.run_sync(call, tool, made, abandon_on_cancel=True)
        except anyio.get_cancelled_exc_class():
            if tool.cancel is not None:
                tool.cancel()
            raise
        return _to_mcp_result(done.output, done.ok)

    server = Server("xlam-local", version=version, on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (arriving, leaving):
        await server.run(arriving, leaving, server.create_initialization_options())


def _to_mcp_tool(tool: Tool) -> mcp_types.Tool:
    hints = mcp_types.ToolAnnotations(
        read_only_hint=tool.effect is Effect.READ,
        open_world_hint=tool.effect in {Effect.NETWORK, Effect.EXECUTE},
    )
    schema = {"type": "object", **tool.parameters}
    return mcp_types.Tool(
        name=tool.name, description=tool.description, input_schema=schema, annotations=hints
    )


def _to_mcp_result(text: str, ok: bool = False) -> mcp_types.CallToolResult:
    return mcp_types.CallToolResult(
        content=[mcp_types.TextContent(type="text", text=text)], is_error=not ok
    )
