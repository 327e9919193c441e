"""What the user agreed to: for each server, its tools as they were then."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...errors import ToolFileError
from ...sanitize import printable
from .. import files
from .listing import Listed


class Agreed:
    """The tools that were agreed to, in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def tools(self, server: str, launch: str) -> dict[str, Listed]:
        """The tools of a server that were agreed to, while it is started as it was then."""
        kept = self._kept().get(server, {})
        if kept.get("launch") != launch:
            return {}
        return {name: Listed(**item) for name, item in kept["tools"].items()}

    def agree(self, server: str, launch: str, tools: Mapping[str, Listed]) -> None:
        """Agree to the tools of a server as they are, in the place of what was agreed to before."""
        listed = {name: asdict(tool) for name, tool in tools.items()}
        kept = {**self._kept(), server: {"launch": launch, "tools": listed}}
        files.put(self.path, json.dumps(kept, indent=1))

    def _kept(self) -> dict[str, Any]:
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            for item in kept.values():
                item["launch"], {name: Listed(**tool) for name, tool in item["tools"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ToolFileError(
                f"{self.path}, which holds the tools of MCP servers that were agreed to, cannot be "
                "read. Remove it to agree to them anew."
            ) from error
        return dict(kept)


def changes(before: Mapping[str, Listed], now: Mapping[str, Listed]) -> str:
    """What a server's tools are now against what was agreed to, whole and safe to show."""
    parts = [shown(now[name]) for name in now if name not in before]
    parts += [
        f"Changed: {_difference(before[name], now[name])}"
        for name in now
        if name in before and before[name].digest != now[name].digest
    ]
    parts += [f"Gone: {name}" for name in before if name not in now]
    return printable("\n\n".join(parts))


def pending(before: Mapping[str, Listed], now: Mapping[str, Listed]) -> dict[str, list[str]]:
    """The names of the tools that are new or changed, which have to be agreed to."""
    new = [name for name in now if name not in before]
    changed = [n for n in now if n in before and before[n].digest != now[n].digest]
    return {"new": new, "changed": changed}


def shown(tool: Listed) -> str:
    """All that the model will read of a tool."""
    schema = json.dumps(tool.schema, ensure_ascii=False)
    hints = ", ".join(name for name, on in tool.hints.items() if on)
    says = f"\n  It says of itself: {hints}" if hints else ""
    return f"{tool.called}: {tool.description}\n  {schema}{says}"


def _difference(before: Listed, now: Listed) -> str:
    lines = difflib.unified_diff(
        shown(before).splitlines(), shown(now).splitlines(), lineterm="", n=0
    )
    return "\n".join([now.called, *list(lines)[2:]])
