"""Trusted tools: for each server, the tool list that the user has trusted."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ... import user_file
from ...errors import ToolFileError, UsageError
from ...terminal_text import escape_control
from .. import file_formats
from .tool_listing import ListedTool


class TrustedTools:
    """The file of trusted tool lists."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def tools(self, server: str, launch: str) -> tuple[dict[str, ListedTool], list[str]]:
        """Return the trusted tools of a server, and why others of its tools were left out.

        There are none if what is launched has changed since.
        """
        stored = self._load().get(server, {})
        if stored.get("launch") != launch:
            return {}, []
        tools = {name: ListedTool(**item) for name, item in stored["tools"].items()}
        return tools, list(map(str, stored.get("left_out", ())))

    def trust(
        self,
        server: str,
        launch: str,
        tools: Mapping[str, ListedTool],
        left_out: Sequence[str] = (),
    ) -> None:
        """Trust the tools of a server as they are now, instead of an earlier list."""
        listed = {name: asdict(tool) for name, tool in tools.items()}
        item = {"launch": launch, "tools": listed, "left_out": list(left_out)}
        with file_formats.exclusive(self.path) as replace:
            stored = {**self._load(), server: item}
            replace(json.dumps(stored, indent=1))

    def _load(self) -> dict[str, Any]:
        try:
            stored = user_file.read_json(self.path)
            for item in stored.values():
                item["launch"], {name: ListedTool(**tool) for name, tool in item["tools"].items()}
        except user_file.FileMissing:
            return {}
        except (UsageError, TypeError, KeyError, AttributeError) as error:
            raise ToolFileError(
                f"{self.path}, which lists the trusted tools of MCP servers, cannot be read. "
                "Remove it and trust them again."
            ) from error
        return dict(stored)


def describe_changes(before: Mapping[str, ListedTool], now: Mapping[str, ListedTool]) -> str:
    """Return the differences to the trusted tools, with control characters escaped."""
    parts = [describe_tool(now[name]) for name in now if name not in before]
    parts += [
        f"Changed: {_difference(before[name], now[name])}"
        for name in now
        if name in before and before[name].digest != now[name].digest
    ]
    parts += [f"Removed: {name}" for name in before if name not in now]
    return escape_control("\n\n".join(parts))


def untrusted_tools(
    before: Mapping[str, ListedTool], now: Mapping[str, ListedTool]
) -> dict[str, list[str]]:
    """Return the names of the new and the changed tools, which are not trusted yet."""
    new = [name for name in now if name not in before]
    changed = [n for n in now if n in before and before[n].digest != now[n].digest]
    return {"new": new, "changed": changed}


def describe_tool(tool: ListedTool) -> str:
    """Return everything that the model reads about a tool."""
    schema = json.dumps(tool.schema, ensure_ascii=False)
    hints = ", ".join(name for name, on in tool.hints.items() if on)
    says = f"\n  Hints from the server: {hints}" if hints else ""
    return f"{tool.model_name}: {tool.description}\n  {schema}{says}"


def _difference(before: ListedTool, now: ListedTool) -> str:
    lines = difflib.unified_diff(
        describe_tool(before).splitlines(), describe_tool(now).splitlines(), lineterm="", n=0
    )
    return "\n".join([now.model_name, *list(lines)[2:]])
