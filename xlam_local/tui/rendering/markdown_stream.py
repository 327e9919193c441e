"""Markdown that is still being written, as pieces that can each be drawn on their own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST = 2500
"""Characters in one piece; what goes on longer is drawn in several."""
FENCE_LINES = 40
"""Lines of code in one piece."""
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
TABLE = re.compile(r"\s*\|.*\n\s*\|?[\s:|-]+\n")


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of Markdown that can be drawn on its own."""

    text: str
    goes_on: bool = False
    """Whether the next piece follows without an empty line."""


class Pieces:
    """Takes Markdown in as it comes, and gives whole pieces of it out.

    A piece ends at an empty line, after some lines of a code block, or where it would become too
    long to draw again with each word that joins it.
    """

    def __init__(self) -> None:
        self.tail = ""
        """What is not a whole piece yet, with the fence it is in."""
        self._lines: list[str] = []
        """The whole lines of the tail."""
        self._rest = ""
        """The line that is being written."""
        self._fence: re.Match[str] | None = None

    def feed(self, text: str) -> Iterator[Piece]:
        """Take a piece of text in; what has become whole comes out."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            yield from self._line(line)
        while len(self._rest) > LONGEST:
            yield from self._flush(self._rest[:LONGEST], goes_on=True)
            self._rest = self._rest[LONGEST:]
        self.tail = self._text(self._rest)

    def rest(self) -> Iterator[Piece]:
        """What is left at the end."""
        if self.tail.strip():
            yield Piece(self.tail)
        self.tail, self._lines, self._rest, self._fence = "", [], "", None

    def _line(self, line: str) -> Iterator[Piece]:
        if self._fence is not None:
            yield from self._code(line)
        elif found := FENCE.fullmatch(line):
            yield from self._flush()
            self._fence = found
        elif self._lines and not self._lines[-1].strip() and line[:1].strip():
            yield from self._flush()
            self._lines.append(line)
        else:
            self._lines.append(line)
            if self._size() > LONGEST:
                yield from self._flush(goes_on=True)

    def _code(self, line: str) -> Iterator[Piece]:
        assert self._fence is not None
        mark = self._fence[1]
        closing = line.strip()
        if closing and set(closing) == {mark[0]} and len(closing) >= len(mark):
            text = self._text("") if self._lines else ""
            self._lines, self._fence = [], None
            yield Piece(text)
        else:
            self._lines.append(line)
            if len(self._lines) >= FENCE_LINES or self._size() > LONGEST:
                yield from self._flush(goes_on=True)

    def _size(self) -> int:
        return sum(map(len, self._lines))

    def _flush(self, line: str = "", goes_on: bool = False) -> Iterator[Piece]:
        """Give out what is there; a table that goes on keeps its head."""
        text = self._text(line)
        head = TABLE.match(text) if goes_on and self._fence is None else None
        self._lines = head[0].splitlines() if head else []
        if text.strip():
            yield Piece(text, goes_on)

    def _text(self, line: str) -> str:
        text = "\n".join([*self._lines, line] if line else self._lines)
        if self._fence is None:
            return text
        return f"{self._fence[0]}\n{text}\n{self._fence[1]}"
