from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from tests.fakes.http_host import HttpHost, http_host, redirect, respond
from xlam_local.errors import ToolError
from xlam_local.tools.http.client import FetchPolicy, Request, Response, fetch
from xlam_local.tools.http.html_text import response_text

PRIVATE = FetchPolicy(allow_private=True, timeout=3)


@pytest.fixture
def host() -> Iterator[HttpHost]:
    with http_host() as running:
        yield running


def get(host: HttpHost, path: str, policy: FetchPolicy = PRIVATE) -> Response:
    return fetch(Request(host.url + path), policy)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("file:///etc/passwd", "only http and https"),
        ("ftp://x.org", "only http and https"),
        ("gopher://x.org", "only http and https"),
        ("x.org", "only http and https"),
        ("http://", "must contain a host"),
        ("http://user@x.org/", "must contain a host, and no user name"),
        ("http://x.org\\@y.org/", "must contain a host, and no user name or backslash"),
        ("http://x.org:port/", "is not a URL"),
        ("http://[::1", "is not a URL"),
    ],
)
def test_a_url_that_is_not_allowed_raises_an_error(url: str, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        fetch(Request(url), FetchPolicy())


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0"),
        *("100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0"),
        *("fc00::1", "::ffff:127.0.0.1", "2002:7f00:1::", "64:ff9b::a00:1", "ff02::1"),
        "2001:0:7f00:1::",
    ],
)
def test_every_address_of_a_host_must_be_public(address: str) -> None:
    policy = FetchPolicy(resolve=lambda host, port: ["93.184.216.34", address])
    with pytest.raises(ToolError, match="which is not public"):
        fetch(Request("http://innocent.org/"), policy)


@pytest.mark.parametrize("host", ["127.0.0.1", "0x7f.1", "2130706433", "localhost", "[::1]"])
def test_no_notation_of_this_machine_is_allowed(host: str) -> None:
    with pytest.raises(ToolError, match=r"not public|cannot be resolved"):
        fetch(Request(f"http://{host}:1/"), FetchPolicy())


def test_a_host_without_an_address_raises_an_error() -> None:
    def fail(host: str, port: int) -> list[str]:
        raise OSError

    with pytest.raises(ToolError, match=r"'x\.org' cannot be resolved"):
        fetch(Request("http://x.org/"), FetchPolicy(resolve=fail))
    with pytest.raises(ToolError, match="has no address"):
        fetch(Request("http://x.org/"), FetchPolicy(resolve=lambda host, port: []))


def test_the_connection_goes_to_the_address_that_was_checked(host: HttpHost) -> None:
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    policy = FetchPolicy(allow_private=True, resolve=lambda name, port: next(answers))
    host.responders["/"] = respond(b"hi")
    url = host.url.replace("127.0.0.1", "rebind.org") + "/"
    assert fetch(Request(url), policy).body == b"hi"
    assert host.requests[0].headers["Host"].startswith("rebind.org")


def test_redirects_are_followed_and_checked(host: HttpHost) -> None:
    host.responders |= {
        "/a": redirect("/b"),
        "/b": respond(b"there"),
        "/file": redirect("file:///etc/passwd"),
        "/out": redirect("http://evil.org/"),
        "/loop": redirect("/loop"),
    }
    assert get(host, "/a").body == b"there"
    policy = FetchPolicy(("127.0.0.1",), allow_private=True)
    with pytest.raises(ToolError, match="only http and https"):
        get(host, "/file", policy)
    with pytest.raises(ToolError, match=r"Host evil\.org is not allowed\. Allowed hosts: 127"):
        get(host, "/out", policy)
    with pytest.raises(ToolError, match=r"Too many redirects \(5\)"):
        get(host, "/loop")


def test_a_redirect_forwards_no_secret_to_another_host(host: HttpHost) -> None:
    with http_host() as other:
        other.responders["/"] = respond(b"hi")
        host.responders["/a"] = redirect(other.url + "/")
        host.responders |= {"/b": redirect("/c"), "/c": respond(b"hi")}
        secrets = {"Authorization": "Bearer x", "X-Api-Key": "x", "Private-Token": "x"}
        for path in ("/a", "/b"):
            fetch(Request(host.url + path, headers={**secrets, "Accept": "y"}), PRIVATE)
        assert not secrets.keys() & other.requests[0].headers.keys()
        assert other.requests[0].headers["Accept"] == "y"
        assert secrets.keys() <= host.requests[-1].headers.keys()


