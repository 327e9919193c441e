"""What a host answers, as text to read."""

from __future__ import annotations

import codecs
import re
from contextlib import suppress
from html.parser import HTMLParser

from ..errors import ToolError
from .web import Response

SKIPPED = {"script", "style", "noscript", "template", "svg", "head", "iframe", "object"}
"""Elements whose words are not for readers."""
BREAKS = {
    *("address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "figcaption"),
    *("footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav"),
    *("ol", "p", "pre", "section", "table", "tr", "ul"),
}
READABLE = re.compile(r"text/|application/(.+\+)?(json|xml|javascript|yaml|toml)|image/svg\+xml")
MOST_DEPTH = 500
ODD = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"} | {
    *("base64", "bz2", "hex", "quopri", "rot-13", "uu", "zlib")
}
"""What Python calls encodings, and no page is written in."""


def text(response: Response) -> str:
    """A response's words; of a web page, what its readers see.

    Raises:
        ToolError: it is not text.
    """
    if not READABLE.match(response.kind):
        raise ToolError(
            f"{response.url} is {response.kind} of {len(response.body):,} bytes, not text."
        )
    written = response.body.decode(_codec(response), "replace")
    if response.kind in {"text/html", "application/xhtml+xml"}:
        written = readable(written)
    cut = (
        ""
        if response.whole
        else f"\n(It goes on; these are its first {len(response.body):,} bytes.)"
    )
    return written + cut


def readable(html: str) -> str:
    """The words of a web page, a line for each block."""
    reader = _Reader()
    reader.feed(_closed(html))
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.words).splitlines())
    body = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    title = " ".join("".join(reader.title).split())
    return f"{title}\n\n{body}".strip() if title and not body.startswith(title) else body


def _closed(html: str) -> str:
    """HTML without comments, and without what is opened and never closed.

    For each of these Python's parser looks through all the rest: one page would take it hours.
    """
    first, *rest = html.split("<!--")
    html = first + "".join(f" {part.partition('-->')[2]}" for part in rest)
    head, end, tail = html.replace("<![", "<! ").rpartition(">")
    return head + end + tail.partition("<")[0]


class _Reader(HTMLParser):
    """Gathers the words of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.title: list[str] = []
        self._skipped: list[str] = []
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin an element."""
        if tag == "title":
            self._in_title = True
        if tag in SKIPPED and len(self._skipped) < MOST_DEPTH:
            self._skipped.append(tag)
        # A head that is never closed would hide the page.
        if tag in BREAKS | {"body"} and self._skipped == ["head"]:
            self._skipped = []
        if tag in BREAKS:
            self.words.append("\n")
        if tag in {"td", "th"}:
            self.words.append(" | ")

    def handle_endtag(self, tag: str) -> None:
        """End an element."""
        if tag == "title":
            self._in_title = False
        if tag in self._skipped:
            del self._skipped[self._skipped.index(tag) :]
        if tag in BREAKS:
            self.words.append("\n")

    def handle_data(self, data: str) -> None:
        """Keep words that are for readers."""
        if self._in_title:
            self.title.append(data)
        elif not self._skipped:
            self.words.append(data)


def _codec(response: Response) -> str:
    """The encoding that a response names, in its header or its text."""
    said = re.search(rb"charset=[\"']?([\w-]+)", response.body[:2048])
    for name in (response.charset, said[1].decode() if said else ""):
        with suppress(LookupError):
            if (found := codecs.lookup(name).name) not in ODD:
                return found
    return "utf-8"
