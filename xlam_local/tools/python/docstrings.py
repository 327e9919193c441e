"""What the docstrings of a function's classes say of their fields."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, ClassVar, get_args, get_origin, get_type_hints


def fields(function: Any) -> dict[str, dict[str, str]]:
    """The words for each field, by the names of the classes in a function's types."""
    from docstring_parser import parse

    found: dict[str, dict[str, str]] = {}
    for one in _classes(function, set()):
        documented = parse(inspect.getdoc(one) or "").params
        found[one.__name__] = {param.arg_name: param.description or "" for param in documented}
    return found


def _classes(owner: Any, seen: set[Any]) -> Iterator[type]:
    """The classes with fields that are in the types of a function or a class, at any depth."""
    try:
        hints = get_type_hints(owner)
    except (NameError, TypeError):
        return
    for hint in hints.values():
        if get_origin(hint) is ClassVar:
            continue
        for one in _parts(hint):
            if isinstance(one, type) and one not in seen and hasattr(one, "__annotations__"):
                seen.add(one)
                yield one
                yield from _classes(one, seen)


def _parts(hint: Any) -> Iterator[Any]:
    yield hint
    for part in get_args(hint):
        yield from _parts(part)
