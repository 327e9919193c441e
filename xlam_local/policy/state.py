"""What a judgement knows of the session, and of paths in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..types import Effect, Tool
from . import patterns
from .places import Real, from_server
from .rules import Allowance


@dataclass(frozen=True, slots=True)
class State:
    """What a judgement needs to know besides the policy."""

    folder: Path
    """The working folder, its links followed."""
    home: Path
    real: Real
    allowed: tuple[Allowance, ...] = ()
    """What the user allowed until the session ends."""
    taint: Mapping[str, str] = field(default_factory=dict)
    """Who has read private things in this conversation, and what they were."""


def runs_code(tool: Tool) -> bool:
    """Whether a tool runs code that is not the program's own."""
    return tool.effect is Effect.EXECUTE or from_server(tool)


def named(text: str, state: State) -> Path | None:
    """A folder that a policy names, links followed."""
    rest = text[1:].lstrip("/")
    here = state.home / rest if text == "~" or text.startswith("~/") else state.folder / text
    return state.real(here)


def under(path: Path | None, top: Path | None) -> bool:
    """Whether a path is `top` or within it."""
    return path is not None and top is not None and path.is_relative_to(top)


def folded(path: Path | None) -> Path | None:
    """A path as a system finds it that does not tell letters apart as we do."""
    return None if path is None else Path(patterns.plain(str(path)))


def shown(path: Path | None, state: State) -> str:
    """A real path as patterns are compared with it: from the working folder on, where it is in."""
    if path is None:
        return "\0"
    return str(path.relative_to(state.folder) if under(path, state.folder) else path)
