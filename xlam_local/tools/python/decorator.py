"""A tool from a Python function: its types become the schema, its docstring the description."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, overload

from ..errors import ToolError, ToolFileError
from ..types import Effect, Tool
from .nested import fields
from .running import Function, timed
from .values import plain

VALUES = {"const", "default", "enum", "examples"}
"""Keywords that hold values, not schemas."""


SECONDS = 60.0
"""How long a call takes at most where its tool does not say."""
MOST_SECONDS = 3600


@overload
def tool(function: Function, /) -> Tool: ...


@overload
def tool(
    effect: Effect = Effect.EXECUTE,
    /,
    *,
    seconds: float = SECONDS,
    preview: Callable[..., str] | None = None,
) -> Callable[[Function], Tool]: ...


def tool(
    effect: Effect | Function = Effect.EXECUTE,
    /,
    *,
    seconds: float = SECONDS,
    preview: Callable[..., str] | None = None,
) -> Tool | Callable[[Function], Tool]:
    """Make a tool of a typed function; `effect` is what running it can do.

    A call ends after `seconds`; `preview` tells from the arguments what it would do.

    >>> @tool(Effect.READ)
    ... def add(a: int, b: int) -> int:
    ...     '''Add two numbers.'''
    ...     return a + b
    """
    if not isinstance(effect, Effect):
        return from_function(effect, Effect.EXECUTE)

    def make(function: Function) -> Tool:
        made = from_function(function, effect, seconds)
        return replace(made, preview=preview)

    return make


def from_function(function: Function, effect: Effect, seconds: float = SECONDS) -> Tool:
    """The tool that `function` is.

    Raises:
        ToolFileError: a parameter has no type, or one that JSON cannot carry.
    """
    from docstring_parser import parse
    from pydantic import PydanticUserError
    from pydantic.errors import PydanticInvalidForJsonSchema

    name = getattr(function, "__name__", "function")
    if not isinstance(seconds, (int, float)) or not 0 < seconds <= MOST_SECONDS:
        raise ToolFileError(f"Tool {name!r}: seconds is a number up to {MOST_SECONDS}.")
    _check_parameters(function, name)
    try:
        adapter = _adapter(function)
        schema = adapter.json_schema()
    except (PydanticUserError, PydanticInvalidForJsonSchema, NameError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ToolFileError(f"Tool {name!r} cannot be described as JSON: {reason}.") from error
    documented = parse(inspect.getdoc(function) or "")
    described = {param.arg_name: param.description or "" for param in documented.params}
    return Tool(
        name,
        (documented.description or "").strip(),
        _parameters(schema, described, fields(function)),
        effect,
        timed(_checked(function, adapter), seconds),
        seconds=seconds,
    )


def _adapter(function: Any) -> Any:
    """Pydantic's reading of a function: its schema, and a call with checked arguments."""
    from pydantic import TypeAdapter

    return TypeAdapter(function)


def _check_parameters(function: Function, name: str) -> None:
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY}:
            raise ToolFileError(f"Tool {name!r}: {parameter} cannot be given by name.")
        if parameter.annotation is parameter.empty:
            raise ToolFileError(f"Tool {name!r}: parameter {parameter.name!r} has no type.")


def _parameters(
    schema: Mapping[str, Any],
    described: Mapping[str, str],
    nested: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """The schema without the titles that only repeat names, and with the docstrings' words."""
    plain: dict[str, Any] = _untitled(schema)
    _describe(plain, described)
    for name, definition in plain.get("$defs", {}).items():
        _describe(definition, nested.get(name, {}))
        # What it says of the fields stands with them now.
        if "properties" in definition and "description" in definition:
            definition["description"] = definition["description"].partition("\n\n")[0]
    return plain


def _describe(schema: dict[str, Any], words: Mapping[str, str]) -> None:
    for name, text in words.items():
        if text and name in schema.get("properties", {}):
            schema["properties"][name].setdefault("description", text)


def _untitled(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_untitled(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: value if key in VALUES else _untitled(value)
        for key, value in schema.items()
        # A property may be named "title"; its value is a schema then, not text.
        if key != "title" or isinstance(value, Mapping)
    }


def _checked(function: Function, adapter: Any) -> Function:
    """The function, called with arguments made into the types that it declares."""

    def run(**arguments: object) -> object:
        from pydantic import ValidationError
        from pydantic_core import ArgsKwargs

        try:
            value = adapter.validate_python(ArgsKwargs((), arguments))
        except ValidationError as error:
            wrong = (f"{'/'.join(map(str, e['loc']))}: {e['msg']}." for e in error.errors())
            raise ToolError(" ".join(wrong)) from error
        return _told_later(value) if inspect.isawaitable(value) else plain(value)

    run.__name__ = getattr(function, "__name__", "run")
    return run


async def _told_later(value: Any) -> object:
    return plain(await value)
