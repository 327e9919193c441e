"""Tools that run a command: a list of arguments with placeholders, never read by a shell."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from ... import toml_values
from ...errors import ToolError, ToolFileError
from ...types import Tool
from ..safe_paths import SafeFolder
from ..sandbox import process
from ..sandbox.config import SandboxConfig, parse_gib
from ..sandbox.output import output_or_error
from ..sandbox.process import RunningProcess
from ..variables import check_variables, expand_variables, other_form
from .placeholders import (
    argument_values,
    check_placeholders,
    fill_values,
    placeholder_names,
    to_text,
)

COMMAND_KEYS = {"command", "cwd", "env", "stdin", "output", "sandbox", "network", "memory_gib"}
OUTPUT_FORMATS = ("text", "json")

CommandPart = str | tuple[str, ...]
"""One argument, or a group of arguments that is left out if one of its values is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandTemplate:
    """A command with placeholders, and how to run it."""

    parts: tuple[CommandPart, ...]
    properties: Mapping[str, Any]
    """The properties of the tool's JSON Schema."""
    sandbox: SandboxConfig
    stdin: str = ""
    output: str = "text"
    """One of OUTPUT_FORMATS."""
    env: Mapping[str, str] = field(default_factory=dict)
    active: set[RunningProcess] = field(default_factory=set)
    """The calls that run now."""

    def command_line(self, arguments: Mapping[str, Any]) -> list[str]:
        """Return the command for a call.

        Raises:
            ToolError: an argument would be read as an option, or a path is not allowed.
        """
        values = argument_values(arguments, self.properties, self._check_path)
        words: list[str] = []
        for part in self.parts:
            group = (part,) if isinstance(part, str) else part
            if all(name in values for text in group for name in placeholder_names(text)):
                for text in group:
                    words.extend(_expand(text, values, after_options="--" in words))
        return words

    def preview(self, **arguments: Any) -> str:
        """Return the command as it would be typed in a shell, and its working folder."""
        return f"{shlex.join(self.command_line(arguments))}\nin {self.sandbox.cwd}"

    def run(self, **arguments: Any) -> object:
        """Run the command and return its output.

        Raises:
            ToolError: it cannot be run, it fails, or its output is not JSON although it should be.
        """
        command = self.command_line(arguments)
        env = {name: expand_variables(text) for name, text in self.env.items()}
        values = argument_values(arguments, self.properties)
        # In the input, a placeholder without a value is replaced by nothing.
        names = placeholder_names(self.stdin)
        stdin = fill_values(self.stdin, {name: values.get(name, "") for name in names})
        sandbox = replace(self.sandbox, env={**self.sandbox.env, **env})
        completed = process.run(command, sandbox, stdin.encode(), self.active)
        output = output_or_error(command[0], completed, sandbox.limits)
        return _parse_json(output) if self.output == "json" else output

    def _check_path(self, name: str, value: Any) -> Any:
        return self._resolve_paths(self.properties.get(name), value)

    def _resolve_paths(self, schema: Any, value: Any) -> Any:
        """Resolve a value with `format = "path"`, or each item of a list of such values."""
        if not isinstance(schema, Mapping):
            return value
        if isinstance(value, list):
            return [self._resolve_paths(schema.get("items"), item) for item in value]
        if schema.get("format") == "path":
            folder = SafeFolder.from_path(self.sandbox.cwd, self.sandbox.hidden)
            return str(folder.resolve(to_text(value)))
        return value


def command_tool(table: Mapping[str, Any], tool: Tool, sandbox: SandboxConfig) -> Tool:
    """Return the tool that a table with the key `command` declares.

    Raises:
        UsageError: a value in the table is invalid.
    """
    where = f"Tool {tool.name!r}"
    properties = tool.parameters.get("properties", {})
    if _count_paths(tool.parameters) != sum(map(_count_checked_paths, properties.values())):
        raise ToolFileError(
            f'{where}: format = "path" is supported for a parameter or for the items of a list '
            "parameter, and nowhere else."
        )
    stdin = toml_values.text(table, "stdin", where)
    check_placeholders(stdin, properties, f"{where}, stdin")
    config = _sandbox_config(table, tool, sandbox, where)
    template = CommandTemplate(
        parts=tuple(_parse_parts(table["command"], properties, where)),
        properties=properties,
        sandbox=config,
        stdin=stdin,
        output=toml_values.one_of(table, "output", where, OUTPUT_FORMATS, "text"),
        env=_env(table, properties, where),
    )
    return replace(
        tool,
        run=template.run,
        preview=template.preview,
        sandbox=config.level,
        network=config.network,
        cwd=str(config.cwd),
        cancel=partial(process.kill_all, template.active),
    )


