"""Parts of a conversation that are drawn when they come into view."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.strip import Strip

from .pen import Pen

Draw = Callable[[Pen, int], Sequence[Strip]]
CHUNK_LINES = 100
CHUNK = 8000
"""Characters of text in one block."""


class Block:
    """Lines that are drawn together, and kept until they change or the width does."""

    gap = False
    """Whether it only keeps others apart."""

    def __init__(self, draw: Draw, characters: int = 0, lines: int = 1) -> None:
        self._draw = draw
        self._characters = characters
        self._lines = lines
        self._drawn: Sequence[Strip] | None = None
        self._height = 1
        self._for: tuple[Pen, int] | None = None

    def strips(self, pen: Pen, width: int) -> Sequence[Strip]:
        """Its lines, at least one."""
        if self._drawn is None or self._for != (pen, width):
            self._drawn = self._draw(pen, width) or (Strip([]),)
            self._for, self._height = (pen, width), len(self._drawn)
        return self._drawn

    def height(self, pen: Pen, width: int) -> int:
        """How many lines it has, or will have as far as can be told before it is drawn."""
        if self._for == (pen, width):
            return self._height
        return max(1, self._lines + self._characters // max(1, width))

    def release(self) -> None:
        """Forget its lines, but not how many they are."""
        self._drawn = None

    def changed(self) -> None:
        """Draw it anew when it is next in view."""
        self._for = None


class Gap(Block):
    """An empty line."""

    gap = True

    def __init__(self) -> None:
        super().__init__(lambda _pen, _width: (Strip([]),))


def of_text(text: str, style: str = "base") -> list[Block]:
    """Blocks for text of any length, as it is."""
    return [_block(chunk, style) for chunk in chunks(text)]


def of_markdown(source: str) -> Block:
    """A block for a piece of Markdown."""
    lines = source.count("\n") + 1
    return Block(lambda pen, width: pen.markdown(source, width), len(source) // 2, lines)


def of_diff(text: str) -> list[Block]:
    """Blocks for a diff of any length."""
    return [_diff(chunk) for chunk in chunks(text)]


def of_code(text: str, language: str) -> list[Block]:
    """Blocks for code of any length."""
    return [_code(chunk, language) for chunk in chunks(text)]


def chunks(text: str) -> list[str]:
    """Text in parts of some lines, none of them too long to be drawn at once."""
    found: list[str] = []
    start = 0
    while start < len(text):
        end = _end(text, start)
        found.append(text[start:end].removesuffix("\n"))
        start = end
    return found


def _end(text: str, start: int) -> int:
    """Where the chunk that begins at `start` ends: after a line, if one ends in time."""
    end = start
    for _ in range(CHUNK_LINES):
        line = text.find("\n", end, start + CHUNK)
        if line < 0:
            if start + CHUNK >= len(text):
                return len(text)
            return end if end > start else start + CHUNK
        end = line + 1
    return end


def _block(text: str, style: str) -> Block:
    size = len(text) // 2, text.count("\n") + 1
    return Block(lambda pen, width: pen.plain(text, width, style), *size)


def _diff(text: str) -> Block:
    return Block(lambda pen, width: pen.diff(text, width), 0, text.count("\n") + 1)


def _code(text: str, language: str) -> Block:
    lines = text.count("\n") + 1
    return Block(lambda pen, width: pen.code(text, language, width), 0, lines)
