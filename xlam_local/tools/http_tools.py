"""Tools that are HTTP requests: a URL with blanks, to hosts that their file names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from ..errors import ToolError, ToolFileError
from ..types import Tool
from . import page, web
from .blanks import blanks, check, filled, filled_with_variables, values, words
from .running import timed
from .sandbox import Box
from .web import Reach, Request

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")
KEYS = {"method", "url", "query", "headers", "body", "hosts", "private"}


@dataclass(frozen=True, slots=True)
class Template:
    """A request with blanks."""

    method: str
    url: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    properties: Mapping[str, Any]
    reach: Reach

    def request(self, arguments: Mapping[str, Any]) -> Request:
        """The request for a call.

        Raises:
            ToolError: an argument would lead elsewhere, or a variable is not set.
        """
        given = values(arguments, self.properties)
        body = (
            None if self.body is None else json.dumps(_body(self.body, given), default=str).encode()
        )
        headers = {name: _header(name, text, given) for name, text in self.headers.items()}
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        return Request(self._url(given), self.method, headers, body)

    def preview(self, **arguments: Any) -> str:
        """The method, the URL and the body; no header, for it may hold a secret."""
        given = values(arguments, self.properties)
        lines = [f"{self.method} {self._url(given)}"]
        if self.body is not None:
            lines.append(json.dumps(_body(self.body, given), ensure_ascii=False, default=str))
        return "\n".join(lines)

    def run(self, **arguments: Any) -> str:
        """Ask, and tell the answer as text."""
        response = web.fetch(self.request(arguments), self.reach)
        said = page.text(response)
        if response.status >= 400:
            raise ToolError(f"{response.url} answers with status {response.status}.\n{said[:2000]}")
        return said

    def _url(self, given: Mapping[str, Any]) -> str:
        lacking = [name for name in blanks(self.url) if name not in given]
        if lacking:
            raise ToolError(f"The address needs {', '.join(lacking)}.")
        url = filled(self.url, {name: _segment(given[name]) for name in blanks(self.url)})
        pairs = [
            (name, filled(text, {one: words(given[one]) for one in blanks(text)}))
            for name, text in self.query.items()
            if all(one in given for one in blanks(text))
        ]
        if pairs:
            url += ("&" if urlsplit(url).query else "?") + urlencode(pairs, errors="replace")
        web.judged(url, self.reach)
        return url


def http(item: Mapping[str, Any], tool: Tool, box: Box) -> Tool:
    """The tool that a table with `http` describes.

    Raises:
        ToolFileError: says what is wrong with it.
    """
    said = item["http"]
    if not isinstance(said, Mapping):
        raise ToolFileError("'http' is not a table.")
    for key in said:
        if key not in KEYS:
            raise ToolFileError(f"http.{key} is not known; known are {', '.join(sorted(KEYS))}.")
    properties = tool.parameters.get("properties", {})
    method = said.get("method", "GET")
    if method not in METHODS:
        raise ToolFileError(f"the method {method!r} is none of {', '.join(METHODS)}.")
    reach = Reach(_hosts(said), private=said.get("private") is True, seconds=tool.seconds)
    for one in _texts(said, "query"), _texts(said, "headers"):
        for name, text in one.items():
            check(text, properties, f"http, {name}")
    check(said["url"], properties, "http.url")
    for text in _within(said.get("body")):
        check(text, properties, "http.body")
    made = Template(
        method,
        said["url"],
        _texts(said, "query"),
        _texts(said, "headers"),
        said.get("body"),
        properties,
        reach,
    )
    return replace(tool, run=timed(made.run, tool.seconds + 1), preview=made.preview)


def _hosts(said: Mapping[str, Any]) -> tuple[str, ...]:
    """The hosts that may be asked: those named, else the one in the URL."""
    url, hosts = said.get("url"), said.get("hosts")
    if not isinstance(url, str):
        raise ToolFileError("http.url is not text.")
    try:
        host = urlsplit(url.replace("{", "").replace("}", "")).hostname
        scheme, place = urlsplit(url)[:2]
    except ValueError as error:
        raise ToolFileError(f"http.url is {url!r}, not an address: {error}.") from error
    if not host or scheme not in web.PORTS:
        raise ToolFileError(f"http.url is {url!r}, not an address with http or https.")
    if hosts is None:
        if list(blanks(place)):
            raise ToolFileError("http.url has a blank in its host, so 'hosts' has to name them.")
        return (host,)
    if not isinstance(hosts, list) or not hosts or not all(isinstance(one, str) for one in hosts):
        raise ToolFileError("http.hosts is not a list of hosts.")
    return tuple(hosts)


def _texts(said: Mapping[str, Any], key: str) -> dict[str, str]:
    found = said.get(key, {})
    if not isinstance(found, Mapping) or not all(isinstance(one, str) for one in found.values()):
        raise ToolFileError(f"http.{key} is not a table of texts.")
    return dict(found)


def _segment(value: Any) -> str:
    """A value as one piece of a path: no slash, no dots that lead up."""
    text = words(value)
    if text in {".", ".."}:
        raise ToolError(f"{text!r} would lead to another address.")
    return quote(text, safe="", errors="replace")


def _header(name: str, text: str, given: Mapping[str, Any]) -> str:
    known = {one: words(given.get(one, "")) for one in blanks(text)}
    value = filled_with_variables(text, known)
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ToolError(f"The header {name} cannot hold a line break.")
    return value


def _body(template: Any, given: Mapping[str, Any]) -> Any:
    """JSON with its blanks filled; a text that is all blank becomes the value itself."""
    if isinstance(template, Mapping):
        kept = {key: value for key, value in template.items() if _whole(value, given)}
        return {key: _body(value, given) for key, value in kept.items()}
    if isinstance(template, list):
        return [_body(value, given) for value in template if _whole(value, given)]
    if not isinstance(template, str):
        return template
    names = list(blanks(template))
    if names and template == f"{{{names[0]}}}":
        return given.get(names[0])
    return filled(template, {name: words(given.get(name, "")) for name in names})


def _whole(value: Any, given: Mapping[str, Any]) -> bool:
    """Whether there is a value for every blank of a text."""
    return not isinstance(value, str) or all(name in given for name in blanks(value))


def _within(template: Any) -> Iterator[str]:
    """The texts in a body."""
    if isinstance(template, str):
        yield template
    elif isinstance(template, (list, Mapping)):
        for value in template.values() if isinstance(template, Mapping) else template:
            yield from _within(value)