def command_text(table: Mapping[str, Any]) -> str:
    """Return the command of a table with its placeholders, for people to read."""
    parts = table["command"]
    words = [word for part in parts for word in (part if isinstance(part, list) else [part])]
    return " ".join(word if list(placeholder_names(word)) else shlex.quote(word) for word in words)


def _expand(part: str, values: Mapping[str, Any], after_options: bool) -> Iterator[str]:
    """Yield the arguments of a part: one, or one per item if the part is a list's placeholder."""
    names = list(placeholder_names(part))
    is_placeholder = bool(names) and part == f"{{{names[0]}}}"
    value = values[names[0]] if is_placeholder else None
    found = {name: values[name] for name in names}
    choices = [{names[0]: item} for item in value] if isinstance(value, list) else [{}]
    for choice in choices:
        argument = fill_values(part, found | choice)
        if "\0" in argument:
            raise ToolError("An argument of a command must not contain a null character.")
        if argument.startswith("-") and part.startswith("{") and not after_options:
            raise ToolError(f"{argument!r} starts with '-' and would be read as an option.")
        yield argument


def _parse_parts(value: Any, properties: Mapping[str, Any], where: str) -> Iterator[CommandPart]:
    if not isinstance(value, list) or not value:
        raise toml_values.wrong_value(where, "command", "a list of arguments", value)
    for number, part in enumerate(value):
        group = [part] if isinstance(part, str) else part
        if not isinstance(group, list) or not all(isinstance(text, str) for text in group):
            expected = "a string or a list of strings"
            raise toml_values.wrong_value(where, f"/command/{number}", expected, part)
        for text in group:
            check_placeholders(text, properties, f"{where}, /command/{number}")
        if number == 0 and (not isinstance(part, str) or not part or list(placeholder_names(part))):
            raise ToolFileError(
                f"{where}: The first argument must be the name of a program, without placeholders."
            )
        yield part if isinstance(part, str) else tuple(group)


def _count_paths(schema: Any) -> int:
    """Count the subschemas with `format = "path"`."""
    if isinstance(schema, list):
        return sum(map(_count_paths, schema))
    if not isinstance(schema, Mapping):
        return 0
    return (schema.get("format") == "path") + sum(map(_count_paths, schema.values()))


def _count_checked_paths(schema: Any) -> int:
    """Count those that `_resolve_paths` checks in a parameter's schema."""
    if not isinstance(schema, Mapping):
        return 0
    return (schema.get("format") == "path") + _count_checked_paths(schema.get("items"))


def _sandbox_config(
    table: Mapping[str, Any], tool: Tool, sandbox: SandboxConfig, where: str
) -> SandboxConfig:
    """Return the sandbox with the settings of the table."""
    cwd = toml_values.text(table, "cwd", where, ".")
    try:
        folder = (sandbox.cwd / Path(cwd).expanduser()).resolve()
    except (ValueError, RuntimeError, OSError) as error:
        raise toml_values.wrong_value(where, "cwd", "a path", cwd) from error
    limits = replace(sandbox.limits, timeout=tool.timeout, cpu_seconds=int(tool.timeout) + 1)
    if "memory_gib" in table:
        try:
            limits = replace(limits, memory_bytes=parse_gib(table["memory_gib"]))
        except TypeError as error:
            value = table["memory_gib"]
            raise toml_values.wrong_value(where, "memory_gib", "a number of GiB", value) from error
    return replace(
        sandbox,
        level=toml_values.member(table, "sandbox", where, sandbox.level),
        network=toml_values.flag(table, "network", where),
        cwd=folder,
        limits=limits,
    )


def _env(table: Mapping[str, Any], properties: Mapping[str, Any], where: str) -> dict[str, str]:
    env = toml_values.text_table(table, "env", where)
    for name, text in env.items():
        check_variables(text, f"{where}, env, {name}")
        if variable := other_form(text):
            raise ToolFileError(f"{where}, env, {name}: write ${{{variable}}} instead of {text}.")
    names = [name for text in env.values() for name in placeholder_names(text)]
    if found := [name for name in names if name in properties]:
        raise ToolFileError(
            f"{where}: env must not contain the placeholder {{{found[0]}}}. Arguments can be used "
            "in command and stdin only: a variable can change what a program does."
        )
    return env


def _parse_json(output: str | bytes) -> object:
    try:
        value: object = json.loads(output)
    except (ValueError, RecursionError) as error:
        raise ToolError(f"The output is not JSON: {error}.") from error
    return value
