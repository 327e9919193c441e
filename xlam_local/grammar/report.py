"""What became of each keyword of a tool's schema."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..schema import Solver
from ..schema.dialect import ANNOTATIONS, former
from ..schema.formats import shape
from ..schema.keywords import KEYWORDS

Status = Literal["exact", "checked", "refused"]
STANDARD = "https://json-schema.org/draft/2020-12/schema"
SILENT = ANNOTATIONS | {"additionalItems", "minContains", "maxContains", "then", "else", "nullable"}


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of one keyword."""

    tool: str
    pointer: str
    """Where the keyword stands in the tool's parameters."""
    keyword: str
    status: Status
    why: str = ""


def entries(tool: str, solver: Solver) -> Iterator[Entry]:
    """An entry for each keyword that the tool's schema has."""
    document = solver.document
    if "json-schema.org" not in str(document.written[document.root].get("$schema", STANDARD)):
        yield Entry(tool, "/$schema", "$schema", "exact", "an unknown draft, read as 2020-12")
    for number, keyword in solver.notes.keys() - _written(solver):
        pointer = document.pointers[number]
        yield Entry(tool, pointer, keyword, "checked", solver.notes[number, keyword])
    for number, schema in enumerate(document.schemas):
        for keyword, value in schema.items():
            if keyword in SILENT:
                continue
            name = former(keyword, document.written[number])
            pointer = f"{document.pointers[number]}/{name}"
            why = solver.notes.get((number, keyword))
            if why is not None:
                yield Entry(tool, pointer, name, "checked", why)
            else:
                yield Entry(tool, pointer, name, "exact", _remark(keyword, value))


def _written(solver: Solver) -> set[tuple[int, str]]:
    """The keywords of each schema."""
    schemas = enumerate(solver.document.schemas)
    return {(number, keyword) for number, schema in schemas for keyword in schema}


def _remark(keyword: str, value: object) -> str:
    if keyword not in KEYWORDS:
        return "not a keyword of JSON Schema, so it asks for nothing"
    if keyword == "format" and shape(value) is None:
        return "not a known format, so it asks for nothing"
    return ""
