"""Where the user types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

PASTED = 4000
"""Characters from which on a pasted text is shown by its size only."""
REMEMBERED = 200
"""Things said before that the arrow keys bring back."""


@dataclass
class Submitted(Message):
    """The user sends something."""

    text: str


@dataclass
class Typed(Message):
    """What is typed has changed."""

    text: str
    before: str
    """The text of the line up to the cursor."""


@dataclass
class Pick(Message):
    """The user moves among what completes the text, takes it or leaves it."""

    step: int = 0
    take: bool = False


class Prompt(TextArea):
    """Text of several lines; Enter sends it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "shift+enter,ctrl+j,alt+enter", "newline", "New line", show=False, id="say.newline"
        ),
    ]

    def __init__(self, placeholder: str) -> None:
        super().__init__(
            placeholder=placeholder,
            id="say",
            compact=True,
            soft_wrap=True,
            tab_behavior="focus",
            show_line_numbers=False,
            highlight_cursor_line=False,
        )
        self.completing = False
        """Whether something is offered that completes the text."""
        self.said: list[str] = []
        self._at: int | None = None
        self._draft = ""
        self._pasted: dict[str, str] = {}

    def remember(self, said: Sequence[str]) -> None:
        """What the arrow keys bring back, the oldest first."""
        self.said = [*said, *self.said][-REMEMBERED:]

    async def _on_key(self, event: events.Key) -> None:
        """Send with Enter, complete with Tab, go back with the arrow keys."""
        if self._takes(event.key):
            event.stop()
            event.prevent_default()
        else:
            await super()._on_key(event)

    def _takes(self, key: str) -> bool:
        if self.completing and key in PICKS:
            self.post_message(PICKS[key])
        elif key == "enter":
            self.action_submit()
        elif key == "up" and self.cursor_location[0] == 0 and self.said:
            self._go(-1)
        elif key == "down" and self._at is not None and self._on_last_line():
            self._go(1)
        else:
            return False
        return True

    def _on_last_line(self) -> bool:
        return self.cursor_location[0] == self.document.line_count - 1

    def action_newline(self) -> None:
        """Begin a new line."""
        self.insert("\n")

    def action_submit(self) -> None:
        """Send what is typed."""
        text = self.text
        for mark, pasted in self._pasted.items():
            text = text.replace(mark, pasted)
        if not text.strip():
            return
        self._pasted.clear()
        self.said = [*self.said, text][-REMEMBERED:]
        self._at, self._draft = None, ""
        self.clear()
        self.post_message(Submitted(text.strip()))

    def _go(self, step: int) -> None:
        """Bring back what was said before."""
        if self._at is None:
            self._draft, self._at = self.text, len(self.said)
        self._at = max(0, self._at + step)
        if self._at >= len(self.said):
            self.write(self._draft)
            self._at = None
        else:
            self.write(self.said[self._at])

    def write(self, text: str) -> None:
        """Put a text in place of what is there."""
        self.text = text
        self.move_cursor(self.document.end)

    async def _on_paste(self, event: events.Paste) -> None:
        """Keep a long text aside, so that the line stays readable."""
        if len(event.text) <= PASTED:
            await super()._on_paste(event)
            return
        event.stop()
        event.prevent_default()
        lines = event.text.count("\n") + 1
        mark = f"[pasted text {len(self._pasted) + 1}: {lines:,} lines]"
        self._pasted[mark] = event.text.replace("\r\n", "\n").replace("\r", "\n")
        self.insert(mark)

    def on_text_area_changed(self) -> None:
        """Say what is typed."""
        row, column = self.cursor_location
        self.post_message(Typed(self.text, self.document.get_line(row)[:column]))

    def complete(self, word: str, by: str) -> None:
        """Replace the word before the cursor."""
        row, column = self.cursor_location
        self.replace(by, (row, column - len(word)), (row, column))


PICKS = {
    "up": Pick(-1),
    "down": Pick(1),
    "tab": Pick(take=True),
    "enter": Pick(take=True),
    "escape": Pick(),
}
