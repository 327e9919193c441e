"""What a file of Python tools holds, read without being run."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ToolFileError
from ..types import Effect, Sandbox
from .sandbox import Limits, gibibytes


@dataclass(frozen=True, slots=True)
class Function:
    """A function that its file marks as a tool."""

    name: str
    effect: Effect
    summary: str
    """The first line of its docstring."""


@dataclass(frozen=True, slots=True)
class Outline:
    """What a file says of itself."""

    functions: tuple[Function, ...]
    sandbox: Sandbox = Sandbox.LIMITS
    network: bool = False
    environment: tuple[str, ...] = ()
    """The variables of the user's environment that it wants to see."""
    memory: int = Limits().memory
    """Bytes of address space that it may use."""


def outline(text: str, path: Path) -> Outline:
    """Read what a file of tools holds.

    Raises:
        ToolFileError: it is not Python, or its settings cannot be read.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f" at line {error.lineno}" if isinstance(error, SyntaxError) else ""
        reason = error.args[0] if error.args else "it is nested too deeply"
        raise ToolFileError(f"{path} is not Python: {reason}{line}.") from error
    return Outline(tuple(_functions(tree)), **_settings(tree, path))


def _functions(tree: ast.Module) -> Iterator[Function]:
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for decorator in node.decorator_list:
                if (effect := _effect(decorator)) is not None:
                    summary = (ast.get_docstring(node) or "").partition("\n")[0]
                    yield Function(node.name, effect, summary)


def _effect(decorator: ast.expr) -> Effect | None:
    """The effect that a decorator gives a tool; None for a decorator of another kind."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    if name != "tool":
        return None
    first = decorator.args[0] if isinstance(decorator, ast.Call) and decorator.args else None
    said = first.attr if isinstance(first, ast.Attribute) else ""
    return Effect[said] if said in Effect.__members__ else Effect.EXECUTE


def _settings(tree: ast.Module, path: Path) -> dict[str, Any]:
    """SANDBOX, NETWORK, ENVIRONMENT and MEMORY, where the file sets them to plain values."""
    found: dict[str, Any] = {}
    for node in tree.body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ) if name in SETTINGS:
                try:
                    found[name.lower()] = SETTINGS[name](ast.literal_eval(value))
                except (ValueError, TypeError) as error:
                    raise ToolFileError(
                        f"{path}: {name} at line {node.lineno} is not {KINDS[name]}."
                    ) from error
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                continue  # names of their own
            case _:
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Name) and _set(inner) in SETTINGS:
                        raise ToolFileError(
                            f"{path}: {inner.id} at line {inner.lineno} has to be set in a line "
                            f"of its own, to {KINDS[inner.id]}: the file is read and not run."
                        )
    return found


def _set(name: ast.Name) -> str:
    """The name that is set there; nothing where it is only read."""
    return "" if isinstance(name.ctx, ast.Load) else name.id


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) for one in value):
        raise TypeError
    return tuple(value)


SETTINGS: Mapping[str, Callable[[Any], object]] = {
    "SANDBOX": Sandbox,
    "NETWORK": _flag,
    "ENVIRONMENT": _names,
    "MEMORY": gibibytes,
}
KINDS = {
    "SANDBOX": '"none", "limits" or "isolated"',
    "NETWORK": "True or False",
    "ENVIRONMENT": "a list of names of variables",
    "MEMORY": "a number of GiB",
}
