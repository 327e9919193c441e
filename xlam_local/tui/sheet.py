"""Text of any length that scrolls, of which only what is in view is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from textual.geometry import Size
from textual.strip import Strip

from .blocks import Block
from .entries import Entry
from .pen import GUTTER, Pen
from .transcript import EDGE, Transcript


class Page(Entry):
    """Blocks that are shown as they are."""

    def __init__(self, parts: Sequence[Block]) -> None:
        super().__init__()
        self._parts = parts

    @property
    def text(self) -> str:
        """Nothing is copied as a whole."""
        return ""

    def blocks(self, width: int) -> Sequence[Block]:
        """The blocks."""
        return self._parts


class Sheet(Transcript, can_focus=False):
    """Shows blocks from their beginning."""

    def __init__(self, parts: Sequence[Block] = (), id: str | None = None) -> None:
        super().__init__(id=id)
        self.turn_to(parts)

    def turn_to(self, parts: Sequence[Block]) -> None:
        """Show other blocks."""
        self.show([Page(parts)])
        self.following = False
        self.scroll_to(y=0, animate=False)

    def _blocks(self, width: int) -> Iterator[tuple[Entry | None, Block]]:
        for page in self.entries:
            for block in page.blocks(width):
                yield page, block

    def _bar(self, pen: Pen, entry: Entry) -> Strip:
        return pen.margin

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many lines as there are, as far as that matters."""
        lines = 0
        for _, block in self._blocks(width):
            lines += len(block.strips(self.pen, max(8, width - GUTTER - EDGE)))
            if lines > viewport.height:
                break
        return max(1, lines)
