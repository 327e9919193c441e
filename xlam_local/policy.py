"""Which calls run, which are asked for, which are refused."""

from __future__ import annotations

from collections.abc import Collection

from .types import Effect, Tool


def asks(tool: Tool, allowed: Collection[str]) -> bool:
    """Whether the user is asked before `tool` runs: always, unless it only reads or is allowed."""
    return tool.effect is not Effect.READ and tool.name not in allowed
