"""JSON Schema in one normal form; arguments checked against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .types import Schema


def problems(arguments: object, schema: Schema) -> list[str]:
    """What is wrong with a call's arguments, each in one sentence with a JSON pointer."""
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(normal(schema))
    return [
        f"{_pointer(error.absolute_path)}: {error.message}."
        for error in validator.iter_errors(arguments)
    ]


def _pointer(path: Any) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path) or "/"


ALIASES = {
    "dict": "object",
    "float": "number",
    "tuple": "array",
    "any": None,
    "str": "string",
    "int": "integer",
    "bool": "boolean",
    "list": "array",
}


def normal(schema: Any) -> Any:
    """The schema with the leaderboard's type names replaced by the standard's."""
    if isinstance(schema, list):
        return [normal(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    done = {key: normal(value) for key, value in schema.items()}
    if isinstance(done.get("type"), str):
        kind = ALIASES.get(done["type"].lower(), done["type"].lower())
        done["type"] = kind
        if kind is None:
            del done["type"]
    return done
