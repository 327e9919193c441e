"""Report how each keyword of a tool's schema is enforced."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..regular.other_dialects import misread_syntax
from ..schema import Solver
from ..schema.dialect import ANNOTATIONS, KEYWORD_TYPES, original_keyword
from ..schema.formats import CHECKED_FORMATS, PATTERNS, format_strings
from ..schema.keywords import KEYWORDS
from ..schema.validation_messages import short
from ..schema.value_sets import json_type
from ..types import Schema

Status = Literal["exact", "unclear", "checked", "ignored", "refused"]
"""`unclear`: exact as the standard reads it, which is probably not what is meant."""
DRAFT_2020_12 = "https://json-schema.org/draft/2020-12/schema"
NOT_REPORTED = ANNOTATIONS | {"minContains", "maxContains", "then", "else"}
NO_RESTRICTION = frozenset(
    [
        *("int32", "int64", "float", "double", "decimal", "byte", "binary", "password", "path"),
        "multi-line",
    ]
)
"""Formats that say how a value is shown or stored."""
NUMBER_FORMATS = frozenset(["int32", "int64", "float", "double"])
NUMBER_TYPES = frozenset(["number", "integer"])
KNOWN_KEYWORDS = (*KEYWORD_TYPES, *ANNOTATIONS)
EXTENSION = "x-"
"""Keywords with this prefix are for other programs."""


@dataclass(frozen=True, slots=True)
class KeywordReport:
    """How one keyword is enforced: by the grammar, by validation, or not at all."""

    tool: str
    pointer: str
    """The JSON pointer of the keyword in the tool's parameters."""
    keyword: str
    status: Status
    reason: str = ""


def keyword_reports(tool: str, solver: Solver) -> Iterator[KeywordReport]:
    """Yield a report for each keyword of the tool's schema."""
    document = solver.document
    draft = document.originals[document.root].get("$schema", DRAFT_2020_12)
    if "json-schema.org" not in str(draft):
        yield KeywordReport(
            tool, "/$schema", "$schema", "unclear", "unknown draft, read as 2020-12"
        )
    for (place, name), why in document.ignored.items():
        yield KeywordReport(tool, f"{place}/{name}", name, "ignored", why)
    for number, keyword in solver.deferred.keys() - _written(solver):
        # A format is enforced by a pattern and a length, which the user has not written.
        written = "format" if "format" in document.schemas[number] else ""
        pointer = f"{document.pointers[number]}{written and '/'}{written}"
        why = solver.deferred[number, keyword]
        yield KeywordReport(tool, pointer, written or keyword, "checked", why)
    for number, schema in enumerate(document.schemas):
        place = document.pointers[number]
        for keyword in schema:
            name = original_keyword(keyword, document.originals[number])
            if keyword in NOT_REPORTED or (place, name) in document.ignored:
                continue
            pointer = f"{place}/{name}"
            if (number, keyword) in solver.deferred:
                why = solver.deferred[number, keyword]
                yield KeywordReport(tool, pointer, name, "checked", why)
            else:
                yield KeywordReport(tool, pointer, name, *_remark(keyword, schema))
        yield from _impossible_properties(tool, solver, number)
        yield from _misplaced_keywords(tool, solver, number)
    yield from _unknown_required(tool, document.schemas[document.root])


def _misplaced_keywords(tool: str, solver: Solver, number: int) -> Iterator[KeywordReport]:
    """Yield a report for each property that is true or false and has the name of a keyword."""
    document = solver.document
    named = document.originals[number].get("properties")
    for name, written in named.items() if isinstance(named, Mapping) else ():
        if isinstance(written, bool) and name in KEYWORD_TYPES:
            pointer = f"{document.pointers[number]}/properties/{name}"
            why = f"this is a parameter named {short(name)}; the keyword stands beside properties"
            yield KeywordReport(tool, pointer, name, "unclear", why)


def why_impossible(solver: Solver, what: str) -> str:
    """Return the reason why a schema allows no value, as a sentence; `what` is the value."""
    document = solver.document
    found = list(_impossible_required(solver))
    if not found:
        endless = (
            ""
            if solver.is_empty(frozenset([document.root]))
            else (", or required values contain each other without end")
        )
        return f"The schema allows no {what}: its keywords exclude each other{endless}."
    pointer, number = max(found, key=lambda each: each[0].count("/"))
    sentence = f"The schema allows no {what}: the required property {pointer} can have no value"
    pattern = document.schemas[number].get("pattern")
    why = misread_syntax(pattern) if isinstance(pattern, str) else ""
    return f"{sentence}; in its pattern, {why}." if why else f"{sentence}."


def _impossible_required(solver: Solver) -> Iterator[tuple[str, int]]:
    """Yield the JSON pointer and the schema of each required property that can have no value."""
    document = solver.document
    for number, schema in enumerate(document.schemas):
        for name, inner in schema.get("properties", {}).items():
            if name in schema.get("required", ()) and solver.is_empty(frozenset([inner])):
                yield f"{document.pointers[number]}/properties/{name}", inner


