"""Convert schema objects of any dialect to the keywords of draft 2020-12."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Keywords = dict[str, Any]
Notes = dict[str, str]
"""For keywords that have no effect, the reason."""

SCHEMA_KEYWORDS = frozenset(
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
SCHEMA_LIST_KEYWORDS = frozenset(["allOf", "anyOf", "oneOf", "prefixItems"])
"""Keywords whose value is a list of schemas."""
SCHEMA_MAP_KEYWORDS = frozenset(["properties", "patternProperties", "dependentSchemas"])
"""Keywords whose value is an object of schemas."""

TYPE_NAMES = {
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
"""The JSON type of each type name, including those of BFCL, Java and JavaScript."""

FORMER_KEYWORDS = {
    "prefixItems": "items",
    "items": "additionalItems",
    "dependentSchemas": "dependencies",
    "dependentRequired": "dependencies",
    "multipleOf": "divisibleBy",
}
"""Earlier names of keywords."""

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
        "xml",
        "externalDocs",
        "discriminator",
        "propertyOrdering",
        "enumNames",
        "enumDescriptions",
        "markdownDescription",
    ]
)
"""Keywords that do not restrict values."""


class Rewritten(dict[str, Any]):
    """A schema object that stands for keywords of its parent, so it has the parent's place."""


def modernize(raw: Mapping[str, Any], notes: Notes) -> Keywords:
    """Return the schema object with the keywords of draft 2020-12; subschemas are unchanged.

    `notes` gets the reason for each keyword that has no effect.
    """
    done = {key: value for key, value in raw.items() if key not in ANNOTATIONS}
    for step in MODERNIZERS:
        step(done, notes)
    return done


def original_keyword(keyword: str, raw: Mapping[str, Any]) -> str:
    """Return the keyword's name in the user's schema."""
    return keyword if keyword in raw else FORMER_KEYWORDS.get(keyword, keyword)


def _absent(done: Keywords, notes: Notes) -> None:
    """Remove keywords that are null, or an empty list of properties.

    Go and other languages write null for what is absent, PHP an empty list for an empty object.
    """
    for keyword in [keyword for keyword in SCHEMA_MAP_KEYWORDS if done.get(keyword) == []]:
        del done[keyword]
    for keyword in [keyword for keyword, value in done.items() if value is None]:
        if keyword == "type":
            notes[keyword] = 'null is read as no type; write "null" to allow only null'
        if keyword != "const" and keyword in KEYWORD_TYPES:
            del done[keyword]


def _types(done: Keywords, notes: Notes) -> None:
    """Use the standard's type names; "any" removes the type."""
    names = done.get("type")
    if isinstance(names, str):
        names = [names]
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        kinds = [TYPE_NAMES.get(name.lower(), name) for name in names]
        done["type"] = list(dict.fromkeys(kinds))
        if "any" in kinds:
            del done["type"]


def _exclusive(done: Keywords, notes: Notes) -> None:
    """Convert draft 4's boolean `exclusiveMinimum` and `exclusiveMaximum`."""
    for limit, flag in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(done.get(flag), bool) and done.pop(flag):
            if limit in done:
                done[flag] = done.pop(limit)
            else:
                notes[flag] = f"true has an effect only beside {limit}; write the limit itself"


def _tuples(done: Keywords, notes: Notes) -> None:
    """Convert lists in `items`, and `additionalItems`."""
    rest = done.pop("additionalItems", None)
    if isinstance(done.get("items"), list):
        done["prefixItems"] = done.pop("items")
        if rest is not None:
            done["items"] = rest
    elif rest is not None:
        notes["additionalItems"] = "it has an effect only beside a list of schemas in items"


def _dependencies(done: Keywords, notes: Notes) -> None:
    """Split draft 7's `dependencies` into names and schemas."""
    dependencies = done.get("dependencies")
    if isinstance(dependencies, Mapping):
        del done["dependencies"]
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


def _renamed(done: Keywords, notes: Notes) -> None:
    """Rename keywords of earlier drafts."""
    for old, new in (("divisibleBy", "multipleOf"), ("$recursiveRef", "$ref")):
        if old in done:
            done.setdefault(new, done.pop(old))


