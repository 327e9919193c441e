"""What makes a tool hard to choose, to call or to honour."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from .. import grammar
from ..types import Tool

SHORTEST, LONGEST = 8, 600
"""Characters of a description that a model can choose by, and still take in."""
MOST_PARAMETERS = 8
MOST_TOOLS = 16
ALIKE = 0.87
"""From this likeness on, a small model mixes two names up."""
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something to mend, as a sentence."""

    tool: str
    """The tool's name; nothing where it is about all of them."""
    text: str


def faults(tools: Sequence[Tool]) -> Iterator[Fault]:
    """What could be better about some tools that are offered together."""
    for tool in tools:
        for check in CHECKS:
            yield from (Fault(tool.name, text) for text in check(tool))
    yield from _alike(tools)
    for entry in grammar.for_turn(tools).report:
        if entry.status != "exact":
            how = "is refused" if entry.status == "refused" else "is only checked after writing"
            place = entry.pointer or "/"
            yield Fault(
                entry.tool, f"{entry.keyword or 'The schema'} at {place} {how}: {entry.why}"
            )
    if len(tools) > MOST_TOOLS:
        yield Fault("", f"{len(tools)} tools at once are more than a small model chooses among.")


def _name(tool: Tool) -> Iterator[str]:
    if not NAME.fullmatch(tool.name):
        yield "The name has other characters than letters, digits, '_', '-' and '.', or over 64."


def _description(tool: Tool) -> Iterator[str]:
    said = tool.description.strip()
    if not said:
        yield "It has no description, by which a model would choose it."
    elif len(said) < SHORTEST or _words(said) == _words(tool.name):
        yield "The description says no more than the name."
    elif len(said) > LONGEST:
        yield f"The description has {len(said)} characters; {LONGEST} are enough."


def _parameters(tool: Tool) -> Iterator[str]:
    properties = tool.parameters.get("properties", {})
    if not isinstance(properties, Mapping):
        return
    if len(properties) > MOST_PARAMETERS:
        yield f"It has {len(properties)} parameters; small models lose count of so many."
    for name, schema in properties.items():
        if isinstance(schema, Mapping) and not schema.get("description"):
            yield f"The parameter {name!r} has no description."


CHECKS: Sequence[Callable[[Tool], Iterator[str]]] = (_name, _description, _parameters)


def _alike(tools: Sequence[Tool]) -> Iterator[Fault]:
    for one, other in combinations(tools, 2):
        if _likeness(one.name, other.name) >= ALIKE:
            yield Fault(other.name, f"The name is nearly that of {one.name!r}.")
        if one.description and one.description == other.description:
            yield Fault(other.name, f"The description is the same as that of {one.name!r}.")


def _likeness(one: str, other: str) -> float:
    if sorted(_words(one)) == sorted(_words(other)):
        return 1.0
    return difflib.SequenceMatcher(None, one.lower(), other.lower()).ratio()


def _words(text: str) -> list[str]:
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return re.findall(r"[a-z0-9]+", apart.lower())
