"""What was read in a conversation, and what could carry it away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..types import Effect, Message, Result, Sandbox, Tool
from .places import from_server, reach
from .state import runs_code


def taint(messages: Iterable[Message], tools: Sequence[Tool]) -> dict[str, str]:
    """Who has read private things in a conversation, and what they were."""
    known = {tool.name: tool for tool in tools}
    read: dict[str, str] = {}
    for message in messages:
        # What fails tells things too: a command may show a file, and then end with an error.
        if isinstance(message, Result) and not message.refused:
            tool = known.get(message.call.name)
            if tool is None:
                read[f"?/{message.call.name}"] = f"{message.call.name} {_has(message)} run"
            elif reader(tool) not in read and (what := _reads(tool, message)):
                read[reader(tool)] = what
    return read


def _reads(tool: Tool, result: Result) -> str:
    """What private things a call has read, in words; nothing if it reads none."""
    if tool.pure:
        return ""
    spots = reach(tool, result.call.arguments, Path(), lambda path: path).spots
    if spots:
        verb = "read" if tool.effect is Effect.READ else "opened"
        return f"{tool.name} {_has(result)} {verb} {spots[0].said or 'files'}"
    if tool.effect is Effect.READ or (runs_code(tool) and tool.effect is not Effect.NETWORK):
        return f"{tool.name} may have read files"
    return ""


def _has(result: Result) -> str:
    return "has" if result.ok else "may have"


def reader(tool: Tool) -> str:
    """Who reads: a server as a whole, else the tool. What it read, it could have sent itself."""
    return tool.source if from_server(tool) else f"{tool.source}/{tool.name}"


def carries(tool: Tool) -> bool:
    """Whether a call of `tool` could carry something away."""
    held = tool.sandbox is Sandbox.ISOLATED
    return tool.effect is Effect.NETWORK or (runs_code(tool) and not held)


def carried(tool: Tool, read: Mapping[str, str]) -> str:
    """What a call of `tool` could carry away that its tool did not read itself, in words."""
    others = (what for who, what in read.items() if who != reader(tool))
    return next(others, "") if carries(tool) else ""
