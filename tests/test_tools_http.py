from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from xlam_local.errors import ToolError, ToolFileError
from xlam_local.tools import page, web
from xlam_local.tools.described import described
from xlam_local.tools.sandbox import Box
from xlam_local.tools.web import Reach, Request, Response
from xlam_local.types import Effect, Tool

Answer = Callable[[BaseHTTPRequestHandler], None]


def say(
    body: bytes, kind: str = "text/plain", status: int = 200, headers: Mapping[str, str] = {}
) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    return answer


def to(place: str, status: int = 302) -> Answer:
    return say(b"", status=status, headers={"Location": place})


class Host:
    """A host on this machine; it answers each path as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, str, Mapping[str, str], bytes]] = []
        host = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                host.asked.append((self.command, self.path, dict(self.headers), body))
                found = host.answers.get(self.path.partition("?")[0], say(b"nothing", status=404))
                with suppress(BrokenPipeError, ConnectionResetError):
                    found(self)

            do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def serving() -> Iterator[Host]:
    host = Host()
    thread = threading.Thread(target=host.server.serve_forever, args=(0.01,))
    thread.start()
    yield host
    host.server.shutdown()
    thread.join()
    host.server.server_close()


@pytest.fixture
def host() -> Iterator[Host]:
    with serving() as one:
        yield one


NEAR = Reach(private=True, seconds=3)


def fetched(host: Host, path: str, reach: Reach = NEAR) -> Response:
    return web.fetch(Request(host.url + path), reach)


def one(http: Mapping[str, Any], parameters: Mapping[str, Any], **more: Any) -> Tool:
    item = {"name": "f", "http": http, "parameters": parameters, **more}
    (made,) = described({"tool": [item]}, Box(Path()))
    return made


def run(made: Tool, **arguments: Any) -> Any:
    assert made.run is not None
    return made.run(**arguments)


TEXT = {"type": "string"}


def test_a_request_is_made_of_a_call(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "s3cr3t")
    host.answers["/v1/New%20York%2F..%2F"] = say(b'{"t": 3}', "application/json")
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
    made = one(http, parameters)
    assert run(made, city="New York/../", units="a&b", n=3) == '{"t": 3}'
    ((method, path, headers, body),) = host.asked
    assert (method, path) == ("POST", "/v1/New%20York%2F..%2F?units=a%26b")
    assert headers["Authorization"] == "Bearer s3cr3t"
    assert headers["X-City"] == "in a&b"
    assert json.loads(body) == {"city": "New York/../", "n": 3, "note": "n is 3", "fix": [1]}
    assert made.effect is Effect.NETWORK
    assert made.preview is not None
    shown = made.preview(city="x", units="y", n=1)
    assert shown.startswith(f"POST {host.url}/v1/x?units=y\n")
    assert "s3cr3t" not in shown


def test_what_has_no_value_is_left_out_of_a_body(host: Host) -> None:
    host.answers["/"] = say(b"ok")
    day = {**TEXT, "optional": True}
    for body, sent in (
        ({"a": ["{day}", "x"], "on": date(2026, 1, 2)}, {"a": ["x"], "on": "2026-01-02"}),
        ("{day}", None),
    ):
        http = {"method": "POST", "url": host.url + "/", "body": body, "private": True}
        run(one(http, {"day": day}))
        assert json.loads(host.asked[-1][3]) == sent


def test_half_a_character_is_asked_for_as_what_it_is() -> None:
    made = one({"url": "https://x.org/{a}", "query": {"q": "{a}"}}, {"a": TEXT})
    assert made.preview is not None
    assert made.preview(a="\ud800") == "GET https://x.org/%3F?q=%3F"


def test_a_status_that_is_an_error_is_told(host: Host) -> None:
    with pytest.raises(ToolError, match=r"answers with status 404\.\nnothing"):
        run(one({"url": host.url + "/x", "private": True}, {}))


@pytest.mark.parametrize(
    ("http", "told"),
    [
        ("x", "'http' is not a table"),
        ({}, "http.url is not text"),
        ({"url": "ftp://x.org"}, "not an address with http or https"),
        ({"url": "x.org/y"}, "not an address with http or https"),
        ({"url": "https://{host}/"}, "'hosts' has to name them"),
        ({"url": "https://x.org/{y}"}, "blank {y}"),
        ({"url": "https://x.org", "query": {"q": "{y}"}}, "blank {y}"),
        ({"url": "https://x.org", "query": ["q"]}, "http.query is not a table of texts"),
        ({"url": "https://x.org", "hosts": []}, "http.hosts is not a list"),
        ({"url": "https://x.org", "method": "STEAL"}, "'STEAL' is none of GET"),
        ({"url": "https://x.org", "verify": False}, "http.verify is not known"),
        ({"url": "https://x.org", "body": {"a": ["{y}"]}}, "http.body has a blank {y}"),
        ({"url": "http://["}, "not an address: Invalid IPv6 URL"),
    ],
)
def test_a_description_that_is_wrong_is_told(http: Any, told: str) -> None:
    with pytest.raises(ToolFileError, match=told):
        one(http, {"host": TEXT})


def test_a_request_has_one_effect() -> None:
    with pytest.raises(ToolFileError, match="the effect of a request is 'network'"):
        one({"url": "https://x.org"}, {}, effect="read")


def test_a_blank_host_is_one_of_those_named(host: Host) -> None:
    made = one({"url": "http://{host}/", "hosts": ["a.org", "*.b.org"]}, {"host": TEXT})
    assert made.preview is not None
    assert made.preview(host="x.b.org") == "GET http://x.b.org/"
    for name in ("c.org", "a.org.c.org", "b.org", "c.org%2Fa.org", "xa.org"):
        with pytest.raises(ToolError, match=r"may not be asked|plainly"):
            made.preview(host=name)


@pytest.mark.parametrize("value", ["..", "."])
def test_a_value_does_not_lead_up(value: str) -> None:
    made = one({"url": "https://x.org/a/{p}/b"}, {"p": TEXT})
    with pytest.raises(ToolError, match="would lead to another address"):
        run(made, p=value)


def test_a_header_has_one_line() -> None:
    made = one({"url": "https://x.org/", "headers": {"X": "{p}"}}, {"p": TEXT})
    with pytest.raises(ToolError, match="cannot hold a line break"):
        run(made, p="a\r\nHost: evil.org")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("file:///etc/passwd", "only http and https"),
        ("ftp://x.org", "only http and https"),
        ("gopher://x.org", "only http and https"),
        ("x.org", "only http and https"),
        ("http://", "does not name its host"),
        ("http://user@x.org/", "does not name its host plainly"),
        ("http://x.org\\@y.org/", "does not name its host plainly"),
        ("http://x.org:port/", "is not a URL"),
        ("http://[::1", "is not a URL"),
    ],
)
def test_a_url_that_may_not_be_asked_is_told(url: str, told: str) -> None:
    with pytest.raises(ToolError, match=told):
        web.fetch(Request(url), Reach())


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0"),
        *("100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0"),
        *("fc00::1", "::ffff:127.0.0.1", "2002:7f00:1::", "64:ff9b::a00:1", "ff02::1"),
        "2001:0:7f00:1::",
    ],
)
def test_an_address_that_is_not_public_is_not_asked(address: str) -> None:
    reach = Reach(lookup=lambda host, port: ["93.184.216.34", address])
    with pytest.raises(ToolError, match="an address that is not public"):
        web.fetch(Request("http://innocent.org/"), reach)


@pytest.mark.parametrize("host", ["127.0.0.1", "0x7f.1", "2130706433", "localhost", "[::1]"])
def test_no_spelling_of_this_machine_is_asked(host: str) -> None:
    with pytest.raises(ToolError, match=r"not public|no host"):
        web.fetch(Request(f"http://{host}:1/"), Reach())


def test_a_host_that_is_not_there_is_told() -> None:
    def lost(host: str, port: int) -> list[str]:
        raise OSError

    with pytest.raises(ToolError, match="There is no host"):
        web.fetch(Request("http://x.org/"), Reach(lookup=lost))
    with pytest.raises(ToolError, match="has no address"):
        web.fetch(Request("http://x.org/"), Reach(lookup=lambda host, port: []))


def test_a_name_is_asked_at_the_address_that_was_judged(host: Host) -> None:
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    reach = Reach(private=True, lookup=lambda name, port: next(answers))
    host.answers["/"] = say(b"hi")
    url = host.url.replace("127.0.0.1", "rebind.org") + "/"
    assert web.fetch(Request(url), reach).body == b"hi"
    assert host.asked[0][2]["Host"].startswith("rebind.org")


def test_redirects_are_followed_and_judged_anew(host: Host) -> None:
    host.answers |= {"/a": to("/b"), "/b": say(b"there"), "/file": to("file:///etc/passwd")}
    host.answers |= {"/out": to("http://evil.org/"), "/loop": to("/loop")}
    assert fetched(host, "/a").body == b"there"
    own = Reach(("127.0.0.1",), private=True)
    with pytest.raises(ToolError, match="only http and https"):
        fetched(host, "/file", own)
    with pytest.raises(ToolError, match=r"host evil.org may not be asked"):
        fetched(host, "/out", own)
    with pytest.raises(ToolError, match="left after 5 redirects"):
        fetched(host, "/loop")


def test_a_redirect_takes_no_secret_to_another_host(host: Host) -> None:
    with serving() as other:
        other.answers["/"] = say(b"hi")
        host.answers["/a"] = to(other.url + "/")
        host.answers |= {"/b": to("/c"), "/c": say(b"hi")}
        secrets = {"Authorization": "Bearer x", "X-Api-Key": "x", "Private-Token": "x"}
        for path in ("/a", "/b"):
            web.fetch(Request(host.url + path, headers={**secrets, "Accept": "y"}), NEAR)
        assert not secrets.keys() & other.asked[0][2].keys()
        assert other.asked[0][2]["Accept"] == "y"
        assert secrets.keys() <= host.asked[-1][2].keys()


def test_a_post_that_is_led_on_is_not_sent_twice(host: Host) -> None:
    host.answers |= {"/303": to("/x", 303), "/307": to("/x", 307), "/x": say(b"ok")}
    for status, method in ((303, "GET"), (307, "POST")):
        host.asked.clear()
        web.fetch(Request(f"{host.url}/{status}", "POST", body=b"data"), NEAR)
        assert [asked[0] for asked in host.asked] == ["POST", method]


def test_a_flood_is_cut_and_told(host: Host) -> None:
    host.answers["/"] = say(b"x" * 5000)
    got = fetched(host, "/", Reach(private=True, most=1000))
    assert (len(got.body), got.whole) == (1000, False)
    assert page.text(got).endswith("(It goes on; these are its first 1,000 bytes.)")


def test_a_host_that_dawdles_is_left(host: Host) -> None:
    def drip(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        for _ in range(100):
            request.wfile.write(b"x")
            request.wfile.flush()
            time.sleep(0.1)

    host.answers |= {"/drip": drip, "/hang": lambda request: time.sleep(2)}
    for path in ("/drip", "/hang"):
        began = time.monotonic()
        with pytest.raises(ToolError, match=r"did not answer within 0\.5 seconds"):
            fetched(host, path, Reach(private=True, seconds=0.5))
        assert time.monotonic() - began < 1.5


def test_what_is_compressed_unasked_is_refused(host: Host) -> None:
    host.answers["/"] = say(b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
    with pytest.raises(ToolError, match="compressed"):
        fetched(host, "/")


def test_a_host_that_speaks_no_http_is_told(host: Host) -> None:
    host.answers["/"] = lambda request: void(request.wfile.write(b"\0garbage\r\n\r\n"))
    with pytest.raises(ToolError, match="does not answer"):
        fetched(host, "/")


def void(_: object) -> None: ...


PAGE = """<!doctype html><html><head><title> A
 title </title><style>p {}</style><script>alert("x")</script></head>
