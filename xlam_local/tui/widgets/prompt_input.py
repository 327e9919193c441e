"""The text field in which the user types messages and commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

FOLD_PASTE_CHARS = 4000
"""Longer pasted texts are shown as a placeholder with their size."""
MAX_PAST_PROMPTS = 200
"""Past prompts that the arrow keys recall."""


@dataclass
class PromptSubmitted(Message):
    """The user has submitted a text."""

    text: str


@dataclass
class PromptChanged(Message):
    """The user has changed the text."""

    text: str
    before: str
    """The cursor's line up to the cursor."""


@dataclass
class CompletionChosen(Message):
    """The user moves among the completions, accepts one or closes the list."""

    step: int = 0
    """How far to move; 0 accepts or closes."""
    accept: bool = False
    submit: bool = False
    """Whether the text is submitted if it has no completion."""


class PromptInput(TextArea):
    """A text field of several lines; Enter submits it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "shift+enter,ctrl+j,alt+enter", "newline", "New line", show=False, id="prompt.newline"
        ),
    ]

    def __init__(self, placeholder: str) -> None:
        super().__init__(
            placeholder=placeholder,
            id="prompt-input",
            compact=True,
            soft_wrap=True,
            tab_behavior="focus",
            show_line_numbers=False,
            highlight_cursor_line=False,
        )
        self.completing = False
        """Whether completions are shown, which take some keys."""
        self.past_prompts: list[str] = []
        self._recalled: int | None = None
        """The index of the past prompt in the field."""
        self._draft = ""
        """The text before a past prompt was recalled."""
        self._pasted: dict[str, str] = {}
        """Long pasted texts by their placeholders."""

    def add_past_prompts(self, prompts: Sequence[str]) -> None:
        """Add prompts of earlier conversations, the oldest first."""
        self.past_prompts = [*prompts, *self.past_prompts][-MAX_PAST_PROMPTS:]

    async def _on_key(self, event: events.Key) -> None:
        """Handle Enter, the arrow keys and the keys of the completions."""
        if self._handle_key(event.key):
            event.stop()
            event.prevent_default()
        else:
            await super()._on_key(event)

    def _handle_key(self, key: str) -> bool:
        if self.completing and key in COMPLETION_KEYS:
            self.post_message(COMPLETION_KEYS[key])
        elif key == "enter":
            self.action_submit()
        elif key == "up" and self.cursor_location[0] == 0 and self.past_prompts:
            self._recall(-1)
        elif key == "down" and self._recalled is not None and self._on_last_line():
            self._recall(1)
        else:
            return False
        return True

    def _on_last_line(self) -> bool:
        return self.cursor_location[0] == self.document.line_count - 1

    def action_newline(self) -> None:
        """Insert a line break."""
        self.insert("\n")

    def action_submit(self) -> None:
        """Submit the text, with pasted texts in full."""
        text = self.text
        for placeholder, pasted in self._pasted.items():
            text = text.replace(placeholder, pasted)
        if not text.strip():
            return
        self._pasted.clear()
        self.past_prompts = [*self.past_prompts, text][-MAX_PAST_PROMPTS:]
        self._recalled, self._draft = None, ""
        self.clear()
        self.post_message(PromptSubmitted(text.strip()))

    def _recall(self, step: int) -> None:
        """Show an earlier or a later prompt; after the last one, the draft again."""
        if self._recalled is None:
            self._draft, self._recalled = self.text, len(self.past_prompts)
        self._recalled = max(0, self._recalled + step)
        if self._recalled >= len(self.past_prompts):
            self.set_text(self._draft)
            self._recalled = None
        else:
            self.set_text(self.past_prompts[self._recalled])

    def set_text(self, text: str) -> None:
        """Replace the text, and move the cursor to its end."""
        self.text = text
        self.move_cursor(self.document.end)

    async def _on_paste(self, event: events.Paste) -> None:
        """Show a placeholder for a long pasted text."""
        if len(event.text) <= FOLD_PASTE_CHARS:
            await super()._on_paste(event)
            return
        event.stop()
        event.prevent_default()
        text = event.text.replace("\r\n", "\n").replace("\r", "\n")
        lines = text.count("\n") + 1
        placeholder = f"[pasted text {len(self._pasted) + 1}: {lines:,} lines]"
        self._pasted[placeholder] = text
        self.insert(placeholder)

    def on_text_area_changed(self) -> None:
        """Post what the user has typed."""
        self.post_message(PromptChanged(self.text, self.text_before_cursor))

    @property
    def text_before_cursor(self) -> str:
        """The text of the cursor's line up to the cursor."""
        row, column = self.cursor_location
        return str(self.document.get_line(row)[:column])

    def complete(self, word: str, replacement: str) -> None:
        """Replace the word before the cursor."""
        row, column = self.cursor_location
        self.replace(replacement, (row, column - len(word)), (row, column))


COMPLETION_KEYS = {
    "up": CompletionChosen(-1),
    "down": CompletionChosen(1),
    "tab": CompletionChosen(accept=True),
    "enter": CompletionChosen(accept=True, submit=True),
    "escape": CompletionChosen(),
}
