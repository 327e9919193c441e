"""Read mcp.json in the formats of Claude Desktop, VS Code, Zed and OpenCode."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ... import user_file
from ...errors import ToolFileError, UsageError
from ...schema.validation_messages import cut, short
from ...tool_definition import json_type
from ..variables import VARIABLE, check_variables, other_form

SERVER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,63}")
DEFAULT_TIMEOUT_S = 60.0
"""Default time limit of a call."""
DEFAULT_START_TIMEOUT_S = 90.0
"""Default time limit of a server's start; npx may have to download it first."""
MAX_TIMEOUT_S = 3600
MAX_SHOWN_CHARS = 60


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """One server of mcp.json."""

    name: str
    command: str = ""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = DEFAULT_TIMEOUT_S
    start_timeout_s: float = DEFAULT_START_TIMEOUT_S
    disabled: bool = False
    allowed: tuple[str, ...] = ("*",)
    """Patterns of the tools that may be offered."""
    unknown_keys: tuple[str, ...] = ()
    """Keys that are not supported; they are reported."""
    notices: tuple[str, ...] = ()
    """Notices about texts that only look like a variable."""
    fault: str = ""
    """Why the server cannot be started, as a sentence; "" if it can."""

    @property
    def command_line(self) -> str:
        """Return the command line or the URL."""
        return self.url or " ".join((self.command, *self.args))

    def allows(self, tool: str) -> bool:
        """Return whether `allowedTools` allows this tool."""
        return any(fnmatchcase(tool, pattern) for pattern in self.allowed)


def load_servers(path: Path) -> tuple[ServerConfig, ...]:
    """Return the servers in the mcp.json at `path`; () if there is no file.

    An error in one server's entry is its `fault`, and does not affect the others.

    Raises:
        ToolFileError: the file cannot be read or has no object of servers.
    """
    try:
        text = without_comments(user_file.read_text(path))
        data = user_file.parse_json(text, str(path))
    except user_file.FileMissing:
        return ()
    except UsageError as error:
        raise ToolFileError(str(error)) from error
    servers: dict[str, Any] = {}
    for name, item in _entries(data, path):
        if name in servers and servers[name] != item:
            raise ToolFileError(f"{path} has two different servers named {name!r}.")
        servers[name] = item
    return tuple(parse_server(name, item) for name, item in servers.items())


def _entries(data: Any, path: Path) -> list[tuple[str, Any]]:
    """Return the entries under every key that names servers."""
    lists: list[Any] = []
    if isinstance(data, dict):
        lists = [data.get(key) for key in SERVER_KEYS]
        nested = data.get("mcp")
        if isinstance(nested, dict):
            lists += [nested[key] for key in SERVER_KEYS if key in nested] or [nested]
    found = [servers for servers in lists if servers is not None]
    if not found or not all(isinstance(servers, dict) for servers in found):
        keys = f"; its keys are {', '.join(data)}" if isinstance(data, dict) and data else ""
        raise ToolFileError(f'{path} has no object "mcpServers" or "servers"{keys}.')
    return [entry for servers in found for entry in servers.items()]


SERVER_KEYS = ("mcpServers", "servers", "context_servers")
"""Where Claude Desktop and others, VS Code, and Zed name servers; OpenCode does in "mcp"."""
COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
TRAILING_COMMA = re.compile(r'"(?:[^"\\]|\\.)*"|,(?=\s*[}\]])', re.DOTALL)


def without_comments(text: str) -> str:
    """Return JSON with comments and trailing commas as spaces, so that positions stay the same."""

    def blank(match: re.Match[str]) -> str:
        found = match[0]
        return found if found.startswith('"') else re.sub(r"[^\n]", " ", found)

    return TRAILING_COMMA.sub(blank, COMMENT.sub(blank, text))


def parse_server(name: str, item: Any) -> ServerConfig:
    """Return one server; an error in its entry is its `fault`."""
    try:
        return _parse_server(name, item)
    except ToolFileError as error:
        return ServerConfig(name, disabled=_is_disabled(item), fault=str(error))


