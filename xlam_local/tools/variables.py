"""Environment variables in tool files and mcp.json: `${NAME}` and `${NAME:-default}`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping

from ..errors import ToolError, ToolFileError

VARIABLE = re.compile(r"\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
"""With `env:` before the name as VS Code writes it."""
PLACEHOLDER = re.compile(r"\$\{[^}]*\}?")
OTHER_FORMS = re.compile(
    r"(?<![\w$])\$(?:env:)?([A-Z_][A-Z0-9_]+)\b|^\$(?:env:)?([A-Za-z_]\w*)$"
    r"|(?<!\$)\{env:(\w+)\}|\{\{\s*(?:env\.)?(\w+)\s*\}\}|%([A-Z_][A-Z0-9_]+)%|^%(\w+)%$"
)
"""Variables as shells, PowerShell, OpenCode, templates and Windows write them."""


def expand_variables(
    text: str,
    environment: Mapping[str, str] = os.environ,
    expand_rest: Callable[[str], str] = str,
) -> str:
    """Replace the variables in a text, in one pass: a value is not expanded again.

    `expand_rest` is applied to the text between the variables, never to their values.

    Raises:
        ToolError: a variable without a default is not set.
    """
    parts: list[str] = []
    end = 0
    for match in VARIABLE.finditer(text):
        parts += expand_rest(text[end : match.start()]), _value(match, environment)
        end = match.end()
    return "".join((*parts, expand_rest(text[end:])))


def check_variables(text: str, where: str) -> None:
    """Check that every placeholder is a variable.

    Raises:
        ToolFileError: one is not; the message begins with `where`.
    """
    for match in PLACEHOLDER.finditer(text):
        if not VARIABLE.fullmatch(match[0]) or "${" in match[0][2:]:
            raise ToolFileError(
                f"{where}: the placeholder {match[0]} is not supported. Write ${{NAME}} for an "
                "environment variable."
            )


def other_form(text: str, *, within: bool = False) -> str:
    """Return the name of a variable in a form that is not replaced, otherwise "".

    The text is such a variable, or has one `within`.
    """
    found = OTHER_FORMS.search(text) if within else OTHER_FORMS.fullmatch(text)
    return next(filter(None, found.groups())) if found else ""


def _value(match: re.Match[str], environment: Mapping[str, str]) -> str:
    name, default = match.groups()
    value = environment.get(name, default)
    if value is None:
        raise ToolError(f"The environment variable {name} is not set.")
    return value
