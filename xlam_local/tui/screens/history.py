"""The history screen: find, open, rename, delete and export conversations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from ...errors import XlamError
from ...history import History, SearchHit, Summary
from ...types import Message, Tool
from ..rendering.renderer import safe_text
from ..state import ratings
from ..widgets.key_bar import KeyBar
from ..widgets.presenter import TranscriptPresenter
from ..widgets.transcript import CopyRequested, EntryActionChosen, Transcript

MAX_LISTED = 500
"""Conversations in the list; a search also finds the others."""
MAX_PREVIEW_MESSAGES = 200


class HistoryScreen(Screen[int | None]):
    """A list of conversations with a preview; returns the id of the one to open."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Back", priority=True),
        Binding("enter", "save_title", "Save the title", priority=True),
        Binding("enter", "open", "Open", priority=True),
        Binding("ctrl+l", "rate", "Rate"),
        Binding("ctrl+o", "export_training", "Training data"),
        Binding("f7", "export", "Export"),
        Binding("delete,f8", "delete", "Delete", key_display="f8"),
        Binding("f9", "rename", "Rename"),
        # The list has these keys too; here they also work while the user types.
        Binding("up", "move('cursor_up')", "Up", show=False),
        Binding("down", "move('cursor_down')", "Down", show=False),
        Binding("pageup", "move('page_up')", "Page up", show=False),
        Binding("pagedown", "move('page_down')", "Page down", show=False),
    ]

    def __init__(
        self,
        history: History,
        export: Callable[[int], Path],
        find_tool: Callable[[str], Tool | None],
        open_id: int | None = None,
        words: str = "",
    ) -> None:
        super().__init__()
        self.history = history
        self.export = export
        """Exports a conversation; returns the file's path."""
        self.cwd = Path()
        """The folder for training data."""
        self.find_tool = find_tool
        self.open_id = open_id
        """The id of the current conversation, which cannot be deleted."""
        self.why_not_open: Callable[[], str] = str
        """Returns why no conversation can be opened now; empty if one can."""
        self.words = words
        """The words to search for."""
        self.ids: list[int] = []
        """The ids of the listed conversations."""
        self.renaming = False
        """Whether the search field holds a title."""
        self.confirming: int | None = None
        """The conversation that the next press of the delete key deletes."""
        self._listed_words: str | None = None
        """The words that the listed conversations were searched for."""
        self._opening = False
        """Whether to open the first conversation as soon as the typed words are searched for."""

    def compose(self) -> ComposeResult:
        """Create the search field, the list and the preview."""
        yield Static("Conversations", classes="title-bar")
        yield Input(self.words, placeholder="Type to search all conversations", id="words")
        with Horizontal(classes="columns"):
            yield OptionList(id="list")
            with Vertical(classes="right"):
                yield Transcript(id="preview", actions={"copy"})
        yield Static(id="message", markup=False)
        yield KeyBar()

    def on_mount(self) -> None:
        """List the conversations."""
        self.presenter = TranscriptPresenter(self.query_one("#preview", Transcript), self.find_tool)
        self.search()
        self.query_one("#words").focus()

    # The list and the preview.

    @on(Input.Changed, "#words")
    def search_while_typing(self) -> None:
        """Search for the words that are typed so far."""
        if not self.renaming:
            self.search()

    def search(self) -> None:
        """Search the history in a thread, and list what is found."""
        words = self._typed_words()
        self.run_worker(lambda: self._search(words), thread=True, exclusive=True, group="search")

    def _typed_words(self) -> str:
        return self.words if self.renaming else self.query_one("#words", Input).value

    def _search(self, words: str) -> None:
        try:
            found: Sequence[Summary | SearchHit]
            found = (
                self.history.search(words) if words.strip() else self.history.summaries(MAX_LISTED)
            )
        except XlamError as error:
            self.app.call_from_thread(self.show_message, str(error))
            return
        self.app.call_from_thread(self.fill, words, found)

    def fill(self, words: str, found: Sequence[Summary | SearchHit]) -> None:
        """List the conversations that were found for some words, each once."""
        if words != self._typed_words():
            return  # The user has typed on, and another search runs.
        self._listed_words = words
        conversations = self.query_one("#list", OptionList)
        conversations.clear_options()
        self.ids = []
        for item in found:
            summary, excerpt = _summary_and_excerpt(item)
            if summary.id not in self.ids:
                self.ids.append(summary.id)
                conversations.add_option(Option(_option_text(summary, excerpt)))
        noun = "conversation" if len(self.ids) == 1 else "conversations"
        self.show_message(f"{len(self.ids):,} {noun}" if found else "No conversations found.")
        if self.ids:
            conversations.highlighted = 0
        if self._opening:
            self._opening = False
            self.action_open()

    @on(OptionList.OptionHighlighted)
    def preview_highlighted(self) -> None:
        """Preview the highlighted conversation."""
        self.confirming = None
        if (id_ := self.selected) is not None:
            self.run_worker(lambda: self._read(id_), thread=True, exclusive=True, group="read")

    def _read(self, id_: int) -> None:
        try:
            messages = self.history.messages(id_)
            rating = ratings.last_rating(self.history, id_)
        except XlamError as error:
            self.app.call_from_thread(self.show_message, str(error))
            return
        self.app.call_from_thread(self.preview, id_, messages, rating)

    def preview(self, id_: int, messages: Sequence[Message], rating: int) -> None:
        """Show the last messages of a conversation, and the rating of its last answer."""
        if id_ == self.selected:
            self.presenter.show(messages[-MAX_PREVIEW_MESSAGES:])
            if rating:
                self.show_message(ratings.RATING_TEXTS[rating])

    @property
    def selected(self) -> int | None:
        """The id of the highlighted conversation."""
        index = self.query_one("#list", OptionList).highlighted
        return self.ids[index] if index is not None and index < len(self.ids) else None

    def show_message(self, text: str) -> None:
        """Show a text under the list."""
        self.query_one("#message", Static).update(safe_text(text))

    # The keys.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action applies now: the footer and the keys have only these."""
        if action == "open":
            return not (self.renaming or isinstance(self.focused, Transcript))
        if action in ("rate", "export_training", "export", "delete", "rename", "move"):
            return not self.renaming
        return action != "save_title" or self.renaming

    def action_move(self, movement: str) -> None:
        """Move in the list."""
        getattr(self.query_one("#list"), f"action_{movement}")()

    def action_close(self) -> None:
        """Stop renaming, or close the screen."""
        if self.renaming:
            self._end_renaming()
        else:
            self.dismiss(None)

    @on(OptionList.OptionSelected)
    def action_open(self) -> None:
        """Open the conversation, which may have to be found first."""
        if reason := self.why_not_open():
            self.show_message(f"{reason} You can search, read, export, rename and delete.")
        elif self._listed_words != self._typed_words():
            self._opening = True
        elif (id_ := self.selected) is not None:
            self.dismiss(id_)

    @on(EntryActionChosen)
    def copy_entry(self, chosen: EntryActionChosen) -> None:
        """Copy an entry of the preview."""
        self.post_message(CopyRequested(chosen.entry.text))

    def action_save_title(self) -> None:
        """Save the title that was typed."""
        if (id_ := self.selected) is not None:
            self.history.rename(id_, self.query_one("#words", Input).value)
        self._end_renaming()

    def action_rename(self) -> None:
        """Let the user type a title into the search field."""
        if (id_ := self.selected) is not None and not self.renaming:
            self.renaming = True
            field = self.query_one("#words", Input)
            self.words = field.value
            field.value = self.history.get(id_).title
            field.focus()
            self.show_message("Type a title. Enter saves it, Escape cancels.")
            self.refresh_bindings()

    def _end_renaming(self) -> None:
        field = self.query_one("#words", Input)
        with field.prevent(Input.Changed):
            field.value = self.words
        self.renaming = False
        field.focus()
        self.search()
        self.refresh_bindings()

    def action_delete(self) -> None:
        """Delete the conversation when the key is pressed twice."""
        id_ = self.selected
        if id_ is None:
            return
        if id_ == self.open_id:
            self.show_message("This conversation is open. Start a new one to delete it.")
        elif self.confirming != id_:
            self.confirming = id_
            self.show_message("Press the key again to delete this conversation permanently.")
        else:
            self.history.remove(id_)
            self.search()

    def action_rate(self) -> None:
        """Rate the last answer of the conversation: up, down, none."""
        if (id_ := self.selected) is not None:
            self._show_result(lambda: ratings.rate_last_answer(self.history, id_))

    def action_export_training(self) -> None:
        """Export all replies that are rated up as training data to the working folder."""

        def export() -> None:
            try:
                text = ratings.export_rated(self.history, self.cwd)
            except XlamError as error:
                text = str(error)
            self.app.call_from_thread(self.show_message, text)

        self.run_worker(export, thread=True, exclusive=True, group="export")

    def action_export(self) -> None:
        """Export the conversation as Markdown to the working folder."""
        if (id_ := self.selected) is not None:
            self._show_result(lambda: f"Exported to {self.export(id_)}.")

    def _show_result(self, action: Callable[[], str]) -> None:
        """Show the sentence that an action returns, or its error."""
        try:
            self.show_message(action())
        except XlamError as error:
            self.show_message(str(error))


def _summary_and_excerpt(item: Summary | SearchHit) -> tuple[Summary, str]:
    return (item.conversation, item.excerpt) if isinstance(item, SearchHit) else (item, "")


def _option_text(summary: Summary, excerpt: str) -> Text:
    when = datetime.fromtimestamp(summary.changed)
    text = Text(safe_text(summary.title), "bold", no_wrap=True, overflow="ellipsis")
    details = f"{when:%Y-%m-%d %H:%M} · {summary.messages} messages"
    text.append(f"\n{safe_text(details)}", "dim")
    if excerpt:
        text.append(f"\n{safe_text(excerpt)}", "italic")
    return text
