"""What a turn costs, as it goes on: reading, the first token, the speed of writing."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..types import CallDelta, Delta, Done, Meter, Prefill

if TYPE_CHECKING:
    from ..types import Event

SPAN = 1.0
"""Seconds in one bar of the sparkline."""
BARS = 60
PER_TOKEN = 4.0
"""Letters in a token, until a turn has told how many there are."""
SHOWN = 0.5
"""Seconds that the reading has to take before a time is given for it."""


class Figures:
    """The numbers of the turn that is going on, and of the one before."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.doing = ""
        """What the model does now, in a word."""
        self.meter: Meter | None = None
        self.speeds: deque[float] = deque([0.0] * BARS, maxlen=BARS)
        """Tokens written in each of the last seconds, by their letters."""
        self.first: float | None = None
        """Seconds until the first piece came."""
        self.done: Done | None = None
        self._sent = 0.0
        self._read: tuple[float, int] | None = None
        """When the reading began, and with how many tokens."""
        self._per_token = PER_TOKEN
        self._written = 0
        """Letters of the turn."""
        self._second = 0.0
        self._letters = 0
        """Letters of the second that is going on."""

    def begin(self) -> None:
        """A turn begins."""
        now = self._clock()
        self._sent, self.first, self.done, self._read = now, None, None, None
        self._second, self._letters, self._written = now, 0, 0
        self.doing = "Thinking"

    @property
    def seconds(self) -> float:
        """How long the turn has taken so far."""
        return self._clock() - self._sent

    def take(self, event: Event) -> None:
        """Something happened in the turn."""
        match event:
            case Prefill(done, total):
                self.doing = self._reading(done, total)
            case Meter():
                self.meter = event
            case Delta(text):
                self._piece("Writing", text)
            case CallDelta(text):
                self._piece("Calling", text)
            case Done(_, usage):
                self.done, self.doing = event, ""
                if usage.reply_tokens and self._written:
                    self._per_token = self._written / usage.reply_tokens
            case _:
                pass
        self._count()

    def end(self) -> None:
        """The turn is over, however it ended."""
        self.doing = ""

    @property
    def speed(self) -> float:
        """Tokens a second: exact once the turn is over, until then by the letters that came."""
        if self.done is not None:
            return self.done.usage.decode_speed
        seconds = max(SPAN, self._clock() - self._second)
        return max(self.speeds[-1], self._letters / self._per_token / seconds)

    @property
    def right(self) -> float | None:
        """How many of the guessed tokens were right, in percent, where some were guessed."""
        if self.done is None or not (guessed := self.done.usage.drafted_tokens):
            return None
        return 100 * self.done.usage.accepted_tokens / guessed

    def _piece(self, doing: str, text: str) -> None:
        if self.first is None:
            self.first = self.seconds
        self.doing = doing
        self._letters += len(text)
        self._written += len(text)

    def _count(self) -> None:
        now = self._clock()
        while now - self._second >= SPAN:
            self.speeds.append(self._letters / self._per_token / SPAN)
            self._letters = 0
            self._second = max(self._second + SPAN, now - BARS * SPAN)

    def _reading(self, done: int, total: int) -> str:
        now = self._clock()
        if self._read is None or done < self._read[1]:
            self._read = (now, done)
        since, first = self._read
        told = f"Reading {100 * done // max(1, total)} % of {total:,} tokens"
        if done >= total or done == first or now - since < SHOWN:
            return told
        left = (now - since) / (done - first) * (total - done)
        return f"{told}, {left:.0f} s left"