def test_a_redirected_post_becomes_a_get_unless_the_status_forbids_it(host: HttpHost) -> None:
    host.responders |= {
        "/303": redirect("/x", 303),
        "/307": redirect("/x", 307),
        "/x": respond(b"ok"),
    }
    for status, method in ((303, "GET"), (307, "POST")):
        host.requests.clear()
        fetch(Request(f"{host.url}/{status}", "POST", body=b"data"), PRIVATE)
        assert [request.method for request in host.requests] == ["POST", method]


def test_a_long_body_is_truncated_with_a_note(host: HttpHost) -> None:
    host.responders["/"] = respond(b"x" * 5000)
    response = get(host, "/", FetchPolicy(allow_private=True, max_bytes=1000))
    assert (len(response.body), response.complete) == (1000, False)
    assert response_text(response).endswith(
        "(Truncated: this is the text of the first 1,000 bytes.)"
    )


def test_a_slow_host_times_out(host: HttpHost) -> None:
    def drip(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        for _ in range(100):
            request.wfile.write(b"x")
            request.wfile.flush()
            time.sleep(0.05)

    host.responders |= {"/drip": drip, "/hang": lambda request: time.sleep(1)}
    for path in ("/drip", "/hang"):
        start = time.monotonic()
        with pytest.raises(ToolError, match=r"did not respond within 0\.3 seconds"):
            get(host, path, FetchPolicy(allow_private=True, timeout=0.3))
        assert time.monotonic() - start < 1.3


JSON = b'{"ok": true}'


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(JSON)),
        ("GZIP", gzip.compress(JSON[:4]) + gzip.compress(JSON[4:])),
        ("x-gzip", gzip.compress(JSON)),
        ("deflate", zlib.compress(JSON)),
        ("identity", JSON),
        ("", JSON),
    ],
    # The compressed bytes contain the time, and workers must collect the same names.
    ids=["gzip", "members", "x-gzip", "deflate", "identity", "none"],
)
def test_a_compressed_response_is_decompressed(host: HttpHost, encoding: str, body: bytes) -> None:
    host.responders["/"] = respond(body, headers={"Content-Encoding": encoding})
    response = get(host, "/")
    assert (response.body, response.complete) == (JSON, True)


@pytest.mark.parametrize(
    ("encoding", "body", "message"),
    [
        ("br", b"x", "compressed as 'br'; gzip is supported"),
        ("gzip, gzip", b"x", "compressed as 'gzip, gzip'"),
        ("gzip", b"no gzip", "is not valid gzip"),
        ("deflate", b"\x00" * 9, "is not valid deflate"),
    ],
)
def test_a_response_that_cannot_be_decompressed_is_refused(
    host: HttpHost, encoding: str, body: bytes, message: str
) -> None:
    host.responders["/"] = respond(body, headers={"Content-Encoding": encoding})
    with pytest.raises(ToolError, match=message):
        get(host, "/")


@pytest.mark.slow
def test_a_bomb_is_decompressed_up_to_the_limit(host: HttpHost) -> None:
    bomb = gzip.compress(b"\0" * (64 << 20))
    host.responders["/"] = respond(bomb, headers={"Content-Encoding": "gzip"})
    response = get(host, "/", FetchPolicy(allow_private=True, max_bytes=1000))
    assert (len(response.body), response.complete) == (1000, False)


def test_a_response_that_is_not_http_raises_an_error(host: HttpHost) -> None:
    def garbage(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"\0garbage\r\n\r\n")

    host.responders["/"] = garbage
    with pytest.raises(ToolError, match=r"The request to 127\.0\.0\.1 failed"):
        get(host, "/")


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"short", {"Content-Length": "100"}),
        (gzip.compress(b"x" * 100_000)[:-20], {"Content-Encoding": "gzip"}),
    ],
)
def test_a_response_that_ends_early_is_an_error(
    host: HttpHost, body: bytes, headers: dict[str, str]
) -> None:
    def send(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    host.responders["/early"] = send
    with pytest.raises(ToolError, match=r"/early ended its response before all of it was sent\."):
        get(host, "/early")


def test_an_empty_response_and_a_byte_order_mark_are_read(host: HttpHost) -> None:
    host.responders["/empty"] = respond(b"", headers={"Content-Encoding": "gzip"})
    assert response_text(get(host, "/empty")) == ""
    host.responders["/bom"] = respond(b'\xef\xbb\xbf{"a": 1}', "application/json")
    assert response_text(get(host, "/bom")) == '{"a": 1}'
