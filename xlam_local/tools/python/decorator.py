"""Make a tool of a Python function: schema from its types, descriptions from its docstring."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, overload

from docstring_parser import parse
from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic_core import ArgsKwargs, SchemaError

from ...errors import ToolError, ToolFileError
from ...types import Effect, Tool
from ..sandbox.config import MAX_TIMEOUT_S
from .docstrings import field_docs
from .invoke import Function, with_timeout
from .serialize import to_jsonable

left_out: ContextVar[list[str] | None] = ContextVar("left_out", default=None)
"""While a tool file is loaded, takes the error of each function that cannot be a tool."""
CALL_TIMEOUT_S = 60.0
"""The default timeout of a call."""
TYPE_ERRORS = (NameError, AttributeError, TypeError, ValueError, RecursionError, SchemaError)
"""What Pydantic raises for types that it cannot resolve or that fail while it reads them."""
VALUE_KEYWORDS = {"const", "default", "enum", "examples"}
"""JSON Schema keywords that hold values, not schemas."""


@overload
def tool(function: Function, /) -> Tool: ...


@overload
def tool(
    effect: Effect = Effect.EXECUTE,
    /,
    *,
    timeout: float = CALL_TIMEOUT_S,
    preview: Callable[..., str] | None = None,
) -> Callable[[Function], Tool]: ...


def tool(
    effect: Effect | Function = Effect.EXECUTE,
    /,
    *,
    timeout: float = CALL_TIMEOUT_S,
    preview: Callable[..., str] | None = None,
) -> Tool | Callable[[Function], Tool]:
    """Make a tool of a function with type annotations, as a decorator.

    `effect` is what a call can do; it decides whether the user is asked first. A call is stopped
    after `timeout` seconds. `preview` gets the arguments and returns what a call would do, for the
    approval prompt. The tool can be called like the function.

    >>> @tool(Effect.READ)
    ... def add(a: int, b: int) -> int:
    ...     '''Add two numbers.'''
    ...     return a + b

    Raises:
        ToolFileError: a parameter has no type, or one that JSON cannot represent.
    """
    if callable(effect):
        return _decorated(effect, Effect.EXECUTE, CALL_TIMEOUT_S)

    def decorate(function: Function) -> Tool:
        made = _decorated(function, effect, timeout)
        return replace(made, preview=preview) if isinstance(made, Tool) else made

    return decorate


def _decorated(function: Function, effect: Effect, timeout: float) -> Tool:
    """Return the tool of a function, or the function itself if a tool file does without it."""
    try:
        return from_function(function, effect, timeout)
    except ToolFileError as error:
        errors = left_out.get()
        if errors is None:
            raise
        errors.append(str(error))
        return function  # type: ignore[return-value]


def from_function(function: Function, effect: Effect, timeout: float = CALL_TIMEOUT_S) -> Tool:
    """Return the tool that calls `function`.

    Raises:
        ToolFileError: a parameter has no type, or one that JSON cannot represent.
    """
    name = getattr(function, "__name__", "function")
    if not isinstance(timeout, (int, float)) or not 0 < timeout <= MAX_TIMEOUT_S:
        raise ToolFileError(
            f"Tool {name!r}: timeout must be a number of seconds up to {MAX_TIMEOUT_S}."
        )
    if not isinstance(effect, Effect):
        kinds = ", ".join(f"Effect.{each.name}" for each in Effect)
        raise ToolFileError(f"Tool {name!r}: the effect must be one of {kinds}, not {effect!r}.")
    _check_parameters(function, name)
    try:
        adapter = _type_adapter(function)
        schema = adapter.json_schema()
    except (PydanticUserError, PydanticInvalidForJsonSchema, *TYPE_ERRORS) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ToolFileError(f"Tool {name!r} has no JSON Schema: {reason}.") from error
    docstring = parse(inspect.getdoc(function) or "")
    parameter_docs = {param.arg_name: param.description or "" for param in docstring.params}
    return Tool(
        name,
        (docstring.description or "").strip(),
        _documented_schema(schema, parameter_docs, field_docs(function)),
        effect,
        with_timeout(_with_validation(function, adapter), timeout),
        timeout=timeout,
        function=function,
    )


def _type_adapter(function: Any) -> TypeAdapter[Any]:
    """Return Pydantic's adapter of a function: its schema, and calls with validated arguments."""
    return TypeAdapter(function)


def _check_parameters(function: Function, name: str) -> None:
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY}:
            raise ToolFileError(f"Tool {name!r}: parameter {parameter} cannot be passed by name.")
        if parameter.annotation is parameter.empty:
            raise ToolFileError(f"Tool {name!r}: parameter {parameter.name!r} has no type.")


def _documented_schema(
    schema: Mapping[str, Any],
    parameter_docs: Mapping[str, str],
    docs_by_class: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """Return the schema with the docstrings' descriptions, without titles that repeat names."""
    documented: dict[str, Any] = _without_titles(schema)
    _add_descriptions(documented, parameter_docs)
    for name, definition in documented.get("$defs", {}).items():
        _add_descriptions(definition, docs_by_class.get(name, {}))
        # The rest of the docstring describes the fields, which have their descriptions now.
        if "properties" in definition and "description" in definition:
            definition["description"] = definition["description"].partition("\n\n")[0]
    return documented


def _add_descriptions(schema: dict[str, Any], descriptions: Mapping[str, str]) -> None:
    for name, text in descriptions.items():
        if text and name in schema.get("properties", {}):
            schema["properties"][name].setdefault("description", text)


def _without_titles(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: value if key in VALUE_KEYWORDS else _without_titles(value)
        for key, value in schema.items()
        # The value of a property called "title" is a schema, not text.
        if key != "title" or isinstance(value, Mapping)
    }


def _with_validation(function: Function, adapter: TypeAdapter[Any]) -> Function:
    """Return the function with arguments validated and converted to the types it declares."""

    def run(**arguments: object) -> object:
        try:
            value = adapter.validate_python(ArgsKwargs((), arguments))
        except ValidationError as error:
            problems = (f"{'/'.join(map(str, e['loc']))}: {e['msg']}." for e in error.errors())
            raise ToolError(" ".join(problems)) from error
        return _await_jsonable(value) if inspect.isawaitable(value) else to_jsonable(value)

    run.__name__ = getattr(function, "__name__", "run")
    return run


async def _await_jsonable(value: Any) -> object:
    return to_jsonable(await value)
