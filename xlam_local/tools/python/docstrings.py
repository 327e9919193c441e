"""Read the descriptions of fields from the docstrings of classes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, ClassVar, get_args, get_origin, get_type_hints

from docstring_parser import parse


def field_docs(function: Any) -> dict[str, dict[str, str]]:
    """Return the descriptions of the fields of all classes in a function's types, by class name."""
    docs: dict[str, dict[str, str]] = {}
    for cls in _classes(function, set()):
        params = parse(inspect.getdoc(cls) or "").params
        docs[cls.__name__] = {param.arg_name: param.description or "" for param in params}
    return docs


def _classes(owner: Any, seen: set[Any]) -> Iterator[type]:
    """Yield the classes with annotations in the types of a function or class, at any depth."""
    try:
        hints = get_type_hints(owner)
    except (NameError, TypeError):
        return
    for hint in hints.values():
        if get_origin(hint) is ClassVar:
            continue
        for part in _type_parts(hint):
            if isinstance(part, type) and part not in seen and hasattr(part, "__annotations__"):
                seen.add(part)
                yield part
                yield from _classes(part, seen)


def _type_parts(hint: Any) -> Iterator[Any]:
    """Yield a type and the types that it is built of."""
    yield hint
    for part in get_args(hint):
        yield from _type_parts(part)
