"""Tools that send an HTTP request: a URL with placeholders, to hosts that the file names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from ... import toml_values
from ...errors import ToolError, ToolFileError
from ...types import Tool
from ..http import client, html_text
from ..http.client import FetchPolicy, Request
from ..python.invoke import with_timeout
from ..sandbox.config import SandboxConfig
from ..variables import check_variables
from .placeholders import (
    argument_values,
    check_placeholders,
    fill,
    fill_with_variables,
    placeholder_names,
    to_text,
)

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")
HTTP_KEYS = {"method", "url", "query", "headers", "body", "hosts", "private"}
MAX_ERROR_CHARS = 2_000
"""How much of an error response the model reads."""
EXTRA_TIMEOUT_S = 1.0
"""How much longer than the request's own timeout a call may take; resolving a host can hang."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTemplate:
    """A request with placeholders."""

    method: str
    url: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    """JSON with placeholders in its strings; None means no body."""
    properties: Mapping[str, Any]
    """The properties of the tool's JSON Schema."""
    policy: FetchPolicy

    def request(self, arguments: Mapping[str, Any]) -> Request:
        """Return the request for a call.

        Raises:
            ToolError: an argument would lead to another URL, or a variable is not set.
        """
        values = argument_values(arguments, self.properties)
        headers = {name: _fill_header(name, text, values) for name, text in self.headers.items()}
        body = None
        if self.body is not None:
            body = json.dumps(_fill_body(self.body, values), default=str).encode()
            headers.setdefault("Content-Type", "application/json")
        return Request(self._fill_url(values), self.method, headers, body)

    def preview(self, **arguments: Any) -> str:
        """Return the method, the URL and the body, but no headers: they can contain secrets."""
        values = argument_values(arguments, self.properties)
        lines = [f"{self.method} {client.ascii_url(self._fill_url(values))}"]
        if self.body is not None:
            body = _fill_body(self.body, values)
            lines.append(json.dumps(body, ensure_ascii=False, default=str))
        return "\n".join(lines)

    def run(self, **arguments: Any) -> str:
        """Send the request and return the response as text.

        Raises:
            ToolError: the request is not allowed or fails, or the status is an error.
        """
        response = client.fetch(self.request(arguments), self.policy)
        text = html_text.response_text(response)
        if response.status >= 300:
            start = text[:MAX_ERROR_CHARS]
            raise ToolError(f"{response.url} returned status {response.status}.\n{start}")
        return text

    def _fill_url(self, values: Mapping[str, Any]) -> str:
        names = list(placeholder_names(self.url))
        if missing := [name for name in names if name not in values]:
            raise ToolError(f"The URL needs a value for {', '.join(missing)}.")
        url = fill(self.url, {name: _path_segment(values[name]) for name in names})
        pairs = [
            (key, fill(text, {name: to_text(values[name]) for name in placeholder_names(text)}))
            for key, text in self.query.items()
            if _has_values(text, values)
        ]
        if pairs:
            url += ("&" if urlsplit(url).query else "?") + urlencode(pairs, errors="replace")
        client.check_url(url, self.policy)
        return url


def http_tool(table: Mapping[str, Any], tool: Tool, _sandbox: SandboxConfig) -> Tool:
    """Return the tool that a table with the key `http` declares.

    Raises:
        UsageError: a value in the table is invalid.
    """
    http = toml_values.subtable(table, "http", f"Tool {tool.name!r}")
    where = f"Tool {tool.name!r}, http"
    toml_values.check_keys(http, HTTP_KEYS, where)
    template = RequestTemplate(
        method=toml_values.one_of(http, "method", where, METHODS, "GET"),
        url=toml_values.text(http, "url", where),
        query=toml_values.text_table(http, "query", where),
        headers=toml_values.text_table(http, "headers", where),
        body=http.get("body"),
        properties=tool.parameters.get("properties", {}),
        policy=FetchPolicy(
            _allowed_hosts(http, where),
            allow_private=toml_values.flag(http, "private", where),
            timeout=tool.timeout,
        ),
    )
    texts = {"url": template.url, **template.query, **template.headers}
    for key, text in template.headers.items():
        check_variables(text, f"{where}, headers, {key}")
    for key, text in (*texts.items(), *(("body", text) for text in _strings(template.body))):
        check_placeholders(text, template.properties, f"{where}, {key}")
    run = with_timeout(template.run, tool.timeout + EXTRA_TIMEOUT_S)
    return replace(tool, run=run, preview=template.preview, public=_is_public(template))


def _is_public(template: RequestTemplate) -> bool:
    """Return whether a request carries nothing that identifies the user, to a public address."""
    texts = [template.url, *template.query.values(), *_strings(template.body)]
    has_secret = any("${" in text for text in texts)
    return not (template.headers or template.policy.allow_private or has_secret)


def _allowed_hosts(http: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """Return the hosts that may be contacted: those in `hosts`, or the one in the URL."""
    url = toml_values.text(http, "url", where)
    try:
        host = urlsplit(url.replace("{", "").replace("}", "")).hostname
        scheme, netloc = urlsplit(url)[:2]
    except ValueError as error:
        raise ToolFileError(f"{where}: url is invalid: {error}.") from error
    if not host or scheme not in client.DEFAULT_PORTS:
        raise toml_values.wrong_value(where, "url", "a URL with http or https", url)
    if "hosts" in http:
        return toml_values.texts(http, "hosts", where)
    if list(placeholder_names(netloc)):
        raise ToolFileError(
            f"{where}: The host in url has a placeholder, so list the allowed hosts in hosts."
        )
    return (host,)


def _path_segment(value: Any) -> str:
    """Return a value as one segment of a path: without slashes, and neither `.` nor `..`."""
    text = to_text(value)
    if text in {".", ".."}:
        raise ToolError(f"{text!r} is not allowed in a URL: it would lead to another path.")
    return quote(text, safe="", errors="replace")


def _fill_header(name: str, template: str, values: Mapping[str, Any]) -> str:
    texts = {key: to_text(values.get(key, "")) for key in placeholder_names(template)}
    value = fill_with_variables(template, texts)
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ToolError(f"The header {name} must not contain a line break or control character.")
    return value


def _fill_body(template: Any, values: Mapping[str, Any]) -> Any:
    """Fill the strings of a body. Entries whose placeholders have no value are left out.

    A string that is one placeholder becomes the value itself, which need not be a string.
    """
    if isinstance(template, Mapping):
        return {
            key: _fill_body(item, values)
            for key, item in template.items()
            if _has_values(item, values)
        }
    if isinstance(template, list):
        return [_fill_body(item, values) for item in template if _has_values(item, values)]
    if not isinstance(template, str):
        return template
    names = list(placeholder_names(template))
    if names and template == f"{{{names[0]}}}":
        return values.get(names[0])
    return fill(template, {name: to_text(values.get(name, "")) for name in names})


def _has_values(template: Any, values: Mapping[str, Any]) -> bool:
    """Return whether all placeholders of a string have a value."""
    if not isinstance(template, str):
        return True
    return all(name in values for name in placeholder_names(template))


def _strings(body: Any) -> Iterator[str]:
    """Yield all strings in a body, except keys."""
    if isinstance(body, str):
        yield body
    elif isinstance(body, (list, Mapping)):
        for item in body.values() if isinstance(body, Mapping) else body:
            yield from _strings(item)
