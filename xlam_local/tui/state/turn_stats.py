"""Statistics of a turn while it runs: prompt processing, first token, tokens per second."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from ...types import ContextUsage, Done, Event, PrefillProgress, TextDelta, ToolCallDelta

BAR_S = 1.0
"""Seconds of one bar of the sparkline."""
BAR_COUNT = 60
DEFAULT_CHARS_PER_TOKEN = 4.0
"""Used until the end of a turn reports the number of tokens."""
MIN_PREFILL_S = 0.5
"""Seconds of prompt processing before the time left is estimated."""


class TurnStats:
    """The statistics of the running turn, or of the last one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.activity = ""
        """What the model does now; empty if nothing."""
        self.context_usage: ContextUsage | None = None
        self.bars: deque[float] = deque([0.0] * BAR_COUNT, maxlen=BAR_COUNT)
        """Tokens per second in each of the last seconds, estimated from the characters."""
        self.first_token_s: float | None = None
        """Seconds until the first text of the turn."""
        self.done: Done | None = None
        self._started = 0.0
        self._prefill_start: tuple[float, int] | None = None
        """When prompt processing began, and at how many tokens."""
        self._chars_per_token = DEFAULT_CHARS_PER_TOKEN
        self._turn_chars = 0
        self._bar_start = 0.0
        self._bar_chars = 0

    def start(self) -> None:
        """Reset the statistics for a new turn."""
        now = self._clock()
        self._started, self.first_token_s, self.done, self._prefill_start = now, None, None, None
        self._bar_start, self._bar_chars, self._turn_chars = now, 0, 0
        self.activity = "Thinking"

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start of the turn."""
        return self._clock() - self._started

    def handle_event(self, event: Event) -> None:
        """Update the statistics with an event of the turn."""
        match event:
            case PrefillProgress(done, total):
                self.activity = self._prefill_text(done, total)
            case ContextUsage():
                self.context_usage = event
            case TextDelta(text):
                self._add_text("Writing", text)
            case ToolCallDelta(text):
                self._add_text("Calling", text)
            case Done(_, usage):
                self.done, self.activity = event, ""
                if usage.reply_tokens and self._turn_chars:
                    self._chars_per_token = self._turn_chars / usage.reply_tokens
            case _:
                pass
        self._roll_bars()

    def finish(self) -> None:
        """End the turn, also if it had no Done event."""
        self.activity = ""

    @property
    def tokens_per_s(self) -> float:
        """The speed of writing: exact after the turn, before it estimated from the characters."""
        if self.done is not None:
            return self.done.usage.decode_speed
        seconds = max(BAR_S, self._clock() - self._bar_start)
        return max(self.bars[-1], self._bar_chars / self._chars_per_token / seconds)

    @property
    def accepted_percent(self) -> float | None:
        """How many of the drafted tokens were accepted; None if none were drafted."""
        if self.done is None or not (drafted := self.done.usage.drafted_tokens):
            return None
        return 100 * self.done.usage.accepted_tokens / drafted

    def _add_text(self, activity: str, text: str) -> None:
        if self.first_token_s is None:
            self.first_token_s = self.elapsed_s
        self.activity = activity
        self._bar_chars += len(text)
        self._turn_chars += len(text)

    def _roll_bars(self) -> None:
        """Complete the bars of the seconds that have passed."""
        now = self._clock()
        while now - self._bar_start >= BAR_S:
            self.bars.append(self._bar_chars / self._chars_per_token / BAR_S)
            self._bar_chars = 0
            self._bar_start = max(self._bar_start + BAR_S, now - BAR_COUNT * BAR_S)

    def _prefill_text(self, done: int, total: int) -> str:
        now = self._clock()
        if self._prefill_start is None or done < self._prefill_start[1]:
            self._prefill_start = (now, done)
        start, first = self._prefill_start
        text = f"Reading prompt: {100 * done // max(1, total)} % of {total:,} tokens"
        usage = self.context_usage
        if usage is not None and done < usage.system + usage.tools and 2 * usage.tools > total:
            text += f" ({usage.tools:,} of tools)"
        if done >= total or done == first or now - start < MIN_PREFILL_S:
            return text
        left = (now - start) / (done - first) * (total - done)
        return f"{text}, {left:.0f} s left"
