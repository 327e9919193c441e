"""Where a call reaches: files and hosts, as its arguments tell."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from ..types import Effect, Tool

Real = Callable[[Path], Path | None]
"""Follows the links of a path; None where it is none."""

PATHS = re.compile(
    r"(.*_)?(path|paths|file|files|filename|filenames|folder|folders|dir|directory|directories"
    r"|source|destination|cwd|root)"
)
"""The names of arguments that are files or folders."""
URLS = re.compile(r"(.*_)?(url|urls|uri|uris|link|href|host|hostname|domain|endpoint|address)")
PATH_FORMATS = {"path", "file-path", "directory-path"}
URL_FORMATS = {"uri", "uri-reference", "iri", "hostname", "ipv4", "ipv6"}


@dataclass(frozen=True, slots=True)
class Spot:
    """A file or a folder that an argument names."""

    said: str
    real: Path | None
    """The same with its links followed; None if it is no path."""
    sure: bool
    """Whether the tool surely takes the text as we do."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host that an argument names."""

    name: str
    port: int | None
    sure: bool
    """Whether every reader of the text surely finds this host in it."""


@dataclass(frozen=True, slots=True)
class Reach:
    """All that a call names."""

    spots: tuple[Spot, ...]
    hosts: tuple[Host, ...]


def from_server(tool: Tool) -> bool:
    """Whether a tool is another program's, which says of itself what it likes."""
    return tool.source.startswith("mcp:")


