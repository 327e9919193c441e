"""A conversation that is being written down."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..types import Message, User

if TYPE_CHECKING:
    from .store import History

EVERY = 0.5
"""Seconds between two writes of an answer that is still being written."""


class Conversation:
    """Writes each message down as it comes.

    What cannot be written, because the disk is full or another program holds the file, is
    written with the next message. It is in no list before the user has said something.
    """

    def __init__(self, history: History, id: int | None, place: int = 0) -> None:
        self.history = history
        self.id = id
        """Its number, once something is written down."""
        self.place = place
        """How many messages are written down."""
        self.model = ""
        self.folder = ""
        self.split = False
        """Whether another program went on with the same conversation, and this is a copy now."""
        self._waiting: list[Message] = []
        self._pieces: list[str] = []
        self._written = 0.0

    def add(self, message: Message) -> None:
        """Write a message down, and all that could not be written before it.

        Raises:
            HistoryError: it could not be written now.
        """
        self._waiting.append(message)
        self._pieces.clear()
        if self.id is not None or any(isinstance(one, User) for one in self._waiting):
            self.history.write(self, self._waiting)
            self._waiting.clear()

    def piece(self, text: str) -> None:
        """Note a piece of an answer, so that little is lost if the program is killed."""
        self._pieces.append(text)
        if self.id is not None and time.monotonic() - self._written >= EVERY:
            self.history.write_piece(self.id, "".join(self._pieces))
            self._pieces.clear()
            self._written = time.monotonic()

    def rewind(self, place: int) -> None:
        """Take back all messages from `place` on."""
        self._waiting = []
        self._pieces = []
        if self.id is not None:
            self.history.cut(self.id, place)
            self.place = min(place, self.place)
