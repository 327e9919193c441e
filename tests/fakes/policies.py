"""Decide on calls with fixed folders and without a file system."""

from __future__ import annotations

from collections.abc import Mapping
from os.path import normpath
from pathlib import Path
from typing import Any

from xlam_local.permissions import PolicyContext, Verdict, evaluate, parse
from xlam_local.types import Effect, Tool, ToolCall

CWD = Path("/home/u/project")
HOME = Path("/home/u")
CONTEXT = PolicyContext(CWD, HOME, lambda path: Path(normpath(path)))


def tool(effect: Effect = Effect.EXECUTE, source: str = "", name: str = "f") -> Tool:
    """Return a tool that accepts any arguments."""
    return Tool(name, "", {"type": "object"}, effect, source=source)


READ, WRITE, RUN = tool(Effect.READ), tool(Effect.WRITE), tool(Effect.EXECUTE)
FETCH = tool(Effect.NETWORK, name="fetch")
SERVER = tool(Effect.EXECUTE, "mcp: files", "read_file")


def decide(
    policy: str,
    tool: Tool,
    arguments: Mapping[str, Any] | None = None,
    context: PolicyContext = CONTEXT,
) -> Verdict:
    """Return the verdict of the text of a policy.toml on a call."""
    return evaluate(parse(policy), tool, ToolCall("call_0", tool.name, arguments or {}), context)
