from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.http_host import HttpHost, http_host, respond
from tests.fakes.tool_calls import preview, run
from xlam_local.errors import ToolError, ToolFileError
from xlam_local.tools.declarative.loader import load_tools
from xlam_local.tools.sandbox.config import SandboxConfig
from xlam_local.types import Effect, Tool

TEXT = {"type": "string"}


@pytest.fixture
def host() -> Iterator[HttpHost]:
    with http_host() as running:
        yield running


def load(http: Any, parameters: Mapping[str, Any], **keys: Any) -> Tool:
    table = {"name": "f", "http": http, "parameters": parameters, **keys}
    (tool,) = load_tools({"tool": [table]}, SandboxConfig(Path()))
    return tool


def test_a_call_becomes_a_request(host: HttpHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "s3cr3t")
    host.responders["/v1/New%20York%2F..%2F"] = respond(b'{"t": 3}', "application/json")
    http = {
        "method": "POST",
        "url": host.url + "/v1/{city}",
        "query": {"units": "{units}", "day": "{day}"},
        "headers": {"Authorization": "Bearer ${KEY}", "X-City": "in {units}"},
        "body": {"city": "{city}", "n": "{n}", "note": "n is {n}", "day": "{day}", "fix": [1]},
        "private": True,
    }
    optional = {**TEXT, "optional": True}
    parameters = {"city": TEXT, "units": TEXT, "n": {"type": "integer"}, "day": optional}
    tool = load(http, parameters)
    assert run(tool, city="New York/../", units="a&b", n=3) == '{"t": 3}'
    (request,) = host.requests
    assert request.method == "POST"
    assert request.path == "/v1/New%20York%2F..%2F?units=a%26b"
    assert request.headers["Authorization"] == "Bearer s3cr3t"
    assert request.headers["X-City"] == "in a&b"
    body = {"city": "New York/../", "n": 3, "note": "n is 3", "fix": [1]}
    assert json.loads(request.body) == body
    assert tool.effect is Effect.NETWORK
    shown = preview(tool, city="x", units="y", n=1)
    assert shown.startswith(f"POST {host.url}/v1/x?units=y\n")
    assert "s3cr3t" not in shown


def test_entries_of_a_body_without_a_value_are_left_out(host: HttpHost) -> None:
    host.responders["/"] = respond(b"ok")
    day = {**TEXT, "optional": True}
    for body, sent in (
        ({"a": ["{day}", "x"], "on": date(2026, 1, 2)}, {"a": ["x"], "on": "2026-01-02"}),
        ("{day}", None),
    ):
        http = {"method": "POST", "url": host.url + "/", "body": body, "private": True}
        run(load(http, {"day": day}))
        assert json.loads(host.requests[-1].body) == sent


def test_a_lone_surrogate_becomes_a_question_mark() -> None:
    tool = load({"url": "https://x.org/{a}", "query": {"q": "{a}"}}, {"a": TEXT})
    assert preview(tool, a="\ud800") == "GET https://x.org/%3F?q=%3F"


def test_an_error_status_raises_an_error(host: HttpHost) -> None:
    with pytest.raises(ToolError, match=r"returned status 404\.\nnot found"):
        run(load({"url": host.url + "/x", "private": True}, {}))


@pytest.mark.parametrize(
    ("http", "message"),
    [
        ("x", "http must be a table"),
        ({}, "url must be a URL with http or https"),
        ({"url": 3}, "url must be a string"),
        ({"url": "ftp://x.org"}, "url must be a URL with http or https"),
        ({"url": "x.org/y"}, "url must be a URL with http or https"),
        ({"url": "http://["}, "url is invalid: Invalid IPv6 URL"),
        ({"url": "https://{host}/"}, "list the allowed hosts in hosts"),
        ({"url": "https://x.org/{y}"}, "url: The placeholder {y} is not a parameter"),
        ({"url": "https://x.org", "query": {"q": "{y}"}}, "q: The placeholder {y} is not"),
        ({"url": "https://x.org", "query": ["q"]}, "query must be a table"),
        ({"url": "https://x.org", "hosts": []}, "hosts must not be empty"),
        ({"url": "https://x.org", "method": "STEAL"}, "method must be GET, POST, .* not 'STEAL'"),
        ({"url": "https://x.org", "verify": False}, "Unknown key 'verify'; the keys are body"),
        ({"url": "https://x.org", "private": "no"}, "private must be true or false"),
        ({"url": "https://x.org", "body": {"a": ["{y}"]}}, "body: The placeholder {y} is not"),
    ],
)
def test_an_invalid_tool_raises_an_error(http: Any, message: str) -> None:
    with pytest.raises(ToolFileError, match=f"Tool 'f'.*{message}"):
        load(http, {"host": TEXT})


def test_the_effect_of_a_request_is_always_network() -> None:
    with pytest.raises(ToolFileError, match="effect must be 'network' for an HTTP tool"):
        load({"url": "https://x.org"}, {}, effect="read")


def test_a_placeholder_host_must_be_one_of_the_allowed_hosts() -> None:
    tool = load({"url": "http://{host}/", "hosts": ["a.org", "*.b.org"]}, {"host": TEXT})
    assert preview(tool, host="x.b.org") == "GET http://x.b.org/"
    for name in ("c.org", "a.org.c.org", "b.org", "c.org%2Fa.org", "xa.org"):
        with pytest.raises(ToolError, match=r"is not allowed|must contain a host"):
            preview(tool, host=name)


@pytest.mark.parametrize("value", ["..", "."])
def test_a_value_cannot_lead_to_another_path(value: str) -> None:
    tool = load({"url": "https://x.org/a/{p}/b"}, {"p": TEXT})
    with pytest.raises(ToolError, match="would lead to another path"):
        run(tool, p=value)


def test_a_header_cannot_contain_a_line_break() -> None:
    tool = load({"url": "https://x.org/", "headers": {"X": "{p}"}}, {"p": TEXT})
    with pytest.raises(ToolError, match="must not contain a line break"):
        run(tool, p="a\r\nHost: evil.org")


def test_a_redirect_to_nowhere_is_an_error(host: HttpHost) -> None:
    host.responders["/away"] = respond(b"", status=302)
    with pytest.raises(ToolError, match=r"/away returned status 302\."):
        run(load({"url": host.url + "/away", "private": True}, {}))
