"""What a server says of its tools, taken with care: it is another program's word."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...sanitize import printable
from ...types import Effect

MOST_TOOLS = 200
MOST_DESCRIPTION = 4_000
"""Characters of a description; a longer one is more than a model should read of one tool."""
MOST_SCHEMA = 50_000
"""Characters of a schema."""
MOST_NAME = 64
MOST_TOLD = 5
"""How many of the tools that are left out are named with their reason."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A tool as its server describes it."""

    name: str
    description: str = ""
    schema: Mapping[str, Any] = field(default_factory=dict)
    hints: Mapping[str, bool] = field(default_factory=dict)

    @property
    def called(self) -> str:
        """The name that the model calls it by: letters, digits, dashes and underscores."""
        return re.sub(r"[^A-Za-z0-9_-]", "_", self.name)

    @property
    def digest(self) -> str:
        """What all that the server says of the tool is known by."""
        said = [self.name, self.description, self.schema, self.hints]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def known_by(tools: Mapping[str, Listed]) -> str:
    """What a list of tools is known by: who agrees says which they saw."""
    return hashlib.sha256("".join(tool.digest for tool in tools.values()).encode()).hexdigest()


def fault(tool: Listed, taken: set[str]) -> str:
    """Why a tool cannot be offered; nothing if it can."""
    if not tool.name or len(tool.name) > MOST_NAME:
        return f"its name has {len(tool.name)} characters, and may have 1 to {MOST_NAME}"
    if not re.search(r"[A-Za-z0-9]", tool.name):
        return "its name has no letter that a model can write"
    if tool.called in taken:
        return f"another of its tools is called {tool.called!r} too"
    if len(tool.description) > MOST_DESCRIPTION:
        length = len(tool.description)
        return f"its description has {length:,} characters, and may have {MOST_DESCRIPTION:,}"
    if len(json.dumps(tool.schema)) > MOST_SCHEMA:
        return f"its schema has more than {MOST_SCHEMA:,} characters"
    return ""


def sorted_out(tools: list[Listed]) -> tuple[dict[str, Listed], list[str]]:
    """The tools that can be offered, by the names they are called, and why others cannot."""
    good: dict[str, Listed] = {}
    told: list[str] = []
    for tool in tools[:MOST_TOOLS]:
        if why := fault(tool, set(good)):
            told.append(f"{printable(tool.name[:MOST_NAME])!r} is left out: {why}.")
        else:
            good[tool.called] = tool
    if len(tools) > MOST_TOOLS:
        told.append(f"{len(tools) - MOST_TOOLS} more than {MOST_TOOLS} tools are left out.")
    if len(told) > MOST_TOLD:
        told = [*told[:MOST_TOLD], f"{len(told) - MOST_TOLD} others are left out like these."]
    return good, told


def effect(tool: Listed, remote: bool) -> Effect:
    """What running a tool can do, as far as its server is believed.

    Its hints change what is said of a tool, never whether it is asked for: the policy asks for
    every tool of a server that the user has not allowed by the server's name.
    """
    if remote or (tool.hints.get("readOnlyHint") and tool.hints.get("openWorldHint")):
        return Effect.NETWORK
    return Effect.READ if tool.hints.get("readOnlyHint") else Effect.EXECUTE
