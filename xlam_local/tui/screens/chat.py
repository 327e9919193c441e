"""The main screen: the keys of the conversation, and the actions for its messages."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.widgets import Static

from ...types import UserMessage
from ..rendering.entries import AnswerEntry, Entry, UserEntry
from ..rendering.tool_call_card import ToolCallCard
from ..state.controller import ChatController
from ..widgets.text_viewer import TextViewer
from ..widgets.transcript import CopyRequested, EntryActionChosen
from .turns import TurnScreen

MIN_SIZE = Size(40, 10)
"""Columns and lines that the app needs."""
WIDE_COLUMNS = 150
"""A terminal of this width has room for the panel beside the conversation."""


def is_too_small(size: Size) -> bool:
    """Return whether a terminal has too few columns or lines for the app."""
    return size.width < MIN_SIZE.width or size.height < MIN_SIZE.height


class ChatScreen(TurnScreen):
    """Shows the conversation, and acts on keys and on messages."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "escape", "Cancel", priority=True, id="app.cancel"),
        Binding("tab", "focus_approval", "Approval", priority=True),
        Binding("pageup", "page(-1)", "Page up", show=False, priority=True, id="app.pageup"),
        Binding("pagedown", "page(1)", "Page down", show=False, priority=True, id="app.pagedown"),
        Binding("ctrl+end", "end", "Last", show=False, priority=True, id="app.end"),
        Binding("f6", "switch_focus", "Messages", priority=True, id="app.messages"),
    ]

    def __init__(self, controller: ChatController) -> None:
        super().__init__(controller)
        self._panel_chosen: bool | None = None
        """Whether the user wants the panel; None if a wide terminal shows it."""
        self._could_cancel = False
        """Whether the last line showed the key that cancels."""

    def on_resize(self) -> None:
        """Show a message instead of the conversation if the terminal is too small."""
        width, height = self.app.size
        self.set_class(is_too_small(self.app.size), "-too-small")
        if not is_too_small(self.app.size):
            # The prompt lost the focus while it was hidden; it is shown after this resize.
            self.call_after_refresh(self._restore_focus)
        if self._panel_chosen is None:
            self.panel.display = width >= WIDE_COLUMNS
        minimum = f"{MIN_SIZE.width} by {MIN_SIZE.height}"
        text = f"{width} by {height} is too small; the app needs {minimum}."
        self.query_one("#too-small", Static).update(text)
        self.update_status()

    def _restore_focus(self) -> None:
        if self.focused is None:
            self.set_focus(self.prompt)

    # The keys of the screen.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action applies now: the last line has only the keys of these."""
        if action == "escape":
            return self.can_cancel()
        if action == "focus_approval":
            is_open = self.approval is not None and not self._in_approval()
            return is_open and not self.prompt.completing
        return True

    def can_cancel(self) -> bool:
        """Return whether Escape does something now, other than in an approval with the focus."""
        return not self._in_approval() and (
            not self.prompt.has_focus
            or self.prompt.completing
            or self.editing is not None
            or self.controller.turn is not None
            or self.controller.loading is not None
            or self.approval is not None
        )

    def _in_approval(self) -> bool:
        return self.approval is not None and self.approval.has_focus_within

    def update_status(self) -> None:
        """Update the status bar, and the last line if other keys apply."""
        super().update_status()
        if self._could_cancel is not (can_cancel := self.can_cancel()):
            self._could_cancel = can_cancel
            self.refresh_bindings()

    def action_focus_approval(self) -> None:
        """Move the focus to the approval."""
        if self.approval is not None:
            self.approval.focus()

    def action_escape(self) -> None:
        """Cancel the first of: completions, an approval, the turn, loading, editing, selecting."""
        if self.prompt.completing:
            self.prompt_area.hide_completions()
        elif self.approval is not None:
            self.approval.action_answer("deny")
        elif self.cancel_turn() or self.controller.cancel_loading():
            return
        elif self.editing is not None:
            self.editing = None
            self.prompt.clear()
            self.update_status()
        elif not self.prompt.has_focus:
            self.transcript.select(None)
            self.prompt.focus()

    def action_page(self, pages: int) -> None:
        """Scroll the details of an open approval, or else the conversation."""
        approval = self.approval
        view = self.transcript if approval is None else approval.query_one(TextViewer)
        view.scroll_relative(y=pages * max(1, view.size.height - 2), animate=False)

    def action_end(self) -> None:
        """Scroll to the end of the conversation."""
        self.transcript.scroll_to_end()

    def action_switch_focus(self) -> None:
        """Move the focus between the prompt and the messages."""
        if self.transcript.has_focus:
            self.prompt.focus()
        else:
            self.transcript.focus()
            if self.transcript.selected is None:
                self.transcript.action_select(-1)

    # The actions for an entry.

    @on(EntryActionChosen)
    def act_on_entry(self, chosen: EntryActionChosen) -> None:
        """Run the action that the user has chosen for an entry."""
        match chosen.action:
            case "copy":
                self.post_message(CopyRequested(chosen.entry.text))
            case "edit":
                self.edit(chosen.entry)
            case "retry":
                self.retry(chosen.entry.message_index)
            case "branch":
                self.branch(chosen.entry.message_index)
            case "rerun":
                self.rerun(chosen.entry)

    def edit(self, entry: Entry) -> None:
        """Put a message of the user into the prompt, to be sent again."""
        if not isinstance(entry, UserEntry) or entry.message_index is None:
            self.notify("Only your own messages can be edited.")
        elif not self.is_busy():
            self.editing = entry.message_index
            self.prompt.set_text(entry.text)
            self.prompt.focus()
            self.update_status()
            self.notify("Enter sends the edited message instead of the old one; Escape cancels.")

    def edit_last(self) -> None:
        """Edit the user's last message."""
        entries = [entry for entry in self.transcript.entries if isinstance(entry, UserEntry)]
        if entries:
            self.edit(entries[-1])

    def retry(self, message_index: int | None = None) -> None:
        """Send the user's message at or before an index again, or the last one."""
        messages = self.controller.conversation.messages
        sent = [
            (index, message)
            for index, message in enumerate(messages)
            if isinstance(message, UserMessage)
            and (message_index is None or index <= message_index)
        ]
        if not sent or self.is_busy():
            return
        index, sent_message = sent[-1]
        self.controller.conversation.rewind(index)
        self.show_conversation()
        self.start_turn(sent_message, self._take_tool_choice())

    def branch(self, message_index: int | None = None) -> None:
        """Continue in a copy that ends with the message at an index, or with the last one."""
        if self.is_busy():
            return
        count = len(self.controller.conversation.messages)
        end = count if message_index is None else min(message_index + 1, count)
        self.controller.conversation.branch(end)
        self.show_conversation()
        self.add_notice("This is a copy. The original conversation stays in the history.")

    def rerun(self, entry: Entry) -> None:
        """Run a tool call again; it needs approval like any other."""
        call = entry.call if isinstance(entry, ToolCallCard) else None
        if call is None:
            self.notify("Only a tool call can be run again.")
        elif not self.is_busy():
            self._prepare_turn()
            self.controller.start_repeat(call)

    def last_answer(self) -> str | None:
        """Return the last answer on the screen."""
        answers = [entry for entry in self.transcript.entries if isinstance(entry, AnswerEntry)]
        return answers[-1].text if answers else None

    def toggle_stats(self) -> None:
        """Show or hide the statistics panel; from now on the width does not decide this."""
        self._panel_chosen = self.panel.display = not self.panel.display
        self.update_status()
