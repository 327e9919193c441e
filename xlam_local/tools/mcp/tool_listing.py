"""The tool list of a server, which is untrusted input."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import ToolFileError
from ...terminal_text import escape_control
from ...tool_definition import read_tool
from ...types import Effect

MAX_TOOLS = 200
MAX_DESCRIPTION_CHARS = 4_000
"""Characters of a description; tools with longer ones are rejected."""
MAX_SCHEMA_CHARS = 50_000
"""Characters of a schema as JSON."""
MAX_NAME_CHARS = 1_000
MAX_SHOWN_NAME_CHARS = 80
MAX_NAMED = 100
"""How many tools above MAX_TOOLS are named."""


@dataclass(frozen=True, slots=True)
class ListedTool:
    """A tool as its server describes it."""

    name: str
    description: str = ""
    schema: Mapping[str, Any] = field(default_factory=dict)
    hints: Mapping[str, bool] = field(default_factory=dict)

    @property
    def model_name(self) -> str:
        """Return the name that the model uses: without characters that cannot be seen."""
        return "".join(char if char.isprintable() else "_" for char in self.name)

    @property
    def digest(self) -> str:
        """Return a hash of everything that the server says about the tool."""
        said = [self.name, self.description, self.schema, self.hints]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def list_digest(tools: Mapping[str, ListedTool]) -> str:
    """Return a hash of a tool list, which identifies the list that a user has seen."""
    return hashlib.sha256("".join(tool.digest for tool in tools.values()).encode()).hexdigest()


def rejection_reason(tool: ListedTool, taken: set[str]) -> str:
    """Return why a tool cannot be offered; "" if it can."""
    if not tool.name or len(tool.name) > MAX_NAME_CHARS:
        return f"its name has {len(tool.name)} characters (allowed: 1 to {MAX_NAME_CHARS})"
    if not any(char.isprintable() and not char.isspace() for char in tool.name):
        return "its name has no visible character"
    if tool.model_name in taken:
        return f"another tool of this server is also named {tool.model_name!r}"
    if len(tool.description) > MAX_DESCRIPTION_CHARS:
        length = len(tool.description)
        return f"its description has {length:,} characters (limit: {MAX_DESCRIPTION_CHARS:,})"
    if len(json.dumps(tool.schema)) > MAX_SCHEMA_CHARS:
        return f"its schema has more than {MAX_SCHEMA_CHARS:,} characters"
    return ""


def read_tools(
    listed: Sequence[Any], allows: Callable[[str], bool]
) -> tuple[dict[str, ListedTool], list[str]]:
    """Return the tools that a server lists and that are allowed, and why each other is left out."""
    tools: list[ListedTool] = []
    told: list[str] = []
    for number, item in enumerate(listed):
        try:
            tool = parse_tool(item, number)
        except ToolFileError as error:
            told.append(str(error))
            continue
        if allows(tool.name):
            tools.append(tool)
    good, left_out = filter_tools(tools)
    return good, [*told, *left_out]


def parse_tool(item: Any, number: int) -> ListedTool:
    """Return a tool as a server describes it.

    Raises:
        ToolFileError: it is not a tool; the message names it.
    """
    name = item.get("name") if isinstance(item, Mapping) else None
    if not isinstance(name, str):
        raise ToolFileError(f"The tool at /tools/{number} is left out: it has no name.")
    if item.get("inputSchema") is None:
        raise ToolFileError(_left_out(name, "it has no inputSchema"))
    try:
        tool = read_tool({key: item[key] for key in READ_KEYS if key in item}, f"/tools/{number}")
    except ToolFileError as error:
        raise ToolFileError(_left_out(name, str(error))) from error
    annotations = item.get("annotations")
    hints = annotations if isinstance(annotations, Mapping) else {}
    said = {key: value for key, value in hints.items() if isinstance(value, bool)}
    return ListedTool(name, escape_control(tool.description).strip(), tool.parameters, said)


READ_KEYS = ("name", "description", "inputSchema", "required")
"""Keys of a listed tool that say how to call it."""


def filter_tools(tools: Sequence[ListedTool]) -> tuple[dict[str, ListedTool], list[str]]:
    """Return the tools that can be offered, by model name, and why each other is left out."""
    good: dict[str, ListedTool] = {}
    told: list[str] = []
    excess: list[str] = []
    for tool in tools:
        if why := rejection_reason(tool, set(good)):
            told.append(_left_out(tool.name, why))
        elif len(good) >= MAX_TOOLS:
            excess.append(tool.model_name)
        else:
            good[tool.model_name] = tool
    if excess:
        others = len(excess) - MAX_NAMED
        named = ", ".join(excess[:MAX_NAMED]) + (f" and {others} others" if others > 0 else "")
        told.append(
            f"{len(excess)} tools more than {MAX_TOOLS} are left out: {named}. Choose with "
            "allowedTools in mcp.json."
        )
    return good, told


def _left_out(name: str, why: str) -> str:
    shown = name if len(name) <= MAX_SHOWN_NAME_CHARS else name[:MAX_SHOWN_NAME_CHARS] + "…"
    return f"{escape_control(shown)!r} is left out: {why.rstrip('.')}."


def tool_effect(tool: ListedTool, remote: bool) -> Effect:
    """Return what running a tool can do, according to its server.

    Hints change only the description of a tool: the policy asks before every tool of a server,
    unless a rule allows that server by its name.
    """
    if remote or (tool.hints.get("readOnlyHint") and tool.hints.get("openWorldHint")):
        return Effect.NETWORK
    return Effect.READ if tool.hints.get("readOnlyHint") else Effect.EXECUTE