def _unknown_required(tool: str, schema: Schema) -> Iterator[KeywordReport]:
    """Yield a report for each required name of a tool that is no parameter."""
    named = schema.get("properties", {})
    if not named or schema.keys() & OTHER_PROPERTIES:
        return
    for name in schema.get("required", ()):
        if name not in named and not _similar(name, named):
            why = f"no property is named {short(name)}"
            yield KeywordReport(tool, "/required", "required", "unclear", why)


def _impossible_properties(tool: str, solver: Solver, number: int) -> Iterator[KeywordReport]:
    """Yield a report for each property that can have no value, except for the schema `false`."""
    document = solver.document
    for name, inner in document.schemas[number].get("properties", {}).items():
        if document.originals[inner] and solver.is_empty(frozenset([inner])):
            pointer = f"{document.pointers[number]}/properties/{name}"
            why = f"no value is valid for {short(name)}, so it is never written"
            yield KeywordReport(tool, pointer, "properties", "unclear", why)


def _written(solver: Solver) -> set[tuple[int, str]]:
    """Return the keywords of each schema."""
    schemas = enumerate(solver.document.schemas)
    return {(number, keyword) for number, schema in schemas for keyword in schema}


def _remark(keyword: str, schema: Schema) -> tuple[Status, str]:
    """Return the status of a keyword that is not deferred to validation, and a remark."""
    if keyword in KEYWORDS:
        return REMARKS[keyword](schema) if keyword in REMARKS else ("exact", "")
    if keyword.startswith(EXTENSION):
        return "exact", "for other programs; it restricts nothing"
    return "ignored", f"it is not a keyword of JSON Schema{_similar(keyword, KNOWN_KEYWORDS)}"


def _similar(word: str, known: Iterable[str]) -> str:
    """Return a question about the most similar known word; "" if none is."""
    by_letters = {each.lower(): each for each in known}
    found = difflib.get_close_matches(word.lower(), by_letters, 1, SIMILAR_RATIO)
    return f"; did you mean {by_letters[found[0]]!r}?" if found else ""


def _format(schema: Schema) -> tuple[Status, str]:
    value = schema["format"]
    names = set(schema.get("type", ()))
    kinds = NUMBER_TYPES if value in NUMBER_FORMATS else {"string"}
    if names and not names & kinds and (value in NUMBER_FORMATS or _is_known(value)):
        return "ignored", f"it is a format of {'numbers' if kinds != {'string'} else 'strings'}"
    if _is_known(value):
        return "exact", ""
    if value in NO_RESTRICTION:
        return "exact", "it restricts nothing"
    return "ignored", f"unknown format{_similar(value, (*PATTERNS, *CHECKED_FORMATS))}"


def _is_known(name: str) -> bool:
    """Return whether a format is enforced or checked."""
    return name in CHECKED_FORMATS or format_strings(name) is not None


def _patterns(patterns: Iterable[str]) -> tuple[Status, str]:
    why = next(filter(None, map(misread_syntax, patterns)), "")
    return ("unclear", why) if why else ("exact", "")


def _constants(values: Sequence[Any], schema: Schema) -> tuple[Status, str]:
    """Find a constant that the type of the same schema excludes."""
    names = schema.get("type", ())
    for value in values if names else ():
        kind = json_type(value)
        fits = kind in names or (kind == "number" and "integer" in names and value % 1 == 0)
        if not fits:
            return "unclear", f"{short(value)} is not of type {' or '.join(names)}: never allowed"
    return "exact", ""


def _required(schema: Schema) -> tuple[Status, str]:
    """Find a required property that the same schema does not name, if it is probably misspelled."""
    named = schema.get("properties", {})
    for name in schema["required"]:
        if name not in named and (similar := _similar(name, named)):
            return "unclear", f"no property is named {short(name)}{similar}"
    return "exact", ""


OTHER_PROPERTIES = frozenset(
    [
        *("additionalProperties", "patternProperties", "unevaluatedProperties", "$ref"),
        *("$dynamicRef", "allOf", "anyOf", "oneOf", "not", "if", "dependentSchemas"),
    ]
)
"""Keywords that may describe properties which `properties` does not name."""
SIMILAR_RATIO = 0.8
"""How similar, as measured by difflib, a misspelled word is to the one that is meant."""
REMARKS: Mapping[str, Callable[[Schema], tuple[Status, str]]] = {
    "format": _format,
    "pattern": lambda schema: _patterns([schema["pattern"]]),
    "patternProperties": lambda schema: _patterns(schema["patternProperties"]),
    "enum": lambda schema: _constants(schema["enum"], schema),
    "const": lambda schema: _constants([schema["const"]], schema),
    "required": _required,
}
"""For some keywords the status and remark, from the schema in draft 2020-12 that has them."""
