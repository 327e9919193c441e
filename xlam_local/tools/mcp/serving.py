"""Our tools, served over MCP to the program that started us."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ...types import Effect, Result, Tool, ToolCall

if TYPE_CHECKING:
    from mcp_types import CallToolResult
    from mcp_types import Tool as Described

Call = Callable[[Tool, ToolCall], Result]


def serve(tools: Callable[[], Sequence[Tool]], call: Call, version: str) -> None:
    """Serve `tools` on stdin and stdout until the other side leaves; `call` runs one of them."""
    import anyio

    anyio.run(_served, tools, call, version)


async def _served(tools: Callable[[], Sequence[Tool]], call: Call, version: str) -> None:
    import anyio
    import mcp_types as wire
    from mcp.server import Server
    from mcp.server.stdio import stdio_server

    number = 0

    async def listed(_context: Any, _params: Any) -> wire.ListToolsResult:
        return wire.ListToolsResult(tools=[_described(tool) for tool in tools()])

    async def called(_context: Any, params: wire.CallToolRequestParams) -> wire.CallToolResult:
        nonlocal number
        number += 1
        found = {tool.name: tool for tool in tools()}
        if params.name not in found:
            return _answered(f"There is no tool {params.name!r}; there are: {', '.join(found)}.")
        tool = found[params.name]
        made = ToolCall(f"call_{number}", tool.name, params.arguments or {})
        try:
            done = await anyio.to_thread.run_sync(call, tool, made, abandon_on_cancel=True)
        except anyio.get_cancelled_exc_class():
            if tool.stop is not None:
                tool.stop()
            raise
        return _answered(done.output, done.ok)

    server = Server("xlam-local", version=version, on_list_tools=listed, on_call_tool=called)
    async with stdio_server() as (arriving, leaving):
        await server.run(arriving, leaving, server.create_initialization_options())


def _described(tool: Tool) -> Described:
    from mcp_types import Tool as Described
    from mcp_types import ToolAnnotations

    hints = ToolAnnotations(
        read_only_hint=tool.effect is Effect.READ,
        open_world_hint=tool.effect in {Effect.NETWORK, Effect.EXECUTE},
    )
    schema = {"type": "object", **tool.parameters}
    return Described(
        name=tool.name, description=tool.description, input_schema=schema, annotations=hints
    )


def _answered(text: str, ok: bool = False) -> CallToolResult:
    from mcp_types import CallToolResult, TextContent

    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=not ok)
