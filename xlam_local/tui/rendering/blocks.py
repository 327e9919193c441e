"""Parts of an entry that are rendered when they come into view."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.cells import cell_len
from textual.strip import Strip

from .renderer import LineRenderer, cut_middle

RenderFunction = Callable[[LineRenderer, int], Sequence[Strip]]
"""Renders a block for a width in columns."""
CHUNK_LINES = 100
FIGURE_COLUMNS = 52
"""The width of a table of figures, if there is room."""
CHUNK_CHARS = 8000


class Block:
    """Lines that are rendered together, and again after a change of the content or the width."""

    is_gap = False
    """Whether the block only separates others."""

    def __init__(self, render: RenderFunction, characters: int = 0, lines: int = 1) -> None:
        self._render = render
        self._characters = characters
        self._lines = lines
        self._strips: Sequence[Strip] | None = None
        self._height = 1
        self._rendered_for: tuple[LineRenderer, int] | None = None

    def strips(self, renderer: LineRenderer, width: int) -> Sequence[Strip]:
        """Return the rendered lines, at least one."""
        if self._strips is None or self._rendered_for != (renderer, width):
            self._strips = self._render(renderer, width) or (Strip([]),)
            self._rendered_for, self._height = (renderer, width), len(self._strips)
        return self._strips

    def height(self, renderer: LineRenderer, width: int) -> int:
        """Return the number of lines; an estimate until the block is rendered."""
        if self._rendered_for == (renderer, width):
            return self._height
        return max(1, self._lines + self._characters // max(1, width))

    def release(self) -> None:
        """Free the rendered lines, but remember their number."""
        self._strips = None

    def invalidate(self) -> None:
        """Render the block again when it is next in view."""
        self._rendered_for = None


class Gap(Block):
    """An empty line."""

    is_gap = True

    def __init__(self) -> None:
        super().__init__(lambda _renderer, _width: (Strip([]),))


def text_blocks(text: str, style: str = "base") -> list[Block]:
    """Return blocks for plain text of any length."""
    return [_text_block(chunk, style) for chunk in chunks(text)]


def figure_block(label: str, figure: str) -> Block:
    """Return a row with a label, which may be wrapped, and a figure beside its first line."""

    def render(renderer: LineRenderer, width: int) -> list[Strip]:
        columns = min(width, FIGURE_COLUMNS)
        room = max(1, columns - cell_len(figure) - 1)
        first, *others = renderer.plain(label, room)
        shown = first.adjust_cell_length(room + 1, renderer.styles["base"])
        return [Strip.join([shown, *renderer.plain(figure, width)]), *others]

    return Block(render)


def labeled_block(label: str, text: str, label_columns: int) -> Block:
    """Return a row with a label, and text at its right that is wrapped below its beginning."""

    def render(renderer: LineRenderer, width: int) -> list[Strip]:
        indent = min(label_columns, width // 2)
        head = f"{cut_middle(label, indent - 1):<{indent}}"
        base = renderer.styles["base"]
        margin = Strip.blank(indent, base)
        lines = renderer.plain(text, width - indent)
        first = Strip.join([*renderer.plain(head, width)[:1], lines[0]])
        return [first, *(Strip.join([margin, line]) for line in lines[1:])]

    return Block(render, len(text) // 2, 1)


def markdown_block(source: str) -> Block:
    """Return a block for a piece of Markdown."""
    lines = source.count("\n") + 1
    return Block(lambda renderer, width: renderer.markdown(source, width), len(source) // 2, lines)


def diff_blocks(text: str) -> list[Block]:
    """Return blocks for a diff of any length."""
    return [_diff_block(chunk) for chunk in chunks(text)]


def code_blocks(text: str, language: str) -> list[Block]:
    """Return blocks for code of any length."""
    return [_code_block(chunk, language) for chunk in chunks(text)]


def chunks(text: str) -> list[str]:
    """Split text after lines, into parts short enough to be rendered in one step."""
    found: list[str] = []
    start = 0
    while start < len(text):
        end = _chunk_end(text, start)
        found.append(text[start:end].removesuffix("\n"))
        start = end
    return found


def _chunk_end(text: str, start: int) -> int:
    """Return the end of the chunk at `start`: after a line, unless the line is too long."""
    end = start
    for _ in range(CHUNK_LINES):
        newline = text.find("\n", end, start + CHUNK_CHARS)
        if newline < 0:
            if start + CHUNK_CHARS >= len(text):
                return len(text)
            return end if end > start else start + CHUNK_CHARS
        end = newline + 1
    return end


def _text_block(text: str, style: str) -> Block:
    lines = text.count("\n") + 1
    return Block(lambda renderer, width: renderer.plain(text, width, style), len(text) // 2, lines)


def _diff_block(text: str) -> Block:
    return Block(lambda renderer, width: renderer.diff(text, width), 0, text.count("\n") + 1)


def _code_block(text: str, language: str) -> Block:
    lines = text.count("\n") + 1
    return Block(lambda renderer, width: renderer.code(text, language, width), 0, lines)
