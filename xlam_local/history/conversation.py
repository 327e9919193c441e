"""A conversation that is being recorded in the history."""

from __future__ import annotations

import time
from dataclasses import replace

from ..reply_record import ReplyRecord
from ..types import Message, UserMessage
from .store import History

PARTIAL_INTERVAL_S = 0.5
"""Seconds between two writes of an answer that is still being generated."""


class Conversation:
    """Writes each message to the history as it arrives.

    A message that cannot be written, because the disk is full or another program has locked the
    file, is written with the next one. Nothing is written before the first user message.
    """

    def __init__(self, history: History, id: int | None = None, index: int = 0) -> None:
        self.history = history
        self.id = id
        """The number in the history; None before the first write."""
        self.index = index
        """How many messages are written."""
        self.model = ""
        self.model_sha256 = ""
        """The SHA-256 of the model's file; empty if unknown."""
        self.adapters = ""
        """The LoRA adapters of the model, as in `NAME+NAME:SCALE`."""
        self.folder = ""
        self.forked = False
        """Whether another program continued the same conversation, so that this is a copy."""
        self._unwritten: list[tuple[Message, ReplyRecord | None]] = []
        self._partial: list[str] = []
        self._partial_written_at = 0.0

    @classmethod
    def resume(cls, history: History, id: int) -> tuple[Conversation, list[Message]]:
        """Return a conversation to continue, and its messages.

        Raises:
            HistoryError: it does not exist.
        """
        messages = history.messages(id)
        conversation = cls(history, id, history.get(id).messages)
        if history.read_only:
            return conversation, messages
        if missing := messages[conversation.index :]:
            conversation._write([(message, None) for message in missing])
        return conversation, messages

    def append(self, message: Message, record: ReplyRecord | None = None) -> None:
        """Write a message, and all that could not be written before it.

        `record` says how a reply of the model was written.

        Raises:
            HistoryError: the file cannot be written now.
        """
        if record is not None:
            record = replace(record, model_sha256=self.model_sha256, adapters=self.adapters)
        self._unwritten.append((message, record))
        self._partial.clear()
        self._write_messages()

    def append_partial(self, text: str) -> None:
        """Store a part of an answer, so that little is lost if the program is killed.

        Raises:
            HistoryError: the file cannot be written now.
        """
        self._partial.append(text)
        if time.monotonic() - self._partial_written_at >= PARTIAL_INTERVAL_S:
            self.flush()

    def flush(self) -> None:
        """Write the messages and the part of an answer that are not yet written.

        Raises:
            HistoryError: the file cannot be written now.
        """
        self._write_messages()
        if self.id is not None and self._partial:
            self.history.append_partial(self.id, "".join(self._partial))
            self._partial.clear()
            self._partial_written_at = time.monotonic()

    def rewind(self, index: int) -> None:
        """Delete all messages from `index` on."""
        self._unwritten = []
        self._partial = []
        if self.id is not None:
            self.history.truncate(self.id, index)
            self.index = min(index, self.index)

    def _write_messages(self) -> None:
        """Write the messages that are not yet written, if the user has said something."""
        if self._unwritten and (
            self.id is not None
            or any(isinstance(message, UserMessage) for message, _ in self._unwritten)
        ):
            self._write(self._unwritten)
            self._unwritten.clear()

    def _write(self, items: list[tuple[Message, ReplyRecord | None]]) -> None:
        records = enumerate((record for _, record in items), self.index)
        position = self.history.append(
            self.id,
            self.index,
            [message for message, _ in items],
            model=self.model,
            folder=self.folder,
            records={index: record for index, record in records if record is not None},
        )
        self.id, self.index = position.id, position.next
        self.forked = self.forked or position.forked
