"""The conversation on the screen, of which only what is in view is drawn."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, zip_longest
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from .blocks import Block
from .entries import Card, Cards, Entry
from .pen import GUTTER, STYLES, Pen

DRAWN = 150
"""Blocks whose lines are kept; more than are ever in view."""
EDGE = 1
"""Columns left free at the right."""
LINES = 500
"""Lines that are kept as they are sent to the terminal; more than are ever in view."""


@dataclass
class Chosen(Message):
    """The user wants something done with an entry."""

    entry: Entry
    action: str
    """copy, edit, again, branch or run."""


class Transcript(ScrollView, can_focus=True):
    """Entries below each other; it stays at the end until the user scrolls up."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"transcript--{name}" for name in STYLES}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "select(-1)", "Previous", show=False, id="chat.previous"),
        Binding("down,j", "select(1)", "Next", show=False, id="chat.next"),
        Binding("enter,space", "fold", "Unfold", id="chat.fold"),
        Binding("c", "choose('copy')", "Copy", id="chat.copy"),
        Binding("e", "choose('edit')", "Edit", id="chat.edit"),
        Binding("r", "choose('again')", "Again", id="chat.again"),
        Binding("b", "choose('branch')", "Branch", id="chat.branch"),
        Binding("x", "choose('run')", "Run again", id="chat.run"),
        Binding("home,g", "home", "First", show=False, id="chat.home"),
        Binding("end,G", "end", "Last", show=False, id="chat.end"),
    ]

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.entries: list[Entry] = []
        self.selected: Entry | None = None
        self.following = True
        """Whether the end stays in view."""
        self._pen: Pen | None = None
        self._stale = True
        """Whether something has changed since the blocks were laid out."""
        self._flat: list[tuple[Entry | None, Block]] = []
        self._drawn: OrderedDict[Block, None] = OrderedDict()
        self._heights: list[int] = []
        """Of each block, as far as it is known."""
        self._ends: list[int] = []
        """The line after each block."""
        self._top: tuple[Block, int] | None = None
        """The block at the upper edge, and how many of its lines are above."""
        self._placing = False
        self._shown: list[tuple[Strip | None, Strip]] = []
        """What stood on each line in view when it was last placed."""
        self._lines: dict[int, tuple[Strip | None, Strip | None, int, Strip]] = {}
        """The bar, the text and the width of lines, and what they became."""

    @property
    def pen(self) -> Pen:
        """What the theme's colours are drawn with."""
        if self._pen is None:
            style = self.get_component_rich_style
            styles = {name: style(f"transcript--{name}") for name in STYLES}
            self._pen = Pen(
                styles, _code_theme(self.app.current_theme.dark, self.app.native_ansi_color)
            )
        return self._pen

    @property
    def wide(self) -> int:
        """Columns for what entries say."""
        return max(8, self.scrollable_content_region.width - GUTTER - EDGE)

    def notify_style_update(self) -> None:
        """Draw all anew in another theme."""
        super().notify_style_update()
        self._pen = None
        self._lines.clear()
        self.changed()

    def add(self, entry: Entry) -> None:
        """Put an entry at the end."""
        self.entries.append(entry)
        self.changed()

    def show(self, entries: list[Entry]) -> None:
        """Show another conversation, from its end."""
        self.entries = entries
        self.selected, self.following, self._top = None, True, None
        self.changed()

    def changed(self) -> None:
        """Lay out anew, once all that changes now has changed."""
        self._stale = True
        if self.is_attached:
            self.call_later(self.settle)

    def settle(self) -> None:
        """Draw what is in view, and place it, as heights are only known when drawn."""
        if not self.size.height or not self.is_attached:
            return
        pen, width = self.pen, self.wide
        if self._stale:
            self._stale = False
            self._flat = list(self._blocks(width))
            self._heights = [block.height(pen, width) for _, block in self._flat]
            self._ends = list(accumulate(self._heights))
        for _ in range(4):
            y = self._wanted_y()
            if not self._draw(y, y + self.size.height, pen, width):
                break
        self._place(y)

    def _blocks(self, width: int) -> Iterator[tuple[Entry | None, Block]]:
        for entry in self.entries:
            yield None, entry.gap
            parts: list[Entry] = [entry]
            if isinstance(entry, Cards) and not entry.beside(width):
                parts = list(entry.cards)
            for number, part in enumerate(parts):
                if number:
                    yield None, part.gap
                for block in part.blocks(width):
                    yield part, block

    @property
    def _total(self) -> int:
        return self._ends[-1] if self._ends else 0

    def _wanted_y(self) -> int:
        """The line at the upper edge."""
        last = max(0, self._total - self.size.height)
        if self.following:
            return last
        if self._top is None:
            return min(last, self.scroll_offset.y)
        for number, (_, block) in enumerate(self._flat):
            if block is self._top[0]:
                start = self._ends[number - 1] if number else 0
                return min(last, start + min(self._top[1], self._ends[number] - start - 1))
        return min(last, self.scroll_offset.y)

    def _draw(self, start: int, end: int, pen: Pen, width: int) -> bool:
        """Draw the blocks between two lines; whether one of them has another height now."""
        changed = False
        for number in range(bisect_right(self._ends, start), len(self._flat)):
            above = self._ends[number - 1] if number else 0
            if above >= end:
                break
            block = self._flat[number][1]
            height = len(block.strips(pen, width))
            self._keep(block)
            if height != self._heights[number]:
                self._heights[number], changed = height, True
        if changed:
            self._ends = list(accumulate(self._heights))
        return changed

    def _keep(self, block: Block) -> None:
        """Let go of the lines that were drawn longest ago: memory stays bounded."""
        self._drawn[block] = None
        self._drawn.move_to_end(block)
        while len(self._drawn) > DRAWN:
            self._drawn.popitem(last=False)[0].release()

    def _place(self, y: int) -> None:
        self._placing = True
        before, self._shown = self._shown, self._in_view(y)
        moved = y != self.scroll_offset.y
        whole = Size(self.scrollable_content_region.width, self._total)
        if self.show_vertical_scrollbar == (self._total > self.size.height):
            # The layout stays as it is: to work it out for each new line takes long.
            self.set_reactive(Transcript.virtual_size, whole)
            if self.show_vertical_scrollbar:
                self.vertical_scrollbar.window_virtual_size = self._total
        else:
            self.virtual_size = whole
        self.scroll_target_y = self.scroll_y = y
        self._placing = False
        self._hold(y)
        if moved:
            self.refresh()
            return
        # To draw all lines for each word of an answer would take time from the model.
        for row, (old, new) in enumerate(zip_longest(before, self._shown)):
            if old != new:
                self.refresh_line(y + row)

    def _in_view(self, y: int) -> list[tuple[Strip | None, Strip]]:
        """The bar, if there is one, and the text of each line from `y` on that is in view."""
        pen, width = self.pen, self.wide
        found: list[tuple[Strip | None, Strip]] = []
        first = bisect_right(self._ends, y)
        for number in range(first, len(self._flat)):
            entry, block = self._flat[number]
            start = self._ends[number - 1] if number else 0
            edge = self._bar(pen, entry) if entry is not None else None
            found += [(edge, strip) for strip in block.strips(pen, width)[max(0, y - start) :]]
            if len(found) >= self.size.height:
                break
        return found[: self.size.height]

    def _hold(self, y: int) -> None:
        """Remember what is at the upper edge."""
        number = bisect_right(self._ends, y)
        if number < len(self._flat):
            start = self._ends[number - 1] if number else 0
            self._top = (self._flat[number][1], y - start)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """The user scrolls: keep the lines that move in view together."""
        super().watch_scroll_y(old_value, new_value)
        if self._placing or not self._flat or round(old_value) == round(new_value):
            return
        y = round(new_value)
        self.following = y >= self._total - self.size.height
        self._hold(self._exactly(round(old_value), y))
        self.settle()

    def _exactly(self, old: int, new: int) -> int:
        """The line to stand at the top, with the blocks that come into view above drawn."""
        if new >= old or old - new > 3 * self.size.height or self._top is None:
            return new
        pen, width = self.pen, self.wide
        below = self._total - old
        self._draw(max(0, new), old, pen, width)
        return max(0, self._total - below - (old - new))

    def on_resize(self) -> None:
        """Fold the lines at the new edge."""
        self._stale = True
        self.settle()

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines of the screen within `crop`.

        A line that was drawn before is the same object as it was: Textual keeps with it what it
        has worked out for it.
        """
        if any(self.gutter):
            return super().render_lines(crop)  # It draws the border.
        strips = [self.render_line(y) for y in crop.line_range]
        background = self.background_colors[1]
        for line_filter in self.get_line_filters():
            strips = [strip.apply_filter(line_filter, background) for strip in strips]
        return [strip.crop(*crop.column_span) for strip in strips]

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        if self._stale:
            # What is drawn now is not what was placed.
            self._shown = []
        if len(self._lines) > LINES:
            self._lines.clear()
        line, across = self.scroll_offset.y + y, self.content_size.width
        edge, text = self._parts(line)
        known = self._lines.get(line)
        same = known is not None and known[0] is edge and known[1] is text
        if known is None or not same or known[2] != across:
            whole = Strip([*(edge or ()), *(text or ())])
            whole = whole.adjust_cell_length(across, self.pen.styles["base"])
            known = self._lines[line] = (edge, text, across, whole.apply_offsets(0, line))
        return self._marked(known[3], line)

    def _parts(self, line: int) -> tuple[Strip | None, Strip | None]:
        """The bar and the text of a line of the conversation."""
        number = bisect_right(self._ends, line)
        if number >= len(self._flat):
            return None, None
        entry, block = self._flat[number]
        if entry is None:
            return None, None
        strips = block.strips(self.pen, self.wide)
        within = line - (self._ends[number - 1] if number else 0)
        return self._bar(self.pen, entry), strips[within] if within < len(strips) else None

    def _bar(self, pen: Pen, entry: Entry) -> Strip:
        if isinstance(entry, Cards) and entry.cards:
            entry = entry.cards[0]
        return pen.bar(entry.colour, entry is self.selected)

    def _marked(self, strip: Strip, line: int) -> Strip:
        """The line with what the mouse has marked."""
        # What was taken away may be drawn once more; it has no screen to ask for a selection.
        selection = self.text_selection if self.is_attached else None
        if selection is None or (span := selection.get_span(line)) is None:
            return strip
        start, end = span[0], strip.cell_length if span[1] < 0 else span[1]
        style = self.screen.get_component_rich_style("screen--selection")
        before, marked, after = strip.crop(0, start), strip.crop(start, end), strip.crop(end)
        return Strip.join([before, marked.apply_style(style), after])

    @property
    def allow_select(self) -> bool:
        """Text can be marked with the mouse."""
        return True

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The text that is marked."""
        start = selection.start.y if selection.start else 0
        end = selection.end.y if selection.end else self._total
        lines = [""] * start + [self._line_text(y) for y in range(start, end + 1)]
        return selection.extract("\n".join(lines)), "\n"

    def _line_text(self, line: int) -> str:
        number = bisect_right(self._ends, line)
        if number >= len(self._flat) or self._flat[number][0] is None:
            return ""
        strips = self._flat[number][1].strips(self.pen, self.wide)
        within = line - (self._ends[number - 1] if number else 0)
        return "  " + strips[within].text.rstrip() if within < len(strips) else ""

    def selection_updated(self, selection: Selection | None) -> None:
        """Show what is marked."""
        self.refresh()

    # What the keys do.

    def choices(self) -> list[Entry]:
        """What can be selected, from the first to the last."""
        found: list[Entry] = []
        for entry in self.entries:
            found += entry.cards if isinstance(entry, Cards) else [entry]
        return found

    def action_select(self, step: int) -> None:
        """Go to the previous or the next entry."""
        choices = self.choices()
        if not choices:
            return
        if self.selected in choices:
            number = choices.index(self.selected) + step
        else:
            number = len(choices) - 1 if step < 0 else 0
        self.select(choices[max(0, min(number, len(choices) - 1))])

    def select(self, entry: Entry | None) -> None:
        """Light the bar of an entry, and bring it into view."""
        self.selected = entry
        for one in self.entries:
            if isinstance(one, Cards):
                one.select(entry)
        self._shown = []
        self.refresh()
        if entry is not None:
            self.bring_into_view(entry)

    def bring_into_view(self, entry: Entry) -> None:
        """Scroll as far as it takes to see the beginning of an entry."""
        if self._stale:
            self.settle()
        top = self.scroll_offset.y
        for number, (owner, _) in enumerate(self._flat):
            if owner is entry or (isinstance(owner, Cards) and entry in owner.cards):
                start = self._ends[number - 1] if number else 0
                if not top <= start < top + self.size.height - 1:
                    above = self.size.height // 3 if start > top else 1
                    self.scroll_to(y=max(0, start - above), animate=False)
                return

    def action_fold(self) -> None:
        """Show all of the selected card, or its beginning."""
        if isinstance(self.selected, Card):
            self.following = False
            self.selected.fold()
            self.changed()

    def action_choose(self, action: str) -> None:
        """Do something with the selected entry, or the last one."""
        choices = self.choices()
        entry = self.selected if self.selected in choices else choices[-1] if choices else None
        if entry is not None:
            self.post_message(Chosen(entry, action))

    def action_home(self) -> None:
        """Go to the beginning."""
        self.scroll_to(y=0, animate=False)

    def action_end(self) -> None:
        """Go to the end, and stay there."""
        self.following = True
        self.settle()

    def on_click(self, event: events.Click) -> None:
        """Select what is clicked; a second click unfolds it."""
        number = bisect_right(self._ends, self.scroll_offset.y + event.y)
        owner = self._flat[number][0] if number < len(self._flat) else None
        if owner is None or self.text_selection is not None:
            return
        entry = owner.at(event.x, self.wide)
        if entry is self.selected:
            self.action_fold()
        self.select(entry)


def _code_theme(dark: bool, ansi: bool) -> str:
    if ansi:
        return "ansi_dark" if dark else "ansi_light"
    return "monokai" if dark else "friendly"
