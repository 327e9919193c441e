"""Convert an HTTP response to text; of an HTML page, the text that its readers see."""

from __future__ import annotations

import codecs
import re
from contextlib import suppress
from html.parser import HTMLParser

from ...errors import ToolError
from .client import Response

SKIPPED_ELEMENTS = {"script", "style", "noscript", "template", "svg", "head", "iframe", "object"}
"""Elements whose text is not shown to readers."""
BLOCK_ELEMENTS = {
    *("address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "figcaption"),
    *("footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav"),
    *("ol", "p", "pre", "section", "table", "tr", "ul"),
}
"""Elements that begin a new line."""
TEXT_MEDIA_TYPE = re.compile(
    r"text/|application/(.+\+)?(json|xml|javascript|yaml|toml)|image/svg\+xml"
)
CHARSET = re.compile(rb"charset=[\"']?([\w-]+)")
CHARSET_SEARCH_BYTES = 2048
"""How much of a page is searched for its declared encoding."""
MAX_SKIPPED_DEPTH = 500
NON_TEXT_CODECS = {
    *("base64", "bz2", "hex", "quopri", "rot-13", "uu", "zlib"),
    *("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"),
}
"""Python codecs that are not character encodings of web pages."""


def response_text(response: Response) -> str:
    """Return the text of a response.

    Raises:
        ToolError: the response is not text.
    """
    size = f"{len(response.body):,} bytes"
    if not TEXT_MEDIA_TYPE.match(response.media_type):
        raise ToolError(f"{response.url} is {response.media_type} ({size}), not text.")
    text = response.body.decode(_encoding(response), "replace").removeprefix("\ufeff")
    if response.media_type in {"text/html", "application/xhtml+xml"}:
        text = page_text(text)
    return (
        text if response.complete else f"{text}\n(Truncated: this is the text of the first {size}.)"
    )


def page_text(html: str) -> str:
    """Return the title and the visible text of an HTML page, one line for each block."""
    extractor = _TextExtractor()
    extractor.feed(_without_unclosed_markup(html))
    extractor.close()
    lines = (" ".join(line.split()) for line in "".join(extractor.body).splitlines())
    body = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    title = " ".join("".join(extractor.title).split())
    return f"{title}\n\n{body}".strip() if title and not body.startswith(title) else body


def _without_unclosed_markup(html: str) -> str:
    """Remove comments, and the start of markup that is never closed.

    HTMLParser searches the rest of the page for the end of each of these, which takes quadratic
    time: hours for a hostile page.
    """
    first, *rest = html.split("<!--")
    html = first + "".join(f" {part.partition('-->')[2]}" for part in rest)
    closed, end, tail = html.replace("<![", "<! ").rpartition(">")
    return closed + end + tail.partition("<")[0]


class _TextExtractor(HTMLParser):
    """Collects the title and the visible text of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.body: list[str] = []
        self.title: list[str] = []
        self._skipped: list[str] = []
        """The open elements whose text is skipped, outer ones first."""
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin an element."""
        if tag == "title":
            self._in_title = True
        if tag in SKIPPED_ELEMENTS and len(self._skipped) < MAX_SKIPPED_DEPTH:
            self._skipped.append(tag)
        # A <head> without an end tag ends where the body begins.
        if tag in BLOCK_ELEMENTS | {"body"} and self._skipped == ["head"]:
            self._skipped = []
        if tag in BLOCK_ELEMENTS:
            self.body.append("\n")
        if tag in {"td", "th"}:
            self.body.append(" | ")

    def handle_endtag(self, tag: str) -> None:
        """End an element and the elements in it."""
        if tag == "title":
            self._in_title = False
        if tag in self._skipped:
            del self._skipped[self._skipped.index(tag) :]
        if tag in BLOCK_ELEMENTS:
            self.body.append("\n")

    def handle_data(self, data: str) -> None:
        """Collect text that is visible, or the title."""
        if self._in_title:
            self.title.append(data)
        elif not self._skipped:
            self.body.append(data)


def _encoding(response: Response) -> str:
    """Return the encoding from the Content-Type header or the page, or UTF-8."""
    declared = CHARSET.search(response.body[:CHARSET_SEARCH_BYTES])
    for name in (response.charset, declared[1].decode() if declared else ""):
        with suppress(LookupError):
            if (codec := codecs.lookup(name).name) not in NON_TEXT_CODECS:
                return codec
    return "utf-8"
