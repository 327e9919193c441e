"""The conversation on the screen: entries that the user can select and act on."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip

from ..rendering.blocks import Block
from ..rendering.entries import Entry
from ..rendering.renderer import LineRenderer
from ..rendering.tool_call_card import ToolCallCard, ToolCallRow
from .block_view import BlockView

EntryAction = Literal["copy", "edit", "retry", "branch", "rerun"]
ALL_ACTIONS: Collection[EntryAction] = get_args(EntryAction)


@dataclass
class EntryActionChosen(Message):
    """The user has chosen an action for an entry."""

    entry: Entry
    action: EntryAction


@dataclass
class CopyRequested(Message):
    """The user wants to copy a text to the clipboard."""

    text: str


class Transcript(BlockView, can_focus=True):
    """Shows entries below each other; the end stays in view until the user scrolls up."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "select(-1)", "Previous", show=False, id="chat.previous"),
        Binding("down,j", "select(1)", "Next", show=False, id="chat.next"),
        Binding("enter,space", "expand", "Expand", id="chat.expand"),
        Binding("c", "choose('copy')", "Copy", id="chat.copy"),
        Binding("e", "choose('edit')", "Edit", id="chat.edit"),
        Binding("r", "choose('retry')", "Retry", id="chat.retry"),
        Binding("b", "choose('branch')", "Branch", id="chat.branch"),
        Binding("x", "choose('rerun')", "Run again", id="chat.rerun"),
        Binding("home,g", "home", "First", show=False, id="chat.home"),
        Binding("end,G", "end", "Last", show=False, id="chat.end"),
    ]

    def __init__(
        self, id: str | None = None, actions: Collection[EntryAction] = ALL_ACTIONS
    ) -> None:
        super().__init__(id=id)
        self.entries: list[Entry] = []
        self.selected: Entry | None = None
        self.actions = actions
        """The actions for entries that the screen can run."""

    def append(self, entry: Entry) -> None:
        """Add an entry at the end."""
        self.entries.append(entry)
        self.invalidate()

    def show_entries(self, entries: list[Entry]) -> None:
        """Show other entries, from their end."""
        self.entries = entries
        self.selected, self.following, self._top_block = None, True, None
        self.invalidate()

    def _blocks(self, width: int) -> Iterator[tuple[Entry | None, Block]]:
        for entry in self.entries:
            yield None, entry.gap
            parts: list[Entry] = [entry]
            if isinstance(entry, ToolCallRow) and not entry.fits_in_row(width):
                parts = list(entry.cards)
            for number, part in enumerate(parts):
                if number:
                    yield None, part.gap
                for block in part.blocks(width):
                    yield part, block

    def _bar(self, renderer: LineRenderer, entry: Entry) -> Strip:
        if isinstance(entry, ToolCallRow) and entry.cards:
            entry = entry.cards[0]
        return renderer.bar(entry.color, entry is self.selected)

    # Selecting an entry.

    def selectable(self) -> list[Entry]:
        """Return the entries that can be selected, in their order."""
        found: list[Entry] = []
        for entry in self.entries:
            found += entry.cards if isinstance(entry, ToolCallRow) else [entry]
        return found

    def action_select(self, step: int) -> None:
        """Select the previous or the next entry."""
        entries = self.selectable()
        if not entries:
            return
        if self.selected in entries:
            index = entries.index(self.selected) + step
        else:
            index = len(entries) - 1 if step < 0 else 0
        self.select(entries[max(0, min(index, len(entries) - 1))])

    def select(self, entry: Entry | None) -> None:
        """Highlight the bar of an entry, and scroll to it."""
        self.selected = entry
        for row in self.entries:
            if isinstance(row, ToolCallRow):
                row.select(entry)
        self._visible_lines = []
        self.refresh()
        if entry is not None:
            self.scroll_to_entry(entry)

    def scroll_to_entry(self, entry: Entry) -> None:
        """Scroll until the beginning of an entry is in view."""
        if self._stale:
            self.layout_blocks()
        top = self.scroll_offset.y
        for number, (owner, _) in enumerate(self._placed):
            if owner is entry or (isinstance(owner, ToolCallRow) and entry in owner.cards):
                start = self._start(number)
                if not top <= start < top + self.size.height - 1:
                    above = self.size.height // 3 if start > top else 1
                    self.scroll_to(y=max(0, start - above), animate=False)
                return

    def action_expand(self) -> None:
        """Expand or collapse the selected tool call."""
        if isinstance(self.selected, ToolCallCard):
            self.following = False
            self.selected.toggle()
            self.invalidate()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether the screen can run an action; the footer shows only these."""
        return action != "choose" or parameters[0] in self.actions

    def action_choose(self, action: EntryAction) -> None:
        """Post an action for the selected entry, or for the last one."""
        entries = self.selectable()
        if entries:
            entry = self.selected if self.selected in entries else entries[-1]
            assert entry is not None
            self.post_message(EntryActionChosen(entry, action))

    def action_home(self) -> None:
        """Scroll to the beginning."""
        self.scroll_to(y=0, animate=False)

    def action_end(self) -> None:
        """Scroll to the end, and keep it in view."""
        self.scroll_to_end()

    def on_click(self, event: events.Click) -> None:
        """Select the entry under the mouse; a second click expands it."""
        owner = self._entry_at_line(self.scroll_offset.y + event.y)
        if owner is None or self.text_selection is not None:
            return
        entry = owner.entry_at(event.x, self.text_columns)
        if entry is self.selected:
            self.action_expand()
        self.select(entry)
