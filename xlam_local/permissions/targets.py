"""Find the files and hosts that a call's arguments name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from ..types import Effect, Tool
from .hosts import HostTarget, host_target

BUILT_IN = "built-in"
"""The source of our own tools."""
ResolvePath = Callable[[Path], Path | None]
"""Return a path with its links resolved, or None if it is not a valid path."""
ArgumentKind = Literal["path", "url", "text"]

PATH_ARGUMENT = re.compile(
    r"(.*_)?(path|paths|file|files|filename|filenames|folder|folders|dir|directory|directories"
    r"|source|destination|cwd|root)"
)
"""Names of arguments that are files or folders."""
URL_ARGUMENT = re.compile(
    r"(.*_)?(url|urls|uri|uris|link|href|host|hostname|domain|endpoint|address)"
)
"""Names of arguments that are URLs or hosts."""
PATH_FORMATS = {"path", "file-path", "directory-path"}
URL_FORMATS = {"uri", "uri-reference", "iri", "hostname", "ipv4", "ipv6"}
_EXPANDED_BY_TOOLS = re.compile("(?i)^[-~@]|[$%\\\\\uff0e\uff0f\uff3c\u2024\u2025]|:/|^file:")
_EXPANDED_BY_PROGRAMS = re.compile(r"[~$%*?\\\x00-\x1f]|://")
_PROCESS_PATHS = re.compile(r"/+(proc|dev|sys)(/|$)")
"""Paths that lead elsewhere in another process."""


@dataclass(frozen=True, slots=True)
class PathTarget:
    """A file or folder that an argument names."""

    text: str
    """As written in the argument."""
    resolved: Path | None
    """With links resolved; None if the text is not a valid path."""
    certain: bool
    """Whether the tool is certain to open this path."""


@dataclass(frozen=True, slots=True)
class Targets:
    """All files and hosts that a call names."""

    paths: tuple[PathTarget, ...]
    hosts: tuple[HostTarget, ...]


def is_mcp_tool(tool: Tool) -> bool:
    """Return whether an MCP server provides a tool; its name and effect are the server's claims."""
    return tool.source.startswith("mcp:")


def find_targets(
    tool: Tool, arguments: Mapping[str, Any], cwd: Path, resolve: ResolvePath
) -> Targets:
    """Return the files and hosts of a call, found by argument names and JSON Schema formats."""
    cwd = Path(tool.cwd) if tool.cwd else cwd
    paths: dict[str, PathTarget] = {}
    hosts: dict[str, HostTarget] = {}
    for name, value in with_defaults(tool, arguments).items():
        for kind, text in _classify(argument_kind(name, tool), value):
            if kind == "path":
                paths[text] = path_target(text, tool, cwd, resolve)
            elif kind == "url" or "://" in text:
                hosts[text] = host_target(text)
    if not paths and _reads_cwd(tool):
        paths[""] = PathTarget("", resolve(cwd), certain=True)
    return Targets(tuple(paths.values()), tuple(hosts.values()))


def with_defaults(tool: Tool, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call with the schema's default for each one left out."""
    schemas = argument_schemas(tool).items()
    defaults = {
        name: schema["default"]
        for name, schema in schemas
        if isinstance(schema, Mapping) and "default" in schema
    }
    return {**defaults, **arguments}


def argument_schemas(tool: Tool) -> Mapping[str, Any]:
    """Return the JSON Schemas of a tool's arguments by name."""
    properties = tool.parameters.get("properties", {})
    return properties if isinstance(properties, Mapping) else {}


def argument_kind(name: str, tool: Tool) -> ArgumentKind:
    """Return whether an argument of a tool is a path, a URL or other text."""
    schema = argument_schemas(tool).get(name)
    return _kind(name, schema if isinstance(schema, Mapping) else {})


def path_target(text: str, tool: Tool, cwd: Path, resolve: ResolvePath) -> PathTarget:
    """Return a path in a call as the tool finds it."""
    resolved = resolve((Path(tool.cwd) if tool.cwd else cwd) / text)
    if resolved is None:
        return PathTarget(text, None, certain=False)
    if tool.effect is not Effect.EXECUTE and not is_mcp_tool(tool):
        # Such a tool has our working folder; one from a file may expand ~, $ or %.
        certain = not (tool.file and _EXPANDED_BY_TOOLS.search(text))
        return PathTarget(text, resolved, certain)
    # Another process can have another working folder and another /proc, and can expand more.
    certain = (
        PurePosixPath(text).is_absolute()
        and ".." not in PurePosixPath(text).parts
        and not _EXPANDED_BY_PROGRAMS.search(text)
        and not _PROCESS_PATHS.match(text)
    )
    return PathTarget(text, resolved, certain)


def strings_in(value: Any) -> Iterator[str]:
    """Yield every string within a JSON value, including keys."""
    match value:
        case str():
            yield value
        case Mapping():
            for key, item in value.items():
                yield key
                yield from strings_in(item)
        case list() | tuple():
            for item in value:
                yield from strings_in(item)


def _reads_cwd(tool: Tool) -> bool:
    """Return whether a tool reads the working folder if no argument names a path, as a search."""
    return tool.effect is Effect.READ and not tool.deterministic and not is_mcp_tool(tool)


def _classify(kind: ArgumentKind, value: Any) -> Iterator[tuple[ArgumentKind, str]]:
    """Yield the strings within a value with their kinds; keys can name a more specific kind."""
    match value:
        case str():
            yield kind, value
        case Mapping():
            for key, item in value.items():
                inner = _kind(key, {})
                yield from _classify(kind if inner == "text" else inner, item)
        case list() | tuple():
            for item in value:
                yield from _classify(kind, item)


def _kind(name: str, schema: Mapping[str, Any]) -> ArgumentKind:
    items = schema.get("items")
    schemas = (schema, items) if isinstance(items, Mapping) else (schema,)
    formats = {str(one.get("format")) for one in schemas}
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).replace("-", "_").lower()
    if formats & PATH_FORMATS or PATH_ARGUMENT.fullmatch(snake):
        return "path"
    return "url" if formats & URL_FORMATS or URL_ARGUMENT.fullmatch(snake) else "text"
