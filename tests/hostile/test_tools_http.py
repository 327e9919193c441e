"""URLs and hosts that lead to this machine, its network, or another host than the allowed ones."""

from __future__ import annotations

from contextlib import suppress

import pytest

from tests.fakes.tool_calls import run
from xlam_local.errors import ToolError
from xlam_local.tools.http.client import FetchPolicy, Request, fetch
from xlam_local.types import Tool

PRIVATE_HOSTS = [
    *("127.0.0.1", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "localhost", "[::1]", "[::]"),
    *("0.0.0.0", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "169.254.169.254", "[fe80::1]"),
    *("10.0.0.1", "192.168.0.1", "172.31.255.255", "100.64.0.1", "[fd00::1]", "0"),
    *("[64:ff9b::7f00:1]", "[::7f00:1]", "[64:ff9b:1::a00:1]", "[2002:a00:1::]"),
    *("[fe80::1%lo]", "[2001:0:1::]"),
]


@pytest.mark.parametrize("host", PRIVATE_HOSTS)
def test_no_page_is_fetched_from_a_private_address(
    hostile_tools: dict[str, Tool], private_port: int, host: str
) -> None:
    with pytest.raises(ToolError, match=r"not public|cannot be resolved|is not a URL"):
        run(hostile_tools["fetch_page"], url=f"http://{host}:{private_port}/")


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/passwd", "FILE:///etc/passwd", "ftp://x.org/", "gopher://x.org/", "data:,x"),
        *("javascript:alert(1)", "http:/x.org", "//x.org", "http://", "http:///x", "https://@/"),
        *("http://a@b.org/", "http://a:b@c.org/", "http://x.org\\@y.org/", "http://x.org:99999/"),
        *("http://[::1", "x", "", "\nhttp://x.org", "http://x\u3002org@y"),
    ],
)
def test_no_other_scheme_and_no_ambiguous_url_is_fetched(
    hostile_tools: dict[str, Tool], url: str
) -> None:
    with pytest.raises(ToolError):
        run(hostile_tools["fetch_page"], url=url)


OTHER_HOSTS = [
    *("evil.org", "api.org.evil.org", "evil.org/api.org", "evil.org#api.org", "evil.org?api.org"),
    *("evil.org:443", "api.org@evil.org", "evil.org\\api.org", "xapi.org", "127.0.0.1", "api.org."),
    *("evil.org%00api.org", "api.org%2eevil.org", "[::1]", "api.org\n.evil.org"),
    "API.ORG.evil.org",
]


@pytest.mark.parametrize("host", OTHER_HOSTS)
def test_no_url_leads_to_a_host_that_is_not_allowed(host: str) -> None:
    resolved: list[str] = []

    def resolve(name: str, port: int) -> list[str]:
        resolved.append(name)
        raise OSError

    for url in (f"https://{host}/", f"https://api.org/{host}"):
        with suppress(ToolError):
            fetch(Request(url), FetchPolicy(("api.org",), resolve=resolve))
    assert set(resolved) <= {"api.org"}


def test_the_address_is_checked_when_the_request_is_sent() -> None:
    answers = iter([["127.0.0.1"]])
    policy = FetchPolicy(resolve=lambda *_: next(answers))
    with pytest.raises(ToolError, match="not public"):
        fetch(Request("http://rebind.org:9/"), policy)
