"""Split Markdown into pieces that can be rendered on their own, while it is being written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_PIECE_CHARS = 2500
MAX_FENCE_LINES = 40
"""Lines of a code block in one piece."""
FENCE_PATTERN = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
TABLE_HEAD_PATTERN = re.compile(r"\s*\|.*\n\s*\|?[\s:|-]+\n")


@dataclass(frozen=True, slots=True)
class MarkdownPiece:
    """A piece of Markdown that can be rendered on its own."""

    text: str
    continues: bool = False
    """Whether the next piece follows without an empty line."""


class MarkdownSplitter:
    """Takes Markdown as it arrives and returns the complete pieces.

    A piece ends at an empty line, after some lines of a code block, or at a maximum length: the
    last piece is rendered again for each word that is added to it.
    """

    def __init__(self) -> None:
        self.tail = ""
        """The incomplete piece, with the fence of its code block."""
        self._lines: list[str] = []
        """The complete lines of the tail."""
        self._partial_line = ""
        self._fence: re.Match[str] | None = None

    def feed(self, text: str) -> Iterator[MarkdownPiece]:
        """Add text, and yield the pieces that are complete now."""
        *lines, self._partial_line = (self._partial_line + text).split("\n")
        for line in lines:
            yield from self._feed_line(line)
        while len(self._partial_line) > MAX_PIECE_CHARS:
            yield from self._emit(self._partial_line[:MAX_PIECE_CHARS], continues=True)
            self._partial_line = self._partial_line[MAX_PIECE_CHARS:]
        self.tail = self._text(self._partial_line)

    def flush(self) -> Iterator[MarkdownPiece]:
        """Yield the incomplete piece at the end of the text."""
        if self.tail.strip():
            yield MarkdownPiece(self.tail)
        self.tail, self._lines, self._partial_line, self._fence = "", [], "", None

    def _feed_line(self, line: str) -> Iterator[MarkdownPiece]:
        if self._fence is not None:
            yield from self._feed_code_line(line)
        elif fence := FENCE_PATTERN.fullmatch(line):
            yield from self._emit()
            self._fence = fence
        elif self._lines and not self._lines[-1].strip() and line[:1].strip():
            yield from self._emit()
            self._lines.append(line)
        else:
            self._lines.append(line)
            if self._size() > MAX_PIECE_CHARS:
                yield from self._emit(continues=True)

    def _feed_code_line(self, line: str) -> Iterator[MarkdownPiece]:
        assert self._fence is not None
        fence, closing = self._fence[1], line.strip()
        if closing and set(closing) == {fence[0]} and len(closing) >= len(fence):
            text = self._text("") if self._lines else ""
            self._lines, self._fence = [], None
            yield MarkdownPiece(text)
        else:
            self._lines.append(line)
            if len(self._lines) >= MAX_FENCE_LINES or self._size() > MAX_PIECE_CHARS:
                yield from self._emit(continues=True)

    def _size(self) -> int:
        return sum(map(len, self._lines))

    def _emit(self, line: str = "", continues: bool = False) -> Iterator[MarkdownPiece]:
        """Yield the lines so far as a piece; the next piece of a table repeats its head."""
        text = self._text(line)
        is_table = continues and self._fence is None
        head = TABLE_HEAD_PATTERN.match(text) if is_table else None
        self._lines = head[0].splitlines() if head else []
        if text.strip():
            yield MarkdownPiece(text, continues)

    def _text(self, line: str) -> str:
        text = "\n".join([*self._lines, line] if line else self._lines)
        if self._fence is None:
            return text
        return f"{self._fence[0]}\n{text}\n{self._fence[1]}"
