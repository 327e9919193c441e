"""The screen of all conversations: find, open, rename, delete and export them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widgets import Footer, Input, OptionList, Static
from textual.widgets.option_list import Option

from ..errors import XlamError
from .pen import clean
from .scribe import Scribe
from .transcript import Transcript

if TYPE_CHECKING:
    from ..history import Found, History, Summary
    from ..types import Message
    from .app import XlamApp

SHOWN = 500
"""Conversations in the list; a search finds the others."""
PREVIEWED = 200
"""Messages that are shown of a conversation before it is opened."""


class HistoryScreen(Screen[int | None]):
    """A list of conversations, and the one that is chosen beside it."""

    app: XlamApp
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Back", priority=True),
        Binding("enter", "open", "Open", show=True),
        Binding("f7", "export", "Export"),
        Binding("delete,f8", "remove", "Delete", key_display="f8"),
        Binding("f9", "rename", "Rename"),
    ]

    def __init__(self, history: History, words: str = "") -> None:
        super().__init__()
        self.history = history
        self.words = words
        self.numbers: list[int] = []
        """The conversations in the list."""
        self.renaming = False
        self.sure: int | None = None
        """The conversation that the next press of the key deletes."""

    def compose(self) -> ComposeResult:
        """Lay out the list and the conversation."""
        yield Static("Conversations", classes="head")
        yield Input(self.words, placeholder="Words to search for", id="words")
        with Horizontal(classes="halves"):
            yield OptionList(id="list")
            with Vertical(classes="right"):
                yield Transcript(id="preview")
        yield Static(id="told", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Show what there is."""
        self.scribe = Scribe(self.query_one("#preview", Transcript), self.app.tool)
        self.search()
        self.query_one("#list" if not self.words else "#words").focus()

    # What is shown.

    @on(Input.Changed, "#words")
    def changed(self) -> None:
        """Search while the user types."""
        if not self.renaming:
            self.search()

    def search(self) -> None:
        """Look in the history, beside the screen."""
        words = self.query_one("#words", Input).value
        self.run_worker(lambda: self._found(words), thread=True, exclusive=True, group="search")

    def _found(self, words: str) -> None:
        try:
            found: Sequence[Summary | Found]
            found = self.history.search(words) if words.strip() else self.history.summaries(SHOWN)
        except XlamError as error:
            self.app.call_from_thread(self.tell, str(error))
            return
        self.app.call_from_thread(self.fill, found)

    def fill(self, found: Sequence[Summary | Found]) -> None:
        """Put what was found in the list."""
        listed = self.query_one("#list", OptionList)
        listed.clear_options()
        self.numbers = []
        seen: set[int] = set()
        for one in found:
            summary, excerpt = _told(one)
            if summary.id not in seen:
                seen.add(summary.id)
                self.numbers.append(summary.id)
                listed.add_option(Option(_line(summary, excerpt)))
        many = "conversation" if len(self.numbers) == 1 else "conversations"
        self.tell(f"{len(self.numbers):,} {many}" if found else "Nothing is found.")
        if self.numbers:
            listed.highlighted = 0

    @on(OptionList.OptionHighlighted)
    def highlighted(self) -> None:
        """Show the conversation that is chosen."""
        self.sure = None
        if (number := self.chosen) is not None:
            self.run_worker(lambda: self._read(number), thread=True, exclusive=True, group="read")

    def _read(self, number: int) -> None:
        try:
            messages = self.history.messages(number)
        except XlamError as error:
            self.app.call_from_thread(self.tell, str(error))
            return
        self.app.call_from_thread(self.preview, number, messages)

    def preview(self, number: int, messages: Sequence[Message]) -> None:
        """Show the end of a conversation."""
        if number == self.chosen:
            self.scribe.show(messages[-PREVIEWED:])

    @property
    def chosen(self) -> int | None:
        """The conversation that is chosen."""
        place = self.query_one("#list", OptionList).highlighted
        return self.numbers[place] if place is not None and place < len(self.numbers) else None

    def tell(self, text: str) -> None:
        """Say something under the list."""
        self.query_one("#told", Static).update(clean(text))

    # What the keys do.

    def action_close(self) -> None:
        """Leave the title alone, or go back."""
        if self.renaming:
            self._renamed()
        else:
            self.dismiss(None)

    @on(OptionList.OptionSelected)
    def action_open(self) -> None:
        """Go on with the conversation."""
        if (number := self.chosen) is not None:
            self.dismiss(number)

    @on(Input.Submitted, "#words")
    def submitted(self, submitted: Input.Submitted) -> None:
        """Take the title, or go to the list."""
        if self.renaming and (number := self.chosen) is not None:
            self.history.rename(number, submitted.value)
            self._renamed()
        else:
            self.query_one("#list").focus()

    def action_rename(self) -> None:
        """Let the user type a title."""
        if (number := self.chosen) is not None and not self.renaming:
            self.renaming = True
            self.words = self.query_one("#words", Input).value
            field = self.query_one("#words", Input)
            field.value = self.history.get(number).title
            field.focus()
            self.tell("Type the title; Enter keeps it, Escape leaves it as it was.")

    def _renamed(self) -> None:
        self.query_one("#words", Input).value = self.words
        self.renaming = False
        self.query_one("#list").focus()
        self.search()

    def action_remove(self) -> None:
        """Delete the conversation, when the key is pressed twice."""
        number = self.chosen
        if number is None:
            return
        if number == self.app.desk.number:
            self.tell("This conversation is open; begin another one first.")
        elif self.sure != number:
            self.sure = number
            self.tell("Press the key again to delete this conversation for good.")
        else:
            self.history.remove(number)
            self.search()

    def action_export(self) -> None:
        """Write the conversation as Markdown into the working folder."""
        if (number := self.chosen) is not None:
            try:
                self.tell(f"Written to {self.app.desk.export_one(number)}.")
            except XlamError as error:
                self.tell(str(error))


def _told(one: Summary | Found) -> tuple[Summary, str]:
    from ..history import Found

    return (one.conversation, one.excerpt) if isinstance(one, Found) else (one, "")


def _line(summary: Summary, excerpt: str) -> Text:
    when = datetime.fromtimestamp(summary.changed)
    text = Text(clean(summary.title), "bold", no_wrap=True, overflow="ellipsis")
    told = f"{when:%Y-%m-%d %H:%M} · {summary.messages} messages"
    text.append(f"\n{clean(told)}", "dim")
    if excerpt:
        text.append(f"\n{clean(excerpt)}", "italic")
    return text
