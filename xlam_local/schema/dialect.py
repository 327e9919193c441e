"""Every dialect of JSON Schema in the keywords of draft 2020-12, one schema object at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Keywords = dict[str, Any]

ONE = frozenset(
    [
        "items",
        "additionalProperties",
        "not",
        "if",
        "then",
        "else",
        "contains",
        "propertyNames",
        "unevaluatedItems",
        "unevaluatedProperties",
    ]
)
"""Keywords whose value is a schema."""
SEVERAL = frozenset(["allOf", "anyOf", "oneOf", "prefixItems"])
"""Keywords whose value is a list of schemas."""
NAMED = frozenset(["properties", "patternProperties", "dependentSchemas"])
"""Keywords whose value is an object of schemas."""

KINDS = ("null", "boolean", "number", "string", "array", "object")
TYPES = {
    name: kind
    for kind, names in {
        "null": "null none nonetype void undefined",
        "boolean": "boolean bool",
        "integer": "integer int long short byte bigint int32 int64 biginteger",
        "number": "number float double decimal bigdecimal",
        "string": "string str char character text",
        "array": "array list tuple set arraylist queue stack sequence linkedlist",
        "object": "object dict map hashmap hashtable dictionary mapping",
        "any": "any",
    }.items()
    for name in names.split()
}
"""What each type name stands for, the leaderboard's and other languages' ones among them."""

FORMER = {
    "prefixItems": "items",
    "items": "additionalItems",
    "dependentSchemas": "dependencies",
    "dependentRequired": "dependencies",
    "multipleOf": "divisibleBy",
}
"""What a keyword was called before, where it can come from another one."""

ANNOTATIONS = frozenset(
    [
        "title",
        "description",
        "default",
        "example",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "$comment",
        "$schema",
        "$vocabulary",
        "$id",
        "id",
        "$anchor",
        "$dynamicAnchor",
        "$recursiveAnchor",
        "$defs",
        "definitions",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
        "optional",
        "xml",
        "externalDocs",
        "discriminator",
    ]
)
"""Keywords that say nothing about which values are valid."""


def modern(raw: Mapping[str, Any]) -> Keywords:
    """The same schema object with today's keywords; the schemas inside it stay as they are."""
    done = {key: value for key, value in raw.items() if key not in ANNOTATIONS}
    for step in STEPS:
        step(done)
    return done


def former(keyword: str, raw: Mapping[str, Any]) -> str:
    """What the keyword is called in the schema that the user wrote."""
    return keyword if keyword in raw else FORMER.get(keyword, keyword)


def _types(done: Keywords) -> None:
    """Names of types in the standard's spelling; "any" is no type at all."""
    names = done.get("type")
    if isinstance(names, str):
        names = [names]
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        kinds = [TYPES.get(name.lower(), name) for name in names]
        done["type"] = list(dict.fromkeys(kinds))
        if "any" in kinds:
            del done["type"]


def _nullable(done: Keywords) -> None:
    """OpenAPI's way to allow null."""
    if done.pop("nullable", False) is True:
        if isinstance(done.get("type"), list) and "null" not in done["type"]:
            done["type"] = [*done["type"], "null"]
        if isinstance(done.get("enum"), list) and None not in done["enum"]:
            done["enum"] = [*done["enum"], None]


def _exclusive(done: Keywords) -> None:
    """Draft 4's flags beside a limit."""
    for limit, flag in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(done.get(flag), bool) and done.pop(flag) and limit in done:
            done[flag] = done.pop(limit)


def _tuples(done: Keywords) -> None:
    """Lists of schemas in "items", and what comes after them."""
    rest = done.pop("additionalItems", None)
    if isinstance(done.get("items"), list):
        done["prefixItems"] = done.pop("items")
        if rest is not None:
            done["items"] = rest


def _dependencies(done: Keywords) -> None:
    """Draft 7's mix of names and schemas, apart."""
    dependencies = done.pop("dependencies", None)
    if isinstance(dependencies, Mapping):
        names = {
            k: [v] if isinstance(v, str) else v
            for k, v in dependencies.items()
            if isinstance(v, str | list)
        }
        schemas = {k: v for k, v in dependencies.items() if k not in names}
        if names:
            done["dependentRequired"] = {**done.get("dependentRequired", {}), **names}
        if schemas:
            done["dependentSchemas"] = {**done.get("dependentSchemas", {}), **schemas}


def _renamed(done: Keywords) -> None:
    """Keywords that have another name today."""
    for old, new in (("divisibleBy", "multipleOf"), ("$recursiveRef", "$ref")):
        if old in done:
            done.setdefault(new, done.pop(old))


def _flags(done: Keywords) -> None:
    """Draft 3's "required" beside a property's type, which today's standard does not know."""
    if isinstance(done.get("required"), bool):
        del done["required"]


STEPS: tuple[Callable[[Keywords], None], ...] = (
    _types,
    _nullable,
    _exclusive,
    _tuples,
    _dependencies,
    _renamed,
    _flags,
)
