"""A scrolling view of blocks, of which only those in view are rendered."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from itertools import accumulate, zip_longest
from typing import ClassVar

from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from ..rendering.blocks import Block
from ..rendering.entries import Entry
from ..rendering.renderer import GUTTER_COLUMNS, STYLES, LineRenderer

MAX_RENDERED_BLOCKS = 150
"""Blocks whose lines stay in memory; more than are ever in view."""
MAX_CACHED_LINES = 500
"""Lines that are kept as they are sent to the terminal; more than are ever in view."""
MAX_LAYOUT_PASSES = 4
"""A rendered block may be higher than estimated, which moves others into view or out of it."""
RIGHT_MARGIN_COLUMNS = 1
MIN_TEXT_COLUMNS = 8


class BlockView(ScrollView):
    """Shows blocks below each other; subclasses provide the blocks and the bars."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"block-view--{name}" for name in STYLES}

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.following = True
        """Whether the end stays in view when blocks are added."""
        self._renderer: LineRenderer | None = None
        self._stale = True
        """Whether the blocks have changed since they were laid out."""
        self._placed: list[tuple[Entry | None, Block]] = []
        """The blocks and the entries that they belong to."""
        self._heights: list[int] = []
        """The number of lines of each block; estimated until it is rendered."""
        self._ends: list[int] = []
        """The line after each block."""
        self._rendered: OrderedDict[Block, None] = OrderedDict()
        """The blocks whose lines are in memory, the least recently used first."""
        self._top_block: tuple[Block, int] | None = None
        """The block at the top of the view, and how many of its lines are above the view."""
        self._moving = False
        """Whether the layout sets the scroll position, and not the user."""
        self._visible_lines: list[tuple[Strip | None, Strip]] = []
        """The bar and the text of each line in view at the last layout."""
        self._line_cache: dict[int, tuple[Strip | None, Strip | None, int, Strip]] = {}
        """The bar, the text and the width of lines, and the strip that they became."""

    # What subclasses provide.

    def _blocks(self, width: int) -> Iterator[tuple[Entry | None, Block]]:
        """Yield the blocks with their entries; None for the lines between entries."""
        raise NotImplementedError

    def _bar(self, renderer: LineRenderer, entry: Entry) -> Strip:
        """Return what is at the left of each line of an entry."""
        raise NotImplementedError

    # The layout.

    @property
    def renderer(self) -> LineRenderer:
        """Renders in the colors of the theme."""
        if self._renderer is None:
            style = self.get_component_rich_style
            styles = {name: style(f"block-view--{name}") for name in STYLES}
            code_theme = _code_theme(self.app.current_theme.dark, self.app.native_ansi_color)
            self._renderer = LineRenderer(styles, code_theme)
        return self._renderer

    @property
    def text_columns(self) -> int:
        """The width of the text, between the bar and the right margin."""
        columns = self.scrollable_content_region.width - GUTTER_COLUMNS - RIGHT_MARGIN_COLUMNS
        return max(MIN_TEXT_COLUMNS, columns)

    def notify_style_update(self) -> None:
        """Render everything again in the colors of another theme."""
        super().notify_style_update()
        self._renderer = None
        self._line_cache.clear()
        self.invalidate()

    def invalidate(self) -> None:
        """Lay out the blocks again, once for all changes that are made now."""
        self._stale = True
        if self.is_attached:
            self.call_later(self.layout_blocks)

    def layout_blocks(self) -> None:
        """Render the blocks in view and set the scroll position."""
        if not self.size.height or not self.is_attached:
            return
        renderer, width = self.renderer, self.text_columns
        if self._stale:
            self._stale = False
            self._placed = list(self._blocks(width))
            self._heights = [block.height(renderer, width) for _, block in self._placed]
            self._ends = list(accumulate(self._heights))
        for _ in range(MAX_LAYOUT_PASSES):
            y = self._target_y()
            if not self._render_range(y, y + self.size.height):
                break
        self._show_from(y)

    @property
    def _total(self) -> int:
        return self._ends[-1] if self._ends else 0

    def _start(self, number: int) -> int:
        """Return the first line of a block."""
        return self._ends[number - 1] if number else 0

    def _block_at(self, line: int) -> int:
        """Return the number of the block with a line, or the number of blocks after the end."""
        return bisect_right(self._ends, line)

    def _entry_at_line(self, line: int) -> Entry | None:
        number = self._block_at(line)
        return self._placed[number][0] if number < len(self._placed) else None

    def _target_y(self) -> int:
        """Return the line that belongs at the top of the view."""
        last = max(0, self._total - self.size.height)
        if self.following:
            return last
        if self._top_block is not None:
            top, above = self._top_block
            for number, (_, block) in enumerate(self._placed):
                if block is top:
                    start = self._start(number)
                    return min(last, start + min(above, self._ends[number] - start - 1))
        return min(last, self.scroll_offset.y)

    def _render_range(self, start: int, end: int) -> bool:
        """Render the blocks between two lines; return whether a height was not as estimated."""
        changed = False
        for number in range(self._block_at(start), len(self._placed)):
            if self._start(number) >= end:
                break
            block = self._placed[number][1]
            height = len(block.strips(self.renderer, self.text_columns))
            self._mark_rendered(block)
            if height != self._heights[number]:
                self._heights[number], changed = height, True
        if changed:
            self._ends = list(accumulate(self._heights))
        return changed

    def _mark_rendered(self, block: Block) -> None:
        """Release the lines of the least recently rendered blocks."""
        self._rendered[block] = None
        self._rendered.move_to_end(block)
        while len(self._rendered) > MAX_RENDERED_BLOCKS:
            self._rendered.popitem(last=False)[0].release()

    def _show_from(self, y: int) -> None:
        """Scroll to a line, and redraw the lines that have changed."""
        self._moving = True
        before, self._visible_lines = self._visible_lines, self._lines_in_view(y)
        moved = y != self.scroll_offset.y
        size = Size(self.scrollable_content_region.width, self._total)
        if self.show_vertical_scrollbar == (self._total > self.size.height):
            # Setting `virtual_size` would lay out the screen, which is slow for each new line.
            self.set_reactive(BlockView.virtual_size, size)
            if self.show_vertical_scrollbar:
                self.vertical_scrollbar.window_virtual_size = self._total
        else:
            self.virtual_size = size
        self.scroll_target_y = self.scroll_y = y
        self._moving = False
        self._remember_top(y)
        if moved:
            self.refresh()
            return
        # Drawing all lines for each word of an answer would take CPU time from the model.
        for row, (old, new) in enumerate(zip_longest(before, self._visible_lines)):
            if old != new:
                self.refresh_line(y + row)

    def _lines_in_view(self, y: int) -> list[tuple[Strip | None, Strip]]:
        """Return the bar and the text of each line in view if line `y` is at the top."""
        renderer, width = self.renderer, self.text_columns
        found: list[tuple[Strip | None, Strip]] = []
        for number in range(self._block_at(y), len(self._placed)):
            entry, block = self._placed[number]
            bar = self._bar(renderer, entry) if entry is not None else None
            hidden = max(0, y - self._start(number))
            found += [(bar, strip) for strip in block.strips(renderer, width)[hidden:]]
            if len(found) >= self.size.height:
                break
        return found[: self.size.height]

    # Scrolling.

    def _remember_top(self, y: int) -> None:
        """Remember which line of which block is at the top of the view."""
        number = self._block_at(y)
        if number < len(self._placed):
            self._top_block = (self._placed[number][1], y - self._start(number))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Scroll by exactly as many lines as the user wants."""
        super().watch_scroll_y(old_value, new_value)
        if self._moving or not self._placed or round(old_value) == round(new_value):
            return
        y = round(new_value)
        self.following = y >= self._total - self.size.height
        self._remember_top(self._stable_top(round(old_value), y))
        self.layout_blocks()

    def _stable_top(self, old: int, new: int) -> int:
        """Return the new top line after rendering the blocks that come into view from above.

        Their real heights may differ from the estimated ones, which `new` was computed from.
        """
        if new >= old or old - new > 3 * self.size.height or self._top_block is None:
            return new
        below = self._total - old
        self._render_range(max(0, new), old)
        return max(0, self._total - below - (old - new))

    def scroll_to_end(self) -> None:
        """Show the end, and keep it in view."""
        self.following = True
        self.layout_blocks()

    def on_resize(self) -> None:
        """Wrap the lines at the new width."""
        self._stale = True
        self.layout_blocks()

    # Lines for the compositor.

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the lines of the view within `crop`.

        A line that has not changed is the same object as before, because Textual caches what it
        computes from a strip.
        """
        if self._stale:
            # A widget may be drawn without a resize event after it was mounted.
            self.call_later(self.layout_blocks)
        if any(self.gutter):
            return super().render_lines(crop)  # It draws the border.
        strips = [self.render_line(y) for y in crop.line_range]
        background = self.background_colors[1]
        for line_filter in self.get_line_filters():
            strips = [strip.apply_filter(line_filter, background) for strip in strips]
        return [strip.crop(*crop.column_span) for strip in strips]

    def render_line(self, y: int) -> Strip:
        """Return a line of the view."""
        if self._stale:
            # The terminal will show other lines than those of the last layout.
            self._visible_lines = []
        if len(self._line_cache) > MAX_CACHED_LINES:
            self._line_cache.clear()
        line, columns = self.scroll_offset.y + y, self.content_size.width
        bar, text = self._line_parts(line)
        cached = self._line_cache.get(line)
        same = cached is not None and cached[0] is bar and cached[1] is text
        if cached is None or not same or cached[2] != columns:
            strip = Strip([*(bar or ()), *(text or ())])
            strip = strip.adjust_cell_length(columns, self.renderer.styles["base"])
            cached = self._line_cache[line] = (bar, text, columns, strip.apply_offsets(0, line))
        return self._with_selection(cached[3], line)

    def _line_parts(self, line: int) -> tuple[Strip | None, Strip | None]:
        """Return the bar and the text of a line; None for each that it does not have."""
        number = self._block_at(line)
        entry = self._entry_at_line(line)
        if entry is None:
            return None, None
        strips = self._placed[number][1].strips(self.renderer, self.text_columns)
        index = line - self._start(number)
        return self._bar(self.renderer, entry), strips[index] if index < len(strips) else None

    # Text that is selected with the mouse.

    @property
    def allow_select(self) -> bool:
        """Whether text can be selected with the mouse."""
        return True

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return the selected text."""
        start = selection.start.y if selection.start else 0
        end = selection.end.y if selection.end else self._total
        lines = [""] * start + [self._line_text(y) for y in range(start, end + 1)]
        return selection.extract("\n".join(lines)), "\n"

    def _line_text(self, line: int) -> str:
        _, text = self._line_parts(line)
        return " " * GUTTER_COLUMNS + text.text.rstrip() if text is not None else ""

    def selection_updated(self, selection: Selection | None) -> None:
        """Draw the selection."""
        self.refresh()

    def _with_selection(self, strip: Strip, line: int) -> Strip:
        # A widget that was removed may be drawn once more, and has no screen with a selection.
        selection = self.text_selection if self.is_attached else None
        if selection is None or (span := selection.get_span(line)) is None:
            return strip
        start, end = span[0], strip.cell_length if span[1] < 0 else span[1]
        style = self.screen.get_component_rich_style("screen--selection")
        before, selected, after = strip.crop(0, start), strip.crop(start, end), strip.crop(end)
        return Strip.join([before, selected.apply_style(style), after])


def _code_theme(dark: bool, ansi: bool) -> str:
    if ansi:
        return "ansi_dark" if dark else "ansi_light"
    return "monokai" if dark else "friendly"
