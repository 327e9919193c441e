"""Tools described in a TOML or JSON file: a command line or an HTTP request with blanks."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..errors import ToolFileError
from ..types import Effect, Tool
from .commands import command, template
from .functions import MOST_SECONDS
from .http_tools import http
from .sandbox import Box
from .types import Kind

COMMON = {"name", "description", "parameters", "effect", "seconds"}
OF_COMMAND = {
    *("command", "folder", "environment", "stdin", "output", "sandbox", "network", "memory")
}
KINDS: Mapping[str, Callable[[Mapping[str, Any], Tool, Box], Tool]] = {
    "command": command,
    "http": http,
}


def described(data: Mapping[str, Any], box: Box) -> tuple[Tool, ...]:
    """The tools of a file that has them under `tool`.

    Raises:
        ToolFileError: names the tool and says what is wrong with it.
    """
    for key in data:
        if key != "tool":
            raise ToolFileError(f"{key!r} is not known beside the tools, which are under 'tool'.")
    made = [_tool(item, number, box) for number, item in enumerate(data["tool"])]
    for number, one in enumerate(made):
        if one.name in {other.name for other in made[:number]}:
            raise ToolFileError(f"There are two tools named {one.name!r}.")
    return tuple(made)


def _tool(item: Any, number: int, box: Box) -> Tool:
    if not isinstance(item, Mapping):
        raise ToolFileError(f"The tool at /tool/{number} is not a table.")
    name = item.get("name")
    if not isinstance(name, str) or not name:
        raise ToolFileError(f"The tool at /tool/{number} has no name.")
    if not name.isprintable():
        raise ToolFileError(
            f"The tool at /tool/{number} has a name that cannot be shown: {name!r}."
        )
    try:
        kinds = [kind for kind in KINDS if kind in item]
        if len(kinds) != 1:
            raise ToolFileError("it needs either 'command' or 'http'.")
        _check_keys(item, COMMON | (OF_COMMAND if kinds == ["command"] else {"http"}))
        return KINDS[kinds[0]](item, _base(item, name, kinds[0]), box)
    except ToolFileError as error:
        raise ToolFileError(f"Tool {name!r}: {error}") from error


def _check_keys(item: Mapping[str, Any], known: Collection[str]) -> None:
    for key in item:
        if key not in known:
            raise ToolFileError(f"{key!r} is not known; known are {', '.join(sorted(known))}.")


def _base(item: Mapping[str, Any], name: str, kind: str) -> Tool:
    description = item.get("description", "")
    if not isinstance(description, str):
        raise ToolFileError("its description is not text.")
    seconds = item.get("seconds", 30)
    if not isinstance(seconds, (int, float)) or not 0 < seconds <= MOST_SECONDS:
        raise ToolFileError(f"'seconds' is a number up to {MOST_SECONDS}.")
    usual = "network" if kind == "http" else "execute"
    return Tool(
        name,
        description,
        _parameters(item.get("parameters", {})),
        _effect(item.get("effect", usual), kind),
        seconds=float(seconds),
    )


def _effect(said: Any, kind: str) -> Effect:
    if kind == "http" and said != "network":
        raise ToolFileError("the effect of a request is 'network'.")
    try:
        return Effect(said)
    except ValueError as error:
        names = ", ".join(effect.value for effect in Effect)
        raise ToolFileError(f"the effect {said!r} is none of {names}.") from error


def _parameters(said: Any) -> dict[str, Any]:
    """A JSON Schema as it is; else each parameter by its name, required where it has no default."""
    if not isinstance(said, Mapping):
        raise ToolFileError("its parameters are not a table.")
    try:
        json.dumps(said, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ToolFileError(f"its parameters are not JSON: {error}.") from error
    if said.get("type") == "object" or "properties" in said:
        if not isinstance(said.get("properties", {}), Mapping):
            raise ToolFileError("its properties are not a table.")
        return dict(said)
    for name, schema in said.items():
        if not isinstance(schema, Mapping):
            raise ToolFileError(f"the parameter {name!r} is not a JSON Schema.")
    required = [name for name, one in said.items() if not one.get("optional", "default" in one)]
    plain = {
        name: {key: value for key, value in one.items() if key != "optional"}
        for name, one in said.items()
    }
    return {"type": "object", "properties": plain, "required": required}


def told_kind(data: Mapping[str, Any]) -> tuple[Kind, str]:
    """Of which kind the tools of a file are, and all that each would do."""
    kind: Kind = "command" if any("command" in item for item in data["tool"]) else "http"
    return kind, "\n".join(line for item in data["tool"] for line in _does(item))


def _does(item: Mapping[str, Any]) -> Iterator[str]:
    """What a tool does, whole: where it runs, what it sees, which hosts it asks."""
    if "command" in item:
        said, does, usual = item, template(item), "execute"
    else:
        said, usual = item["http"], "network"
        does = f"{said.get('method', 'GET')} {said['url']}"
    yield f"{item['name']} ({item.get('effect', usual)}): {does}"
    for key, value in said.items():
        if key not in {*COMMON, "command", "method", "url"}:
            yield f"  {key}: {json.dumps(value, ensure_ascii=False, default=str)}"


def sourced(tools: tuple[Tool, ...], source: str, place: str) -> tuple[Tool, ...]:
    """The tools with the name of their source, and the file that it is."""
    return tuple(replace(tool, source=source, place=place) for tool in tools)
