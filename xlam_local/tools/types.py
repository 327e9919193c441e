"""Where tools come from, and in which state each place is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..types import Tool

Kind = Literal["built-in", "python", "command", "http", "mcp"]
State = Literal["ready", "starting", "off", "failed", "not agreed"]


@dataclass(frozen=True, slots=True)
class Source:
    """A place that tools come from."""

    name: str
    kind: Kind
    state: State
    tools: tuple[Tool, ...] = ()
    detail: str = ""
    """Why it failed, or what has to be agreed to, as a sentence."""
