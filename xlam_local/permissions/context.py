"""The session's data that a policy decision depends on, and the paths in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..types import Effect, Tool
from . import patterns
from .rules import Grant
from .targets import ResolvePath, is_mcp_tool

NO_PATH = "\0"
"""Stands for a path that cannot be resolved; no pattern matches it."""


@dataclass(frozen=True, slots=True)
class PolicyContext:
    """The session's data that a decision depends on in addition to policy and call."""

    cwd: Path
    """The working folder, with links resolved."""
    home: Path
    resolve: ResolvePath
    session_grants: tuple[Grant, ...] = ()
    """Permissions that end with the session."""
    taint: Mapping[str, str] = field(default_factory=dict)
    """The readers of private data in this conversation, with a description of what they read."""
    remote_host: str = ""
    """The host where the model runs, which receives all results; empty for this machine."""


def runs_code(tool: Tool) -> bool:
    """Return whether a tool runs code that is not part of this program."""
    return tool.effect is Effect.EXECUTE or is_mcp_tool(tool)


def resolve_policy_path(text: str, context: PolicyContext) -> Path | None:
    """Return a path of the policy with links resolved; `~` is the user's home."""
    if text == "~" or text.startswith("~/"):
        return context.resolve(context.home / text[1:].lstrip("/"))
    return context.resolve(context.cwd / text)


def is_under(path: Path | None, top: Path | None) -> bool:
    """Return whether a path is `top` or is below it."""
    return path is not None and top is not None and path.is_relative_to(top)


def casefold_path(path: Path | None) -> Path | None:
    """Return a path normalized as on a file system that ignores case and Unicode form."""
    return None if path is None else Path(patterns.normalize(str(path)))


def pattern_path(path: Path | None, context: PolicyContext) -> str:
    """Return a resolved path as patterns see it: relative to the working folder if below it."""
    if path is None:
        return NO_PATH
    return str(path.relative_to(context.cwd) if is_under(path, context.cwd) else path)
