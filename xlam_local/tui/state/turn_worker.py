"""Run a turn in a thread of its own, and pass its approval requests to the screen."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from ...types import ApprovalRequest, AskUser, Decision, Deny, Event, TextDelta
from .background import BackgroundJob

MAX_MERGED_CHARS = 5_000
"""Characters of an answer that are shown in one step."""
CANCELLED = Deny("The user cancelled the turn.")


@dataclass(frozen=True, slots=True)
class PendingApproval:
    """An approval request, and the queue that takes the user's decision."""

    request: ApprovalRequest
    reply: queue.SimpleQueue[Decision] = field(default_factory=queue.SimpleQueue)


TurnEvent = Event | PendingApproval
TurnStarter = Callable[[AskUser], Generator[Event, None, None]]
"""Starts a turn that asks for approval with the given function."""


class TurnWorker(BackgroundJob[TurnEvent]):
    """A turn of a session. Its thread waits while an approval request is open."""

    def __init__(self, start: TurnStarter) -> None:
        self._pending: PendingApproval | None = None
        self._backlog: deque[TurnEvent] = deque()
        super().__init__(lambda: start(self.request_approval))

    @property
    def has_events(self) -> bool:
        """Whether `next_event` will return an event."""
        return bool(self._backlog or self._items)

    def next_event(self) -> TurnEvent | None:
        """Return the next event, or None if there is none yet; consecutive text is joined."""
        self._backlog.extend(self.drain())
        if not self._backlog:
            return None
        first = self._backlog.popleft()
        return self._joined(first) if isinstance(first, TextDelta) else first

    def _joined(self, first: TextDelta) -> TextDelta:
        texts, size = [first.text], len(first.text)
        while self._backlog and size < MAX_MERGED_CHARS:
            if not isinstance(following := self._backlog[0], TextDelta):
                break
            self._backlog.popleft()
            texts.append(following.text)
            size += len(following.text)
        return TextDelta("".join(texts))

    def request_approval(self, request: ApprovalRequest) -> Decision:
        """Wait for the user's decision; the turn's thread calls this."""
        if self.cancelled:
            return CANCELLED
        pending = self._pending = PendingApproval(request)
        self.put(pending)
        # `cancel` may have run before `_pending` was set.
        if self.cancelled:
            self.cancel()
        try:
            return pending.reply.get()
        finally:
            self._pending = None

    def cancel(self) -> None:
        """Cancel the turn; an open approval request is denied."""
        super().cancel()
        if self._pending is not None:
            self._pending.reply.put(CANCELLED)