def given(tool: Tool, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments, and the default of each that is left out."""
    return {
        **{
            name: schema["default"]
            for name, schema in properties(tool).items()
            if isinstance(schema, Mapping) and "default" in schema
        },
        **arguments,
    }


def properties(tool: Tool) -> Mapping[str, Any]:
    """The schemas of a tool's arguments."""
    found = tool.parameters.get("properties", {})
    return found if isinstance(found, Mapping) else {}


def reach(tool: Tool, arguments: Mapping[str, Any], folder: Path, real: Real) -> Reach:
    """What a call names, by the names and formats of its arguments."""
    spots: dict[str, Spot] = {}
    hosts: dict[str, Host] = {}
    for name, text in _texts(tool, arguments):
        if name == "path":
            spots[text] = spot(text, tool, folder, real)
        elif name == "url" or "://" in text:
            hosts[text] = host(text)
    if not spots and tool.effect is Effect.READ and not tool.pure and not from_server(tool):
        # A search names no folder and reads the working folder.
        spots[""] = Spot("", real(folder), sure=True)
    return Reach(tuple(spots.values()), tuple(hosts.values()))


def texts(value: Any) -> Iterator[str]:
    """Every text within a value, keys too."""
    match value:
        case str():
            yield value
        case Mapping():
            for key, item in value.items():
                yield key
                yield from texts(item)
        case list() | tuple():
            for item in value:
                yield from texts(item)


def _texts(tool: Tool, arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each text in the arguments, and what it is: path, url or text."""
    for name, value in given(tool, arguments).items():
        yield from _kinds(kind(name, tool), value)


def kind(name: str, tool: Tool) -> str:
    """What an argument is: path, url or text."""
    schema = properties(tool).get(name)
    return _kind_of(name, schema if isinstance(schema, Mapping) else {})


def _kinds(kind: str, value: Any) -> Iterator[tuple[str, str]]:
    match value:
        case str():
            yield kind, value
        case Mapping():
            for key, item in value.items():
                inner = _kind_of(key, {})
                yield from _kinds(kind if inner == "text" else inner, item)
        case list() | tuple():
            for item in value:
                yield from _kinds(kind, item)


def _kind_of(name: str, schema: Mapping[str, Any]) -> str:
    items = schema.get("items")
    formats = {schema.get("format"), items.get("format") if isinstance(items, Mapping) else None}
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).replace("-", "_").lower()
    if formats & PATH_FORMATS or PATHS.fullmatch(snake):
        return "path"
    return "url" if formats & URL_FORMATS or URLS.fullmatch(snake) else "text"


def spot(text: str, tool: Tool, folder: Path, real: Real) -> Spot:
    """A path in a call, as the tool finds it."""
    found = real(folder / text)
    if found is None:
        return Spot(text, None, sure=False)
    if tool.effect is not Effect.EXECUTE and not from_server(tool):
        # A tool of the user's has our folder, and may make something else of ~ or $.
        return Spot(text, found, sure=not (tool.place and _EXPANDED.search(text)))
    # Another process has another /proc, may have another working folder, and may expand ~ or $.
    plain = re.search(r"[~$%*?\\\x00-\x1f]|://", text) is None
    stays = PurePosixPath(text).is_absolute() and not re.match(r"/+(proc|dev|sys)(/|$)", text)
    return Spot(text, found, sure=plain and stays and ".." not in PurePosixPath(text).parts)


_EXPANDED = re.compile(r"^~|[$%]|://")
_URL = re.compile(
    r"(?:https?://)(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d{1,5}))?"
    r"(?:[/?#][!-\[\]-~]*)?",
    re.IGNORECASE,
)


def host(text: str) -> Host:
    """The host that a text names: a URL, or a host alone."""
    whole = text if "://" in text else f"http://{text}"
    if found := _URL.fullmatch(whole):
        port, said = found["port"], found["host"].rstrip(".").lower()
        name = canonical(said)
        # Some readers take 012.0.0.1 for 10.0.0.1, and some for 12.0.0.1.
        return Host(name, int(port) if port else None, sure=name == said or not _number(said))
    try:
        split = urlsplit(whole.strip().replace("\\", "/"))
        return Host(canonical(split.hostname or ""), split.port, sure=False)
    except ValueError:
        return Host("", None, sure=False)


def canonical(name: str) -> str:
    """One spelling for each host: addresses in their usual form, names in lower case."""
    name = unicodedata.normalize("NFKC", name).strip("[]").rstrip(".").lower()
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return _number(name) or _ascii(name)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _number(name: str) -> str:
    """The address that a system reads in numbers like 127.1, 0x7f000001 or 017700000001."""
    parts = name.split(".")
    if not (1 <= len(parts) <= 4) or not all(_NUMBER.fullmatch(part) for part in parts):
        return ""
    *head, tail = (_value(part) for part in parts)
    width = 8 * (4 - len(head))
    if any(part > 255 for part in head) or tail >= 1 << width:
        return ""
    total = tail
    for place, part in enumerate(head):
        total |= part << (24 - 8 * place)
    return str(ipaddress.IPv4Address(total))


_NUMBER = re.compile(r"0x[0-9a-f]{1,16}|[0-9]{1,16}")


def _value(part: str) -> int:
    if part.startswith("0x"):
        return int(part, 16)
    octal = len(part) > 1 and part.startswith("0") and "8" not in part and "9" not in part
    return int(part, 8 if octal else 10)


def _ascii(name: str) -> str:
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return name


def hosted(pattern: str, one: Host) -> bool:
    """Whether a pattern fits a host: a name, *.name for those under it, an address or a range."""
    name, port = _port(pattern)
    if port is not None and port != one.port:
        return False
    if name == "*":
        return True
    if name.startswith("*."):
        return one.name.endswith("." + canonical(name[2:]))
    if "/" in name:
        return _in_range(name, one.name)
    return canonical(name) == one.name


def _port(pattern: str) -> tuple[str, int | None]:
    name, colon, port = pattern.rpartition(":")
    if colon and port.isdecimal() and (name.endswith("]") or ":" not in name):
        return name, int(port)
    return pattern, None


def _in_range(wide: str, name: str) -> bool:
    try:
        return ipaddress.ip_address(name) in ipaddress.ip_network(wide, strict=False)
    except ValueError:
        return False