def _is_disabled(item: Any) -> bool:
    """Return whether an entry with an error is disabled, so that its error does not matter."""
    if not isinstance(item, dict):
        return False
    said = [item.get("disabled"), *(not item[key] for key in ENABLED_KEYS & item.keys())]
    return True in said and False not in said


def _parse_server(name: str, item: Any) -> ServerConfig:
    if not SERVER_NAME.fullmatch(name):
        raise ToolFileError(
            "The name must have 1 to 64 letters, digits, spaces, dots, dashes and underscores, "
            "and begin with a letter or a digit."
        )
    if not isinstance(item, dict):
        raise ToolFileError("The entry is not a JSON object.")
    entry = _usual_keys(item)
    known = {key: entry[key] for key in entry if key in KEY_CHECKS}
    for key, value in known.items():
        fits, expected = KEY_CHECKS[key]
        if not fits(value):
            raise ToolFileError(f"{key} must be {expected}{_but_is(value)}.")
    if ("command" in known) == ("url" in known):
        raise ToolFileError(
            f"Exactly one of command and url is required; the keys are {', '.join(item) or 'none'}."
        )
    _check_transport(known)
    notices = (*_check_placeholders(known), *_useless_keys(known))
    return ServerConfig(
        name,
        command=known.get("command", ""),
        args=tuple(known.get("args", ())),
        env=known.get("env", {}),
        cwd=known.get("cwd", ""),
        url=known.get("url", ""),
        headers=known.get("headers", {}),
        timeout_s=float(known.get("timeout", DEFAULT_TIMEOUT_S)),
        start_timeout_s=float(known.get("startTimeout", DEFAULT_START_TIMEOUT_S)),
        disabled=known.get("disabled", False),
        allowed=tuple(known.get("allowedTools", ("*",))),
        unknown_keys=tuple(sorted(entry.keys() - KEY_CHECKS.keys())),
        notices=notices,
    )


def _but_is(value: Any) -> str:
    """Return what is wrong with a value; those in an object may be secret and are not shown."""
    if not isinstance(value, dict):
        return (
            f", not {repr(cut(value, MAX_SHOWN_CHARS)) if isinstance(value, str) else short(value)}"
        )
    wrong = (name for name, text in value.items() if not isinstance(text, str) or "\0" in text)
    for name in wrong:
        return f"; {name!r} is {json_type(value[name])}"
    invalid = next((name for name in value if not _variable_name(name)), "")
    return f"; {invalid!r} is not a valid name"


def _check_transport(known: Mapping[str, Any]) -> None:
    kind = known.get("type")
    if kind == "sse":
        raise ToolFileError("The transport sse is not supported; use streamable HTTP.")
    if kind is not None and (kind in PROCESS_TRANSPORTS) != ("command" in known):
        needed, given = ("command", "url") if kind in PROCESS_TRANSPORTS else ("url", "command")
        raise ToolFileError(f"The type {kind} needs {needed}, but the entry has {given}.")


def _useless_keys(known: Mapping[str, Any]) -> Iterator[str]:
    """Yield a notice about each key that a server of this transport does not use."""
    given, useless = ("command", ("headers",)) if "command" in known else ("url", PROCESS_KEYS)
    for key in useless:
        if known.get(key):
            yield f"{key} has no effect beside {given}."


