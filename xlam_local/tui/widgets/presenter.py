"""Show the messages and events of a conversation as entries of a transcript."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...types import (
    AssistantMessage,
    Event,
    Message,
    Notice,
    SystemMessage,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolCalls,
    ToolResult,
    UserMessage,
)
from ..rendering import partial_json
from ..rendering.entries import AnswerEntry, Entry, NoticeEntry, UserEntry
from ..rendering.tool_call_card import ToolCallCard, ToolCallRow
from .transcript import Transcript


class TranscriptPresenter:
    """Adds what happens in a conversation to a transcript."""

    def __init__(self, transcript: Transcript, find_tool: Callable[[str], Tool | None]) -> None:
        self.transcript = transcript
        self.find_tool = find_tool
        """Returns the offered tool of a name."""
        self.message_index = 0
        """The index of the next message in the conversation."""
        self._answer: AnswerEntry | None = None
        """The answer that is being written."""
        self._row: ToolCallRow | None = None
        """The calls that are being written."""
        self._partial_calls: list[str] = []
        """Their JSON so far."""
        self._running: list[ToolCallCard] = []

    def show(self, messages: Sequence[Message]) -> None:
        """Show a conversation instead of the current one."""
        entries: list[Entry] = []
        self._reset()
        self.message_index = 0
        for message in messages:
            self._add_message(message, entries.append)
        self._running = []
        self.transcript.show_entries(entries)

    def handle_event(self, event: Event) -> None:
        """Show an event of the turn."""
        match event:
            case TextDelta(text):
                self._append_answer(text)
            case ToolCallDelta(text):
                self._partial_calls.append(text)
            case Notice(text):
                self.add_notice(text)
            case SystemMessage() | UserMessage() | AssistantMessage() | ToolCalls() | ToolResult():
                self._add_message(event, self.transcript.append)
            case _:
                return
        self.transcript.invalidate()

    def show_partial_calls(self) -> None:
        """Show the calls that are being written, as far as they can be parsed."""
        if not self._partial_calls:
            return
        self._partial_calls = ["".join(self._partial_calls)]
        row = self._open_row()
        for number, call in enumerate(partial_json.parse_partial_calls(self._partial_calls[0])):
            if number == len(row.cards):
                row.cards.append(ToolCallCard(call.name))
            card = row.cards[number]
            card.name, card.tool = call.name, self.find_tool(call.name)
            card.refresh_head()
            card.set_arguments(call.arguments)
        self.transcript.invalidate()

    def add_notice(self, text: str, style: str = "muted", hint: str = "") -> None:
        """Show a text that is not part of the conversation."""
        self.transcript.append(NoticeEntry(text, style, hint))

    def refresh_running(self) -> None:
        """Update the seconds of the calls that run."""
        for card in self._running:
            card.refresh_head()
        if self._running:
            self.transcript.invalidate()

    def set_waiting(self, call: ToolCall, waiting: bool) -> None:
        """Show whether a call waits for approval."""
        for card in self._running:
            if card.call is not None and card.call.id == call.id:
                card.set_state("waiting" if waiting else "running")
                self.transcript.invalidate()

    def finish_turn(self, message_count: int) -> None:
        """End the turn; calls without a result are shown as failed."""
        for card in self._running:
            card.set_state("failed")
        self._reset()
        self.message_index = message_count
        self.transcript.invalidate()

    def _reset(self) -> None:
        """Forget what is being written; remove the cards of incomplete calls."""
        if self._row is not None:
            self._row.cards = [card for card in self._row.cards if card.call is not None]
            if not self._row.cards and self._row in self.transcript.entries:
                self.transcript.entries.remove(self._row)
        self._answer, self._row, self._partial_calls, self._running = None, None, [], []

    def _add_message(self, message: Message, add: Callable[[Entry], None]) -> None:
        """Show a complete message; `add` takes new entries."""
        match message:
            case UserMessage(text):
                add(UserEntry(text, self.message_index))
            case AssistantMessage(text):
                if self._answer is None:
                    self._answer = AnswerEntry()
                    add(self._answer)
                self._answer.finish(text)
                self._answer.message_index = self.message_index
                self._answer = None
            case ToolCalls():
                self._add_calls(message, add)
            case ToolResult():
                self._add_result(message)
            case SystemMessage(text):
                if self.message_index:
                    add(NoticeEntry(text))
        self.message_index += 1

    def _append_answer(self, text: str) -> None:
        if self._answer is None:
            self._answer = AnswerEntry()
            self.transcript.append(self._answer)
        self._answer.append(text)

    def _open_row(self) -> ToolCallRow:
        if self._row is None:
            self._row = ToolCallRow()
            self.transcript.append(self._row)
        return self._row

    def _add_calls(self, message: ToolCalls, add: Callable[[Entry], None]) -> None:
        row = self._row
        if row is None:
            row = ToolCallRow()
            add(row)
        if message.text.strip():
            add(NoticeEntry(message.text))
        del row.cards[len(message.calls) :]
        for number, call in enumerate(message.calls):
            if number == len(row.cards):
                row.cards.append(ToolCallCard(call.name))
            row.cards[number].set_call(call, self.find_tool(call.name), self.message_index)
        self._running = list(row.cards)
        self._row, self._partial_calls, self._answer = None, [], None

    def _add_result(self, result: ToolResult) -> None:
        for card in self._running:
            if card.call is not None and card.call.id == result.call.id:
                card.finish(result)
                self._running.remove(card)
                return
