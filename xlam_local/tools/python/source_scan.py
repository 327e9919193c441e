"""Read what a Python tool file declares, without running it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import ToolFileError
from ...types import Effect, Sandbox
from ..sandbox.config import Limits, parse_gib


@dataclass(frozen=True, slots=True)
class ToolFunction:
    """A function with the decorator `@tool`."""

    name: str
    effect: Effect
    summary: str
    """The first line of its docstring."""


@dataclass(frozen=True, slots=True)
class SourceScan:
    """What a file declares: its tools, and the settings of the process that runs it."""

    functions: tuple[ToolFunction, ...]
    sandbox: Sandbox = Sandbox.LIMITS
    network: bool = False
    env: tuple[str, ...] = ()
    """The names of the user's environment variables that the process gets."""
    memory_bytes: int = Limits().memory_bytes

    def redefined(self) -> list[str]:
        """Return the names of functions that a later one replaces."""
        names = [function.name for function in self.functions]
        return [name for at, name in enumerate(names) if name in names[at + 1 :]]


def scan_source(text: str, path: Path) -> SourceScan:
    """Return what a Python file declares.

    Raises:
        ToolFileError: the file is not Python, or a setting is invalid.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f" at line {error.lineno}" if isinstance(error, SyntaxError) else ""
        reason = error.args[0] if error.args else "nested too deeply"
        raise ToolFileError(f"{path} is not valid Python: {reason}{line}.") from error
    return SourceScan(tuple(_tool_functions(tree)), **_settings(tree, path))


def _tool_functions(tree: ast.Module) -> Iterator[ToolFunction]:
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for decorator in node.decorator_list:
                if (effect := _effect(decorator)) is not None:
                    summary = (ast.get_docstring(node) or "").partition("\n")[0]
                    yield ToolFunction(node.name, effect, summary)


def _effect(decorator: ast.expr) -> Effect | None:
    """Return the effect that a decorator declares, or None if it is not `@tool`."""
    callee = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = callee.attr if isinstance(callee, ast.Attribute) else getattr(callee, "id", "")
    if name != "tool":
        return None
    argument = decorator.args[0] if isinstance(decorator, ast.Call) and decorator.args else None
    effect = argument.attr if isinstance(argument, ast.Attribute) else ""
    return Effect[effect] if effect in Effect.__members__ else Effect.EXECUTE


def _settings(tree: ast.Module, path: Path) -> dict[str, Any]:
    """Return the settings as arguments of `SourceScan`.

    A setting must be a literal assigned at the top level of the file: since nothing is run, any
    other assignment could give it another value when the file runs.
    """
    settings: dict[str, Any] = {}
    for node in tree.body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ) if name in SETTINGS:
                setting = SETTINGS[name]
                try:
                    settings[setting.field] = setting.parse(ast.literal_eval(value))
                except (ValueError, TypeError) as error:
                    raise ToolFileError(
                        f"{path}, line {node.lineno}: {name} must be {setting.expected}."
                    ) from error
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                continue  # a scope of its own
            case _:
                _check_no_settings(node, path)
    return settings


def _check_no_settings(statement: ast.stmt, path: Path) -> None:
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and node.id in SETTINGS:
            if isinstance(node.ctx, ast.Load):
                continue
            raise ToolFileError(
                f"{path}, line {node.lineno}: {node.id} must be assigned in a statement of its "
                f"own at the top level, and be {SETTINGS[node.id].expected}."
            )


def _parse_flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _parse_names(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) for name in value):
        raise TypeError
    return tuple(value)


@dataclass(frozen=True, slots=True)
class Setting:
    """A constant by which a file configures its process."""

    field: str
    """The field of `SourceScan` that it sets."""
    parse: Callable[[Any], object]
    """Convert the value, or raise ValueError or TypeError."""
    expected: str
    """What the value must be, for error messages."""


SETTINGS: Mapping[str, Setting] = {
    "SANDBOX": Setting("sandbox", Sandbox, '"none", "limits" or "isolated"'),
    "NETWORK": Setting("network", _parse_flag, "True or False"),
    "ENV": Setting("env", _parse_names, "a list of names of environment variables"),
    "MEMORY_GIB": Setting("memory_bytes", parse_gib, "a number of GiB"),
}
