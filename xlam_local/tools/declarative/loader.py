"""Load the tools that a TOML or JSON file declares under `tool`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ... import toml_values
from ...errors import ToolFileError, UsageError
from ...tool_definition import schema_by_name
from ...types import Effect, Schema, Tool
from ..sandbox.config import MAX_TIMEOUT_S, SandboxConfig
from ..sources import SourceKind
from .command import COMMAND_KEYS, command_text, command_tool
from .http import http_tool

COMMON_KEYS = {"name", "description", "parameters", "effect", "timeout"}
KIND_KEYS: Mapping[str, set[str]] = {"command": COMMAND_KEYS, "http": {"http"}}
"""The keys of each kind of tool, besides the common ones."""
BUILDERS: Mapping[str, Callable[[Mapping[str, Any], Tool, SandboxConfig], Tool]] = {
    "command": command_tool,
    "http": http_tool,
}
DEFAULT_EFFECTS = {"command": Effect.EXECUTE, "http": Effect.NETWORK}
DEFAULT_TIMEOUT_S = 30.0
MIN_TIMEOUT_S = 0.001


def load_tools(data: Mapping[str, Any], sandbox: SandboxConfig) -> tuple[Tool, ...]:
    """Return the tools of a parsed file; commands run in `sandbox` unless they say otherwise.

    Raises:
        ToolFileError: a tool or one of its values is invalid; the message names them.
    """
    try:
        toml_values.check_keys(data, {"tool"}, "The file")
        tools = [_load_tool(table, number, sandbox) for number, table in enumerate(data["tool"])]
    except ToolFileError:
        raise
    except UsageError as error:
        raise ToolFileError(str(error)) from error
    for number, tool in enumerate(tools):
        if tool.name in {other.name for other in tools[:number]}:
            raise ToolFileError(f"There are two tools named {tool.name!r}.")
    return tuple(tools)


def file_kind(data: Mapping[str, Any]) -> SourceKind:
    """Return the kind of source that a parsed file is."""
    return "command" if any("command" in table for table in data["tool"]) else "http"


def describe_tools(data: Mapping[str, Any]) -> str:
    """Describe everything that the tools of a valid file would do, for the user to check."""
    return "\n".join(line for table in data["tool"] for line in _describe(table))


def _load_tool(table: Any, number: int, sandbox: SandboxConfig) -> Tool:
    if not isinstance(table, Mapping):
        raise ToolFileError(f"The tool at /tool/{number} must be a table.")
    name = table.get("name")
    if not isinstance(name, str) or not name:
        raise ToolFileError(f"The tool at /tool/{number} has no name.")
    if not name.isprintable():
        raise ToolFileError(f"The tool at /tool/{number} has unprintable characters: {name!r}.")
    where = f"Tool {name!r}"
    kinds = [kind for kind in BUILDERS if kind in table]
    if len(kinds) != 1:
        raise ToolFileError(f"{where}: Either command or http is required, and not both.")
    kind = kinds[0]
    toml_values.check_keys(table, COMMON_KEYS | KIND_KEYS[kind], where)
    effect = toml_values.member(table, "effect", where, DEFAULT_EFFECTS[kind])
    if kind == "http" and effect is not Effect.NETWORK:
        raise ToolFileError(f"{where}: effect must be 'network' for an HTTP tool.")
    timeout = toml_values.number(
        table, "timeout", where, DEFAULT_TIMEOUT_S, minimum=MIN_TIMEOUT_S, maximum=MAX_TIMEOUT_S
    )
    tool = Tool(
        name,
        toml_values.text(table, "description", where),
        _parameters(toml_values.subtable(table, "parameters", where), where),
        effect,
        timeout=float(timeout),
    )
    return BUILDERS[kind](table, tool, sandbox)


def _parameters(table: Mapping[str, Any], where: str) -> Schema:
    """Return the JSON Schema of the arguments.

    The table is such a schema, or has the JSON Schema of each parameter by name.
    """
    try:
        json.dumps(table, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ToolFileError(f"{where}: parameters must be JSON: {error}.") from error
    if table.get("type") == "object" or "properties" in table:
        toml_values.subtable(table, "properties", f"{where}, parameters")
        return dict(table)
    return schema_by_name(
        {name: toml_values.subtable(table, name, f"{where}, parameters") for name in table}
    )


def _describe(table: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a tool does, and then all settings that change where and how it does it."""
    if "command" in table:
        kind, settings, action = "command", table, command_text(table)
    else:
        kind, settings = "http", table["http"]
        action = f"{settings.get('method', 'GET')} {settings['url']}"
    yield f"{table['name']} ({table.get('effect', DEFAULT_EFFECTS[kind].value)}): {action}"
    for key, value in settings.items():
        if key not in {*COMMON_KEYS, "command", "method", "url"}:
            yield f"  {key}: {json.dumps(value, ensure_ascii=False, default=str)}"
