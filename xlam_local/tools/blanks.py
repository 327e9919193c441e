"""Texts with blanks like {city}, which the arguments of a call fill."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from ..errors import ToolError, ToolFileError

BLANK = re.compile(r"\{\{|\}\}|(?<!\$)\{(\w+)\}")
VARIABLE = re.compile(r"\$\{(\w+)\}")
BRACES = {"{{": "{", "}}": "}"}


def blanks(text: str) -> Iterator[str]:
    """The names of the blanks in a text."""
    return (found[1] for found in BLANK.finditer(text) if found[1])


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with every blank filled, once: a value with braces is no blank."""
    return BLANK.sub(lambda found: values[found[1]] if found[1] else BRACES[found[0]], text)


def check(text: str, known: Collection[str], where: str) -> None:
    """See that a text has blanks only for parameters that there are.

    Raises:
        ToolFileError: names the blank.
    """
    for name in blanks(text):
        if name not in known:
            listed = ", ".join(known) or "none"
            raise ToolFileError(
                f"{where} has a blank {{{name}}}, but the parameters are: {listed}. "
                "A brace that is meant is written twice."
            )


def words(value: Any) -> str:
    """A value as text: true and false, numbers and structures as in JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def values(
    arguments: Mapping[str, Any],
    properties: Mapping[str, Any],
    written: Callable[[str, Any], Any] = lambda _name, value: value,
) -> dict[str, Any]:
    """What the blanks are filled with: the arguments, else the defaults of their schemas."""
    given = {
        name: schema["default"]
        for name, schema in properties.items()
        if isinstance(schema, Mapping) and "default" in schema
    } | dict(arguments)
    return {name: written(name, value) for name, value in given.items() if value is not None}


def with_variables(text: str) -> str:
    """The text with each ${NAME} in it replaced by the user's variable.

    Raises:
        ToolError: there is no such variable.
    """
    return VARIABLE.sub(lambda found: _variable(found[1]), text)


def filled_with_variables(text: str, values: Mapping[str, str]) -> str:
    """The text with blanks and variables filled, at once: neither can bring in the other.

    Raises:
        ToolError: there is no such variable.
    """
    parts = VARIABLE.split(text)
    # Every other part is the name of a variable.
    return "".join(
        _variable(part) if number % 2 else filled(part, values) for number, part in enumerate(parts)
    )


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise ToolError(f"The variable {name} is not set; the tool needs it.")
    return value
