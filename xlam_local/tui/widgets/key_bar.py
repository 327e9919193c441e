"""The keys that apply now, as many as fit into the last line of a screen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

LESS_IMPORTANT = ("switch_focus", "command('new')", "quit", "command_palette")
"""The actions whose keys are shown if there is room after all others."""


class KeyBar(Footer):
    """Shows the keys of what has the focus first, then those of the screen and of the app."""

    def __init__(self) -> None:
        super().__init__(compact=True)

    def compose(self) -> ComposeResult:
        """Create the keys that fit whole."""
        yield from fitting(sorted(super().compose(), key=_importance), self.app.size.width - 1)

    def on_resize(self, event: events.Resize) -> None:
        """Show more or fewer keys."""
        self.call_after_refresh(self.recompose)


def fitting(keys: Iterable[Widget], columns: int) -> Iterator[Widget]:
    """Yield the first keys, until the next one does not fit."""
    for key in keys:
        if isinstance(key, FooterKey):
            # A space between the key and its description, and one after both.
            columns -= cell_len(key.key_display) + cell_len(key.description) + 2
        if columns < 0:
            return
        yield key


def _importance(key: Widget) -> int:
    if not isinstance(key, FooterKey):
        return 0
    if key.key in ("escape", "tab"):
        return -1
    return 1 + LESS_IMPORTANT.index(key.action) if key.action in LESS_IMPORTANT else 0