def _usual_keys(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry with the keys and forms of most programs.

    Raises:
        ToolFileError: a value is given twice, in two ways that differ.
    """
    entry: dict[str, Any] = {}
    for key, value in item.items():
        usual = OTHER_NAMES.get(key, key)
        if usual in entry and entry[usual] != value:
            raise ToolFileError(f"{key} and {usual} differ; remove one.")
        entry[usual] = value
    _read_enabled(entry)
    if isinstance(entry.get("url"), str):
        entry["url"] = entry["url"].strip()
    command = entry.get("command")
    if isinstance(command, list) and command:
        entry["command"] = command[0]
        entry["args"] = [*command[1:], *entry.get("args", [])]
    if isinstance(entry.get("args"), list):
        entry["args"] = [_text_of(word) for word in entry["args"]]
    for key in ("env", "headers"):
        if isinstance(entry.get(key), dict):
            entry[key] = {name: _text_of(value) for name, value in entry[key].items()}
    return {key: value for key, value in entry.items() if value is not None}


def _read_enabled(entry: dict[str, Any]) -> None:
    """Replace the opposites of `disabled`."""
    for key in ENABLED_KEYS & entry.keys():
        enabled = entry.pop(key)
        if not isinstance(enabled, bool):
            raise ToolFileError(f"{key} must be true or false{_but_is(enabled)}.")
        if entry.setdefault("disabled", not enabled) is enabled:
            raise ToolFileError(f"{key} and disabled contradict each other; remove one.")


def _text_of(value: Any) -> Any:
    """Return a number or boolean as it is written in JSON, and any other value as it is."""
    return json.dumps(value) if isinstance(value, int | float) else value


def _check_placeholders(known: Mapping[str, Any]) -> Iterator[str]:
    """Yield a notice about each text that only looks like a variable.

    Raises:
        ToolFileError: a placeholder is not a variable.
    """
    for key in ("command", "args", "env", "cwd", "url", "headers"):
        value = known.get(key, "")
        texts = value.values() if isinstance(value, dict) else value
        for text in [texts] if isinstance(texts, str) else texts:
            check_variables(text, key)
            if name := other_form(text, within=True):
                yield f"{key}: {text} is passed as it is; write ${{{name}}} for the variable."


ENABLED_KEYS = frozenset(["enabled", "isActive", "active"])
"""The opposite of `disabled` in other programs."""
OTHER_NAMES = {
    "environment": "env",
    "serverUrl": "url",
    "httpUrl": "url",
    "workingDirectory": "cwd",
    "transport": "type",
    "transportType": "type",
}
"""What other programs call a key."""


def _text(value: object) -> bool:
    return isinstance(value, str) and value != "" and "\0" not in value


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) and "\0" not in v for v in value)


def _pairs(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(v, str) and "\0" not in v for v in value.values()
    )


def _variable_name(name: str) -> bool:
    return name != "" and "=" not in name and "\0" not in name


def _environment(value: object) -> bool:
    return isinstance(value, dict) and _pairs(value) and all(map(_variable_name, value))


def _seconds(value: object) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and 0 < value <= MAX_TIMEOUT_S
    )


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


PROCESS_TRANSPORTS = ("stdio", "local")
PROCESS_KEYS = ("args", "env", "cwd")
TRANSPORTS = (
    *(*PROCESS_TRANSPORTS, "http", "remote", "sse"),
    *("streamable-http", "streamableHttp", "streamable_http"),
)


def _transport(value: object) -> bool:
    return isinstance(value, str) and value in TRANSPORTS


_LIST_OF_TEXTS = "a list of strings"
_TEXTS_BY_NAME = "an object of strings"
_SECONDS = f"a number of seconds above 0, at most {MAX_TIMEOUT_S}"
KEY_CHECKS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "type": (_transport, f"one of {', '.join(TRANSPORTS)}"),
    "command": (_text, "a string that is not empty"),
    "args": (_texts, _LIST_OF_TEXTS),
    "env": (_environment, "an object of strings by the names of variables"),
    "cwd": (_text, "a string that is not empty"),
    "url": (_url, "a URL that begins with http:// or https://"),
    "headers": (_pairs, _TEXTS_BY_NAME),
    "timeout": (_seconds, _SECONDS),
    "startTimeout": (_seconds, _SECONDS),
    "disabled": (_flag, "true or false"),
    "allowedTools": (_texts, _LIST_OF_TEXTS),
}
"""For each key whether a value is valid, and what is valid in words."""
