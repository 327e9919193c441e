"""The help screen: commands and keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Static

from ..commands import COMMANDS
from ..keymap import KeyBinding
from ..rendering import blocks
from ..rendering.blocks import Block
from ..widgets.key_bar import KeyBar
from ..widgets.text_viewer import TextViewer

KEYS_HELP = """\
Prompt: Enter sends. Shift+Enter, Alt+Enter or Ctrl+J inserts a line break. Up and down recall
earlier prompts. @ attaches a file. Tab moves to an approval prompt.

Messages (F6): up and down select, Enter expands, c copies, e edits, r sends the message again,
b continues in a copy, x runs a tool call again.

Approval: y allows once; c allows this exact call and t this tool for this session, C and T
always. n, Enter or Escape denies; r denies with a reason that the model reads. e edits the
arguments first. Long details must be read to their end before a key allows the call.

Copying uses the system's clipboard program if there is one, otherwise the terminal (OSC 52).
In tmux, run `set -g set-clipboard on`. In most terminals, Shift selects text without the app.

To change keys, create keys.toml in the configuration folder, for example with the line
"app.quit" = "ctrl+x".
"""


class HelpScreen(Screen[None]):
    """Shows the commands, the keys and the ids of the key bindings."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "Back", priority=True, key_display="esc"),
        Binding("up,k", "scroll_text(-1)", "Up", show=False),
        Binding("down,j", "scroll_text(1)", "Down", show=False),
        Binding("pageup", "scroll_text(-15)", "Page up", show=False),
        Binding("pagedown,space", "scroll_text(15)", "Page down", show=False),
    ]

    def __init__(self, bindings: Mapping[str, KeyBinding]) -> None:
        super().__init__()
        self.bindings = bindings
        """The key bindings that the user can change, by their ids."""

    def compose(self) -> ComposeResult:
        """Create the text."""
        yield Static("Help", classes="title-bar")
        yield TextViewer(list(self._blocks()), id="text")
        yield KeyBar()

    def _blocks(self) -> Iterator[Block]:
        for command in COMMANDS:
            yield blocks.labeled_block(f"{command.usage:<16} {command.key}", command.help, 26)
        yield blocks.Gap()
        for paragraph in KEYS_HELP.split("\n\n"):
            yield from blocks.text_blocks(" ".join(paragraph.split()))
            yield blocks.Gap()
        yield from blocks.text_blocks("Key bindings for keys.toml:")
        for id_, binding in sorted(self.bindings.items()):
            text = f"{binding.help}: {binding.keys}"
            yield blocks.labeled_block(id_, text, 22)

    def action_scroll_text(self, lines: int) -> None:
        """Scroll the text."""
        self.query_one(TextViewer).scroll_relative(y=lines, animate=False)
