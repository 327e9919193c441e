"""Read the definition of a tool: OpenAI's format, flat ones as MCP and Anthropic write it.

Unambiguous deviations are accepted: a key in another spelling, a schema keyword beside the
parameters, the parameters by name without a schema around them. A key that seems to be misspelled
is an error. Every other key that has no effect is a finding of `tools lint`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from .errors import ToolFileError
from .types import Schema, Tool

Json = Any

PARAMETER_KEYS = (
    *("parameters", "inputSchema", "input_schema"),
    *("parametersJsonSchema", "args_schema"),
)
READ_KEYS = ("name", "description", *PARAMETER_KEYS)
WRAPPER_KEYS = ("function", "toolSpec", "tool_spec")
"""Where OpenAI and Amazon Bedrock put the definition within the object of a tool."""
FOREIGN_PARAMETER_KEYS = frozenset(
    [
        *("params", "param", "args", "arguments", "input", "inputs", "schema", "json_schema"),
        *("parameter_definitions", "argument_schema", "arguments_schema", "args_json_schema"),
    ]
)
"""Keys under which other programs write the parameters, in forms that differ."""
SCHEMA_KEYS = frozenset(
    [
        *("properties", "required", "additionalProperties", "patternProperties"),
        *("propertyNames", "minProperties", "maxProperties", "dependentRequired"),
        *("dependentSchemas", "dependencies", "unevaluatedProperties"),
        *("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "$defs", "definitions", "$ref"),
    ]
)
"""Keywords of the schema of an object, which belong into the parameters."""
OTHER_KEYS = frozenset(
    [
        *("type", "title", "strict", "annotations", "icons", "_meta", "execution"),
        *("outputSchema", "output_schema", "cache_control", "defer_loading", "input_examples"),
    ]
)
"""Keys of other programs that do not change a call; `strict: true` is always the case."""
TOOL_TYPES = ("function", "custom", "object", None)
"""The types of tools that the caller runs, and the type of a schema; other tools run elsewhere."""
EXTENSION = "x-"
SIMILAR_RATIO = 0.8
"""How similar, as measured by difflib, a misspelled key is to the one that is meant."""
DESCRIBING_KEYWORDS = frozenset(
    [
        *("type", "description", "enum", "const", "default", "anyOf", "oneOf", "allOf", "$ref"),
        *("format", "pattern", "items", "properties", "title", "required", "optional", "nullable"),
    ]
)
"""Keywords of which the schema of a parameter has at least one."""


def read_tool(item: Json, pointer: str) -> Tool:
    """Return the tool in `item`; `pointer` is its JSON pointer.

    Raises:
        ToolFileError: the tool is invalid.
    """
    if not isinstance(item, Mapping):
        raise ToolFileError(f"The tool at {pointer} is {json_type(item)}, not an object.")
    outer: Mapping[str, Json] = {}
    place = pointer
    for key in WRAPPER_KEYS:
        if isinstance(item.get(key), Mapping):
            outer = {each: value for each, value in item.items() if each not in ("type", key)}
            item, place = item[key], f"{pointer}/{key}"
            break
    name = _canonical(item).get("name") or _canonical(outer).get("name")
    if not isinstance(name, str) or not name:
        raise ToolFileError(f"The tool at {place} has no name{_what_it_has(item)}.")
    where = f"Tool {name!r} ({place}"
    keys = _merged(_canonical(item), _canonical(outer), f"{where})")
    _check_spelling(keys, f"{where})")
    description = keys.get("description") or ""
    if not isinstance(description, str):
        raise ToolFileError(
            f"{where}/description): the description is {json_type(description)}, not a string."
        )
    unread = tuple(f"{place if key in item else pointer}/{key}" for key in _unread(keys))
    return Tool(name, description, _parameters(keys, where), unread_keys=unread)


def _parameters(keys: Mapping[str, Json], where: str) -> Schema:
    """Return the schema of the parameters, with the keywords that are written beside it."""
    written = {key: keys[key] for key in PARAMETER_KEYS if keys.get(key) is not None}
    found = list(written.values())
    if any(other != found[0] for other in found):
        raise ToolFileError(f"{where}): {' and '.join(written)} differ; remove all but one.")
    parameters = found[0] if found else {}
    if parameters == []:  # PHP writes an empty object as an empty list
        parameters = {}
    if isinstance(parameters, Mapping) and parameters.keys() == {"json"}:  # as Bedrock writes it
        parameters = parameters["json"]
    if not isinstance(parameters, Mapping):
        raise ToolFileError(
            f"{where}/{next(iter(written))}): the parameters are {json_type(parameters)}, "
            "not a JSON Schema object."
        )
    beside = {key: value for key, value in keys.items() if key in SCHEMA_KEYS and value is not None}
    by_name = _is_by_name(parameters)
    schema = schema_by_name(parameters) if by_name else _without_absent(parameters)
    return _merged(schema, beside, f"{where})", "the parameters")


def _without_absent(schema: Schema) -> Schema:
    """Return a schema without keywords that are null, or a list of no properties.

    Go and PHP write what is absent so.
    """
    return {
        key: value
        for key, value in schema.items()
        if (value is not None or key == "const") and not (key == "properties" and value == [])
    }


def _what_it_has(item: Mapping[str, Json]) -> str:
    """Return what an object without a name has, for an error message."""
    if isinstance(kind := item.get("type"), str) and kind != "function":
        return f"; its type is {kind!r}"
    return f"; its keys are {', '.join(map(repr, item))}" if item else ""


def _is_by_name(parameters: Mapping[str, Json]) -> bool:
    """Return whether parameters are no schema, but the schema of each parameter by name."""
    if not parameters or not all(map(_is_described, parameters.values())):
        return False
    # The schema of an object has no other keyword whose value is a schema.
    return not parameters.keys() & (SCHEMA_KEYS - {"required"})


def schema_by_name(parameters: Mapping[str, Mapping[str, Json]]) -> Schema:
    """Return the JSON Schema of an object with these schemas of its properties.

    A parameter is required if it has `required = true`. If none has `required`, those without a
    default and without `optional = true` are required.
    """
    schemas = parameters.values()
    if any(isinstance(schema.get("required"), bool) for schema in schemas):
        required = [name for name, schema in parameters.items() if schema.get("required") is True]
    else:
        required = [
            name
            for name, schema in parameters.items()
            if not schema.get("optional", "default" in schema)
        ]
    properties = {
        name: {
            key: value
            for key, value in schema.items()
            if key != "optional" and not (key == "required" and isinstance(value, bool))
        }
        for name, schema in parameters.items()
    }
    return {"type": "object", "properties": properties, "required": required}


def _is_described(schema: Json) -> bool:
    return isinstance(schema, Mapping) and not DESCRIBING_KEYWORDS.isdisjoint(schema)


def _canonical(item: Mapping[str, Json]) -> dict[str, Json]:
    """Return the object with keys in their usual spelling: "Input-Schema" is "input_schema"."""
    known = {*SCHEMA_KEYS, *OTHER_KEYS, *READ_KEYS}
    usual = {_letters(key): key for key in sorted(known)}
    meant = {key: key if key in known else usual.get(_letters(key), key) for key in item}
    return {key if meant[key] in item else meant[key]: value for key, value in item.items()}


def _letters(key: str) -> str:
    return key.casefold().replace("_", "").replace("-", "")


def _merged(
    inner: Mapping[str, Json], outer: Mapping[str, Json], where: str, inside: str = "the function"
) -> dict[str, Json]:
    """Return both together; a key of both must have the same value."""
    for key, value in outer.items():
        if (
            inner.get(key) is not None
            and inner[key] != value
            and not _same_names(inner[key], value)
        ):
            raise ToolFileError(
                f"{where}: {key!r} is written within {inside} and beside it, with different "
                "values; remove one."
            )
    return {**inner, **{key: value for key, value in outer.items() if inner.get(key) is None}}


def _same_names(one: Json, other: Json) -> bool:
    """Return whether two lists have the same items in another order."""
    both_lists = isinstance(one, list) and isinstance(other, list)
    return both_lists and sorted(map(repr, one)) == sorted(map(repr, other))


def _check_spelling(keys: Mapping[str, Json], where: str) -> None:
    """Raise an error for a key that seems to be a misspelling of one that is missing."""
    has_parameters = not keys.keys().isdisjoint(PARAMETER_KEYS)
    expected = ("description", *(() if has_parameters else PARAMETER_KEYS), *SCHEMA_KEYS)
    missing = [key for key in expected if key not in keys]
    for key in _unread(keys):
        if not has_parameters and key in FOREIGN_PARAMETER_KEYS and keys[key]:
            raise ToolFileError(f"{where}: unknown key {key!r}; did you mean 'parameters'?")
        if close := difflib.get_close_matches(key, missing, 1, SIMILAR_RATIO):
            raise ToolFileError(f"{where}: unknown key {key!r}; did you mean {close[0]!r}?")


def _unread(keys: Mapping[str, Json]) -> Iterator[str]:
    """Yield the keys that have no effect."""
    for key, value in keys.items():
        known = key in READ_KEYS or key in SCHEMA_KEYS or key in OTHER_KEYS
        ignored = not known and not key.startswith(EXTENSION)
        not_strict = key == "strict" and value is False
        runs_elsewhere = key == "type" and value not in TOOL_TYPES
        if ignored or not_strict or runs_elsewhere:
            yield key


JSON_TYPES: Mapping[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "a boolean",
    type(None): "null",
}


def json_type(value: Json) -> str:
    """Return the type of a JSON value in words."""
    return JSON_TYPES.get(type(value), "a number")
