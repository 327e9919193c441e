"""Exfiltration check: what a conversation has read, and which calls could send it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..types import Effect, Message, Sandbox, Tool, ToolResult, UserMessage
from .context import runs_code
from .targets import BUILT_IN, find_targets, is_mcp_tool


def taint(messages: Iterable[Message], tools: Sequence[Tool]) -> dict[str, str]:
    """Return the readers of private data in a conversation, with what each has read first.

    Failed calls count, too: a command can print a file and then end with an error.
    """
    by_name = {tool.name: tool for tool in tools}
    taints: dict[str, str] = {}
    for message in messages:
        if isinstance(message, UserMessage) and message.attachments:
            taints["@"] = f"your message has attached {message.attachments[0]}"
        if not isinstance(message, ToolResult) or message.refused:
            continue
        name = message.call.name
        tool = by_name.get(name)
        if tool is None:
            taints[f"?/{name}"] = f"{name} (no longer available) {_has(message)} run"
        elif _reader(tool) not in taints and (description := _describe_read(tool, message)):
            taints[_reader(tool)] = description
    return taints


def can_exfiltrate(tool: Tool) -> bool:
    """Return whether a tool could send data out of this machine."""
    isolated = tool.sandbox is Sandbox.ISOLATED
    return tool.effect is Effect.NETWORK or tool.network or (runs_code(tool) and not isolated)


def exfiltration_reason(tool: Tool, taints: Mapping[str, str]) -> str:
    """Return what a tool could send out that another one has read, or an empty string.

    What a tool has read itself does not count: it could have sent it while reading.
    """
    if not can_exfiltrate(tool):
        return ""
    others = (description for reader, description in taints.items() if reader != _reader(tool))
    return next(others, "")


def _describe_read(tool: Tool, result: ToolResult) -> str:
    """Return a description of the private data that a call has read, or an empty string.

    The source of the data decides. The effect that a server or a file declares says
    nothing about it; only our own tools that write return no data.
    """
    if tool.deterministic or tool.public:
        return ""
    if is_mcp_tool(tool):
        return f"{tool.name} of the MCP server {tool.source[5:]!r} {_has(result)} returned data"
    paths = find_targets(tool, result.call.arguments, Path(), lambda path: path).paths
    if paths:
        verb = "read" if tool.effect is Effect.READ else "opened"
        return f"{tool.name} {_has(result)} {verb} {paths[0].text or 'files'}"
    if tool.effect is Effect.NETWORK:
        return f"{tool.name} {_has(result)} returned data that may not be public"
    if tool.effect is not Effect.WRITE or tool.source != BUILT_IN:
        return f"{tool.name} may have read files"
    return ""


def _has(result: ToolResult) -> str:
    return "has" if result.ok else "may have"


def _reader(tool: Tool) -> str:
    """Return the name under which reads are recorded: an MCP server as a whole, or one tool."""
    return tool.source if is_mcp_tool(tool) else f"{tool.source}/{tool.name}"
