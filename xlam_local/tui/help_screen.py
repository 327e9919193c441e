"""The screen that tells the keys and the commands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer, Static

from . import blocks
from .commands import COMMANDS
from .sheet import Sheet

OTHER = """\
Enter sends · Shift+Enter, Alt+Enter or Ctrl+J begins a new line · up and down bring back what
you said before · @ attaches a file · Tab goes to a question that waits for an answer.

Among the messages (F6): up and down choose, Enter unfolds, c copies, e edits, r says it again,
b goes on in a copy, x runs a call again.

Before a tool acts: n, Enter or Escape refuse, r refuses with a reason that the model reads,
y lets it run once, c always this very call, t always this tool; C and T do so for good.

Copying takes the system's own tool where there is one, else asks the terminal (OSC 52). tmux
passes that on with `set -g set-clipboard on`. Shift marks text past the app in most terminals.

Other keys: `keys.toml` in the configuration folder, for example `"app.quit" = "ctrl+x"`.
"""


class HelpScreen(Screen[None]):
    """What can be pressed and said."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "Back", priority=True, key_display="esc"),
        Binding("up,k", "scroll_sheet(-1)", "Up", show=False),
        Binding("down,j", "scroll_sheet(1)", "Down", show=False),
        Binding("pageup", "scroll_sheet(-15)", "Page up", show=False),
        Binding("pagedown,space", "scroll_sheet(15)", "Page down", show=False),
    ]

    def __init__(self, bindings: Mapping[str, tuple[str, str]]) -> None:
        super().__init__()
        self.bindings = bindings

    def compose(self) -> ComposeResult:
        """Lay out the text."""
        yield Static("Help", classes="head")
        yield Sheet(blocks.of_text("\n".join(self._lines())), id="text")
        yield Footer()

    def _lines(self) -> Iterator[str]:
        for one in COMMANDS:
            said = f"/{one.name} {one.argument}".rstrip()
            yield f"{said:<18} {one.key:<8} {one.told}"
        yield ""
        yield OTHER
        yield "The names of all keys:"
        for name, (key, told) in sorted(self.bindings.items()):
            yield f"{name:<20} {key:<24} {told}"

    def action_scroll_sheet(self, lines: int) -> None:
        """Read on."""
        self.query_one(Sheet).scroll_relative(y=lines, animate=False)