<body><nav>Menu</nav><h1>Head</h1><p>One <b>two</b>&amp;three.</p>
<ul><li>first<li>second</ul><table><tr><td>a<td>b</table>
<script>steal()</script><noscript>no</noscript></body></html>"""


def test_a_page_is_read_as_its_readers_see_it() -> None:
    text = page.readable(PAGE)
    assert text.splitlines()[0] == "A title"
    assert "One two&three." in text
    assert "| a | b" in text
    assert not any(word in text for word in ("steal", "alert", "{}", "no\n"))
    assert page.readable("<head><title>T</title><p>text") == "T\n\ntext"


def response(body: bytes, kind: str = "text/html", charset: str = "") -> Response:
    return Response("http://x.org", 200, kind, charset, body, True)


def test_a_page_is_decoded_as_it_says() -> None:
    assert page.text(response("grün".encode("latin-1"), charset="latin-1")) == "grün"
    assert page.text(response(b'<meta charset="latin-1"><p>gr\xfcn')) == "grün"
    assert page.text(response("grün".encode(), charset="nonsense")) == "grün"
    assert page.text(response(b"gr\xfcn", "text/plain")) == "gr\ufffdn"
    for name in page.ODD:
        assert page.text(response("grün".encode(), charset=name)) == "grün"


def test_comments_and_what_is_never_closed_are_not_read() -> None:
    assert page.readable("a<!-- b <!-- c -->d<![CDATA[e]]>f<!x>g <i title=") == "a dfg"


@pytest.mark.parametrize(
    "part",
    [
        *("<!--", "<!-->", "<!<!---->--", "<![--", "<![CDATA[>", "<![CDATA[", "<!x", "<?", "</"),
        *("</x", "<a ", "<a b='", '<a b=">', "<a/", "&", "&#", "<script>", "<script></", "<head>"),
        *("<", "<>", "-->", "<title>", "<p x=y ", "<!doctype "),
    ],
)
def test_no_page_takes_long_to_be_read(part: str) -> None:
    most = 1 << 20
    began = time.process_time()
    page.readable(part * (most // len(part)))
    page.readable("<p>" + part * (most // len(part)) + ">")
    assert time.process_time() - began < 10


def test_what_is_no_text_is_told() -> None:
    with pytest.raises(ToolError, match=r"is image/png of 3 bytes, not text"):
        page.text(response(b"png", "image/png"))
