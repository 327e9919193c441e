from __future__ import annotations

import time

import pytest

from xlam_local.errors import ToolError
from xlam_local.tools.http.client import Response
from xlam_local.tools.http.html_text import NON_TEXT_CODECS, page_text, response_text

PAGE = """<!doctype html><html><head><title> A
 title </title><style>p {}</style><script>alert("x")</script></head>
<body><nav>Menu</nav><h1>Head</h1><p>One <b>two</b>&amp;three.</p>
<ul><li>first<li>second</ul><table><tr><td>a<td>b</table>
<script>steal()</script><noscript>no</noscript></body></html>"""


def test_the_text_of_a_page_is_what_readers_see() -> None:
    text = page_text(PAGE)
    assert text.splitlines()[0] == "A title"
    assert "One two&three." in text
    assert "| a | b" in text
    assert not any(word in text for word in ("steal", "alert", "{}", "no\n"))
    assert page_text("<head><title>T</title><p>text") == "T\n\ntext"


def response(body: bytes, kind: str = "text/html", charset: str = "") -> Response:
    return Response("http://x.org", 200, kind, charset, body, True)


def test_the_declared_encoding_is_used() -> None:
    assert response_text(response("grün".encode("latin-1"), charset="latin-1")) == "grün"
    assert response_text(response(b'<meta charset="latin-1"><p>gr\xfcn')) == "grün"
    assert response_text(response("grün".encode(), charset="nonsense")) == "grün"
    assert response_text(response(b"gr\xfcn", "text/plain")) == "gr\ufffdn"
    for name in NON_TEXT_CODECS:
        assert response_text(response("grün".encode(), charset=name)) == "grün"


def test_comments_and_unclosed_markup_are_dropped() -> None:
    assert page_text("a<!-- b <!-- c -->d<![CDATA[e]]>f<!x>g <i title=") == "a dfg"


@pytest.mark.slow
@pytest.mark.parametrize(
    "part",
    [
        *("<!--", "<!-->", "<!<!---->--", "<![--", "<![CDATA[>", "<![CDATA[", "<!x", "<?", "</"),
        *("</x", "<a ", "<a b='", '<a b=">', "<a/", "&", "&#", "<script>", "<script></", "<head>"),
        *("<", "<>", "-->", "<title>", "<p x=y ", "<!doctype "),
    ],
)
def test_no_page_takes_quadratic_time(part: str) -> None:
    """HTMLParser alone takes 3 to 20 seconds for 64 KiB of some of these."""
    count = (1 << 16) // len(part)
    start = time.process_time()
    page_text(part * count)
    page_text("<p>" + part * count + ">")
    assert time.process_time() - start < 1.5


def test_a_response_that_is_not_text_raises_an_error() -> None:
    with pytest.raises(ToolError, match=r"is image/png \(3 bytes\), not text"):
        response_text(response(b"png", "image/png"))
