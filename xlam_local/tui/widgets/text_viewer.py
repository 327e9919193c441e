"""A view of long text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from textual.geometry import Size
from textual.strip import Strip

from ..rendering.blocks import Block
from ..rendering.entries import Entry
from ..rendering.renderer import GUTTER_COLUMNS, LineRenderer
from .block_view import MIN_TEXT_COLUMNS, RIGHT_MARGIN_COLUMNS, BlockView


class TextEntry(Entry):
    """The entry that all blocks of a text belong to."""


class TextViewer(BlockView, can_focus=False):
    """Shows the blocks of a text from their beginning."""

    def __init__(self, blocks: Sequence[Block] = (), id: str | None = None) -> None:
        super().__init__(id=id)
        self._entry = TextEntry()
        self._text: Sequence[Block] = ()
        self.show_blocks(blocks)

    def show_blocks(self, blocks: Sequence[Block]) -> None:
        """Show other blocks."""
        self._text, self._top_block, self.following = blocks, None, False
        self.invalidate()
        self.scroll_to(y=0, animate=False)

    def _blocks(self, width: int) -> Iterator[tuple[Entry | None, Block]]:
        for block in self._text:
            yield self._entry, block

    def _bar(self, renderer: LineRenderer, entry: Entry) -> Strip:
        return renderer.margin

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return the number of lines; counting stops after the height of the viewport."""
        columns = max(MIN_TEXT_COLUMNS, width - GUTTER_COLUMNS - RIGHT_MARGIN_COLUMNS)
        lines = 0
        for block in self._text:
            lines += len(block.strips(self.renderer, columns))
            if lines > viewport.height:
                break
        return max(1, lines)