def _flags(done: Keywords, notes: Notes) -> None:
    """Convert draft 3's boolean `required` of properties to a list of names."""
    properties = done.get("properties")
    if isinstance(done.get("required"), bool) and done.pop("required"):
        notes["required"] = (
            "true has an effect only in the schema of a property; elsewhere, write a list of names"
        )
    if isinstance(properties, Mapping):
        flagged = [
            name
            for name, inner in properties.items()
            if isinstance(inner, Mapping) and inner.get("required") is True
        ]
        names = done.get("required", [])
        if flagged and isinstance(names, list):
            done["required"] = [*names, *(name for name in flagged if name not in names)]


def _nullable(done: Keywords, notes: Notes) -> None:
    """Convert OpenAPI's `nullable`, whatever other keywords restrict the value."""
    if not isinstance(done.get("nullable"), bool):
        return
    if not done.keys() & ({"type", "enum"} | NULL_EXCLUDING):
        notes["nullable"] = "it has an effect only beside type; without one, null is allowed"
    if not done.pop("nullable"):
        return
    if done.keys() & NULL_EXCLUDING:
        rest = Rewritten(done)
        done.clear()
        done["anyOf"] = [{"type": "null"}, rest]
        return
    if isinstance(done.get("type"), list) and "null" not in done["type"]:
        done["type"] = [*done["type"], "null"]
    if isinstance(done.get("enum"), list) and None not in done["enum"]:
        done["enum"] = [*done["enum"], None]


def _companions(done: Keywords, notes: Notes) -> None:
    """Note keywords that have no effect without another one."""
    for keyword, needed in COMPANIONS.items():
        if keyword in done and not done.keys() & set(needed):
            notes[keyword] = f"it has an effect only beside {' or '.join(needed)}"


def _other_types(done: Keywords, notes: Notes) -> None:
    """Note keywords that apply to none of the schema's types."""
    names = done.get("type")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return
    for keyword in done:
        kind = KEYWORD_TYPES.get(keyword)
        fits = {kind, "integer"} if kind == "number" else {kind}
        if kind is not None and names and not fits & set(names):
            notes[keyword] = f"it restricts only values of type {kind}, not {', '.join(names)}"


NULL_EXCLUDING = frozenset(["$ref", "$dynamicRef", "const", "allOf", "anyOf", "oneOf", "not", "if"])
"""Keywords that can exclude null, in addition to `type` and `enum`."""
COMPANIONS: Mapping[str, tuple[str, ...]] = {
    "minContains": ("contains",),
    "maxContains": ("contains",),
    "then": ("if",),
    "else": ("if",),
    "if": ("then", "else"),
}
"""Keywords that have an effect only beside one of these."""
KEYWORD_TYPES: Mapping[str, str | None] = {
    **dict.fromkeys(
        [
            *("type", "enum", "const", "$ref", "$dynamicRef", "$recursiveRef"),
            *("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "format", "nullable"),
        ]
    ),
    **dict.fromkeys(
        [
            *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
            "divisibleBy",
        ],
        "number",
    ),
    **dict.fromkeys(["minLength", "maxLength", "pattern"], "string"),
    **dict.fromkeys(
        [
            *("items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems"),
            *("contains", "minContains", "maxContains", "unevaluatedItems"),
        ],
        "array",
    ),
    **dict.fromkeys(
        [
            *("properties", "required", "additionalProperties", "patternProperties"),
            *("minProperties", "maxProperties", "propertyNames", "unevaluatedProperties"),
            *("dependencies", "dependentRequired", "dependentSchemas"),
        ],
        "object",
    ),
}
"""Every keyword that restricts values, with the one JSON type to which it applies, or None."""
MODERNIZERS: tuple[Callable[[Keywords, Notes], None], ...] = (
    _absent,
    _types,
    _exclusive,
    _tuples,
    _dependencies,
    _renamed,
    _flags,
    _companions,
    _other_types,
    _nullable,
)
