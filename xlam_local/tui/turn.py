"""A turn beside the screen, with the questions that the user has to answer."""

from __future__ import annotations

import queue
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..types import Decision, Event, No, Question
from .job import Job

if TYPE_CHECKING:
    from .desk import Desk


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and where its answer goes."""

    question: Question
    answer: queue.SimpleQueue[Decision] = field(default_factory=queue.SimpleQueue)


class Turn(Job[Event | Asked]):
    """A turn of a session; the thread waits while a question is open."""

    def __init__(self, desk: Desk, work: Callable[[], Generator[Event, None, None]]) -> None:
        self._open: Asked | None = None
        desk.talk.approve = self.ask
        super().__init__(work)

    def ask(self, question: Question) -> Decision:
        """Ask the user; called from the turn's thread."""
        if self.cancelled:
            return No("The user cancelled the turn.")
        asked = Asked(question)
        self._open = asked
        self.put(asked)
        # The turn may have been cancelled before the question was open.
        if self.cancelled:
            self.cancel()
        try:
            return asked.answer.get()
        finally:
            self._open = None

    def cancel(self) -> None:
        """End the turn; what is asked is refused."""
        super().cancel()
        if self._open is not None:
            self._open.answer.put(No("The user cancelled the turn."))
