"""What mcp.json says of servers, in the form that other programs read too."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ...errors import ToolFileError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,63}")
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
SECONDS = 60.0
"""How long a call may take where the server's entry does not say."""
START_SECONDS = 90.0
"""How long a server may take until it has told its tools; npx may have to fetch it first."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One server, as its user wrote it down."""

    name: str
    command: str = ""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = SECONDS
    start_seconds: float = START_SECONDS
    disabled: bool = False
    allowed: tuple[str, ...] = ("*",)
    """The tools that may be offered, as patterns."""
    unknown: tuple[str, ...] = ()
    """Keys that mean nothing here."""
    fault: str = ""
    """Why it cannot be started, as a sentence."""

    @property
    def launch(self) -> str:
        """What is started, in words."""
        return self.url or " ".join((self.command, *self.args))

    def offers(self, tool: str) -> bool:
        """Whether the user lets this tool of the server be offered."""
        return any(fnmatchcase(tool, pattern) for pattern in self.allowed)


def load(path: Path) -> tuple[Entry, ...]:
    """The servers in the mcp.json at `path`; none where there is no file.

    Raises:
        ToolFileError: it cannot be read as a whole; what is wrong with one server is its fault.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ToolFileError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise ToolFileError(f"{path} is not JSON: {error}.") from error
    servers = data.get("mcpServers") if isinstance(data, dict) else None
    if not isinstance(servers, dict):
        raise ToolFileError(f'{path} has no object "mcpServers".')
    return tuple(entry(name, item) for name, item in servers.items())


def entry(name: str, item: Any) -> Entry:
    """One server; what is wrong with it is its fault, and keeps no other from running."""
    try:
        return _entry(name, item)
    except ToolFileError as error:
        return Entry(name, fault=str(error))


def _entry(name: str, item: Any) -> Entry:
    if not NAME.fullmatch(name):
        raise ToolFileError("Its name can hold letters, digits, blanks, dots and dashes only.")
    if not isinstance(item, dict):
        raise ToolFileError("It is not an object.")
    known = {key: item[key] for key in item if key in KEYS}
    for key, value in known.items():
        if not KEYS[key](value):
            raise ToolFileError(f"Its {key} cannot be {value!r}.")
    if ("command" in known) == ("url" in known):
        raise ToolFileError("It needs either a command or a url.")
    if known.get("type") == "sse":
        raise ToolFileError("Its transport sse is not spoken here; ask for streamable HTTP.")
    return Entry(
        name,
        command=known.get("command", ""),
        args=tuple(known.get("args", ())),
        env=known.get("env", {}),
        cwd=known.get("cwd", ""),
        url=known.get("url", ""),
        headers=known.get("headers", {}),
        seconds=float(known.get("timeout", SECONDS)),
        start_seconds=float(known.get("startTimeout", START_SECONDS)),
        disabled=known.get("disabled", False),
        allowed=tuple(known.get("allowedTools", ("*",))),
        unknown=tuple(sorted(item.keys() - KEYS.keys())),
    )


def _text(value: object) -> bool:
    return isinstance(value, str) and value != "" and "\0" not in value


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) and "\0" not in v for v in value)


def _pairs(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(v, str) and "\0" not in v for v in value.values()
    )


def _seconds(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= 3600


def _flag(value: object) -> bool:
    return isinstance(value, bool)


def _url(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        split = urlsplit(VARIABLE.sub("x", value))
    except ValueError:
        return False
    return split.scheme in {"http", "https"} and bool(split.hostname)


def _transport(value: object) -> bool:
    return isinstance(value, str) and value in {
        "stdio",
        "http",
        "streamable-http",
        "streamableHttp",
        "sse",
    }


KEYS: Mapping[str, Callable[[object], bool]] = {
    "type": _transport,
    "command": _text,
    "args": _texts,
    "env": _pairs,
    "cwd": _text,
    "url": _url,
    "headers": _pairs,
    "timeout": _seconds,
    "startTimeout": _seconds,
    "disabled": _flag,
    "allowedTools": _texts,
}


def filled(text: str, environment: Mapping[str, str]) -> str:
    """The text with each ${VAR} and ${VAR:-default} filled in.

    Raises:
        ToolFileError: a variable is not set.
    """

    def value(found: re.Match[str]) -> str:
        name, default = found.groups()
        if name in environment:
            return environment[name]
        if default is not None:
            return default
        raise ToolFileError(f"It wants ${{{name}}}, which is not set.")

    return VARIABLE.sub(value, text)
