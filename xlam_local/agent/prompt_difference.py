"""Describe how two prompts differ: which tool changed, or which line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

from ..openai_format import dumps

TOOL = re.compile(r"^\{\n.*?^\}$", re.MULTILINE | re.DOTALL)
"""A tool in a prompt: JSON with an indent, which begins and ends at the start of a line."""
ROLE = re.compile(r"<\|(?:im_start|start_header_id)\|>(\w+)")
MAX_SHOWN_CHARS = 100


def difference(recorded: str, now: str) -> str:
    """Return how the prompt `now` differs from the recorded one, as sentences."""
    return _tool_difference(_tools(recorded), _tools(now)) or _line_difference(recorded, now)


def _tools(prompt: str) -> dict[str, Mapping[str, Any]]:
    """Return the tools that a prompt shows, by their names."""
    found: dict[str, Mapping[str, Any]] = {}
    for match in TOOL.finditer(prompt):
        try:
            tool = json.loads(match[0])
        except (ValueError, RecursionError):
            continue
        if isinstance(tool, dict) and isinstance(tool.get("name"), str):
            found.setdefault(tool["name"], tool)
    return found


def _tool_difference(
    recorded: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]
) -> str:
    for name in recorded:
        if name not in now:
            return f"The tool {name!r} is no longer offered."
    for name in now:
        if name not in recorded:
            return f"The tool {name!r} is new."
    for name, tool in now.items():
        for key, word in (("description", "description"), ("parameters", "schema")):
            before, after = recorded[name].get(key, ""), tool.get(key, "")
            if before != after:
                shown = _shown_lines(_text(before), _text(after))
                return f"The {word} of the tool {name!r} changed. {shown}"
    if list(recorded) != list(now):
        return "The order of the tools changed."
    return ""


def _line_difference(recorded: str, now: str) -> str:
    pairs = zip_longest(recorded, now)
    place = next(number for number, (a, b) in enumerate(pairs) if a != b)
    roles = ROLE.findall(recorded[:place])
    subject = {
        "tool": "The result of a tool differs.",
        "ipython": "The result of a tool differs.",
        "user": "A message of the user differs.",
        "system": "The system message differs.",
    }.get(roles[-1] if roles else "", "The prompt differs.")
    return f"{subject} {_shown_lines(recorded, now)}"


def _shown_lines(recorded: str, now: str) -> str:
    """Return the first lines that differ."""
    pairs = zip_longest(recorded.split("\n"), now.split("\n"), fillvalue="")
    before, after = next(((a, b) for a, b in pairs if a != b), ("", ""))
    start = max(0, _first_difference(before, after) - MAX_SHOWN_CHARS // 2)
    end = start + MAX_SHOWN_CHARS
    return f"Recorded: {before[start:end]!r}. Now: {after[start:end]!r}."


def _first_difference(before: str, after: str) -> int:
    pairs = zip_longest(before, after)
    return next((number for number, (a, b) in enumerate(pairs) if a != b), 0)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else dumps(value)
