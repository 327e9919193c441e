"""The option --schema: a JSON Schema in a file, as JSON, or as a list of fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import user_file
from ..errors import UsageError
from ..types import Schema

TYPES: Mapping[str, Schema] = {
    "str": {"type": "string"},
    "string": {"type": "string"},
    "int": {"type": "integer"},
    "integer": {"type": "integer"},
    "float": {"type": "number"},
    "number": {"type": "number"},
    "bool": {"type": "boolean"},
    "boolean": {"type": "boolean"},
}
FIELD = re.compile(r"(?P<name>[^\W\d]\w*)(?:\s+(?P<type>[^\s:]+))?\s*(?::\s*(?P<description>.*))?")
HOW = "Write a list of fields such as 'name str, age int', a JSON Schema, or the name of its file."


def read_schema_option(value: str) -> Schema:
    """Return the schema of an answer.

    `value` is a JSON object, a file with one, or fields with their types, separated by commas or
    line breaks: "name str, age int, tags [str], bio: one sentence". A field without a type is text.

    Raises:
        UsageError: it is none of these.
    """
    text = value.strip()
    if text.startswith("{"):
        return _schema(user_file.parse_json(text, "--schema"), "--schema")
    if text.endswith(".json") or "/" in text or Path(text).is_file():
        return _schema(user_file.read_json(Path(text)), text)
    separator = "\n" if "\n" in text else ","
    return _object([_field(part.strip()) for part in text.split(separator) if part.strip()])


def _schema(value: Any, name: str) -> Schema:
    if not isinstance(value, dict):
        raise UsageError(f"{name} must be a JSON Schema object.")
    return value


def _object(fields: list[tuple[str, Schema]]) -> Schema:
    if not fields:
        raise UsageError(f"--schema is empty. {HOW}")
    properties = dict(fields)
    if len(properties) < len(fields):
        raise UsageError("--schema names a field twice.")
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _field(text: str) -> tuple[str, Schema]:
    """Return the name and the schema of one field."""
    found = FIELD.fullmatch(text)
    if found is None:
        raise UsageError(f"--schema: {text!r} is not a field. {HOW}")
    kind, description = found["type"] or "str", (found["description"] or "").strip()
    is_list = kind.startswith("[") and kind.endswith("]")
    name = kind[1:-1] if is_list else kind
    if name not in TYPES:
        raise UsageError(
            f"--schema: the field {found['name']!r} has the type {kind!r}; the types are str, int, "
            "float and bool, and lists such as [str]."
        )
    schema = {"type": "array", "items": TYPES[name]} if is_list else TYPES[name]
    return found["name"], {**schema, "description": description} if description else schema
