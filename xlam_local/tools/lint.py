"""Find what makes tools hard for a model to choose or call, or impossible to enforce."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from .. import grammar, schema
from ..errors import SchemaError
from ..types import Tool

MIN_DESCRIPTION_CHARS = 8
MAX_DESCRIPTION_CHARS = 600
MAX_PARAMETERS = 8
MAX_TOOLS = 16
SIMILAR_NAME_RATIO = 0.87
"""Small models confuse names that are at least this similar, as measured by difflib."""
NAME_PATTERN = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class LintProblem:
    """Something to fix, as a sentence."""

    tool: str
    """The name of the tool; empty if the problem is about all tools together."""
    message: str


def find_problems(tools: Sequence[Tool]) -> Iterator[LintProblem]:
    """Yield the problems of tools that are offered together."""
    for tool in tools:
        for check in CHECKS:
            yield from (LintProblem(tool.name, message) for message in check(tool))
    yield from _similar_tools(tools)
    yield from _schema_problems(tools)
    if len(tools) > MAX_TOOLS:
        yield LintProblem(
            "", f"There are {len(tools)} tools; small models choose well among {MAX_TOOLS} at most."
        )


def _check_name(tool: Tool) -> Iterator[str]:
    if not NAME_PATTERN.fullmatch(tool.name):
        yield "The name must have 1 to 64 characters: letters, digits, '_', '-' or '.'."


def _check_description(tool: Tool) -> Iterator[str]:
    description = tool.description.strip()
    if not description:
        yield "The description is missing; a model chooses tools by it."
    elif len(description) < MIN_DESCRIPTION_CHARS or _words(description) == _words(tool.name):
        yield "The description says no more than the name."
    elif len(description) > MAX_DESCRIPTION_CHARS:
        yield (
            f"The description has {len(description)} characters; use {MAX_DESCRIPTION_CHARS} at "
            "most."
        )


def _check_parameters(tool: Tool) -> Iterator[str]:
    properties = tool.parameters.get("properties", {})
    if not isinstance(properties, Mapping):
        return
    if len(properties) > MAX_PARAMETERS:
        yield f"There are {len(properties)} parameters; use {MAX_PARAMETERS} at most."
    for name, inner in properties.items():
        if isinstance(inner, Mapping) and not inner.get("description"):
            yield f"The parameter {name!r} has no description."


def _check_keys(tool: Tool) -> Iterator[str]:
    for pointer in tool.unread_keys:
        yield f"The key {pointer} of its definition has no effect."


def _check_defaults(tool: Tool) -> Iterator[str]:
    try:
        for pointer, wrong in schema.invalid_defaults(tool.parameters):
            yield f"The default at {pointer} is not valid: {wrong}"
    except SchemaError:
        return  # the schema is refused, which is a problem of its own


CHECKS: Sequence[Callable[[Tool], Iterator[str]]] = (
    _check_name,
    _check_description,
    _check_parameters,
    _check_keys,
    _check_defaults,
)


def _schema_problems(tools: Sequence[Tool]) -> Iterator[LintProblem]:
    for entry in grammar.compile_tools(tools).report:
        if entry.status in STATUS_TEXTS:
            keyword = entry.keyword or "The schema"
            yield LintProblem(
                entry.tool,
                f"{keyword} at {entry.pointer or '/'} {STATUS_TEXTS[entry.status]}: "
                f"{entry.reason.rstrip('.?')}{'?' if entry.reason.endswith('?') else '.'}",
            )


STATUS_TEXTS: Mapping[str, str] = {
    "refused": "is refused",
    "checked": "is only checked after decoding",
    "ignored": "has no effect",
    "unclear": "may not mean what you expect",
}
"""What a problem says about a keyword with this status; `exact` is none."""


def _similar_tools(tools: Sequence[Tool]) -> Iterator[LintProblem]:
    for tool, other in combinations(tools, 2):
        if _similarity(tool.name, other.name) >= SIMILAR_NAME_RATIO:
            yield LintProblem(other.name, f"The name is too similar to {tool.name!r}.")
        if tool.description and tool.description == other.description:
            yield LintProblem(other.name, f"The description is the same as that of {tool.name!r}.")


def _similarity(name: str, other: str) -> float:
    if sorted(_words(name)) == sorted(_words(other)):
        return 1.0
    return difflib.SequenceMatcher(None, name.lower(), other.lower()).ratio()


def _words(text: str) -> list[str]:
    """Return the lower-case words of a text or an identifier."""
    separated = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return re.findall(r"[a-z0-9]+", separated.lower())
