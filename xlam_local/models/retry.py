"""Retries with exponential backoff, and detection of stalled connections."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TypeVar

from .hub_errors import HubUnreachable, RetryableError
from .types import Progress, format_bytes

T = TypeVar("T")
MAX_BACKOFF_S = 60.0
COUNTDOWN_INTERVAL_S = 0.5
"""The time between two progress reports during a backoff."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When to retry a request, and when to give up."""

    max_attempts: int = 8
    """Failed requests in a row; a request that brought new bytes starts the count again."""
    initial_backoff_s: float = 1.0
    """The wait before the second attempt. It doubles with each attempt, up to MAX_BACKOFF_S."""
    min_bytes_per_s: float = 1024.0
    """A connection that is slower during a stall window counts as stalled."""
    stall_window_s: float = 60.0

    def backoff_s(self, failures: int) -> float:
        """Return the wait after a number of failed attempts."""
        return min(self.initial_backoff_s * 2.0 ** (failures - 1), MAX_BACKOFF_S)


DEFAULT_RETRY_POLICY = RetryPolicy()


def with_retries(
    request: Callable[[], T], policy: RetryPolicy = DEFAULT_RETRY_POLICY
) -> Generator[Progress, None, T]:
    """Return the result of `request`, called again after each RetryableError.

    Raises:
        HubUnreachable: as many attempts failed as the policy allows.
    """
    retries = Retries(policy)
    while True:
        try:
            return request()
        except RetryableError as error:
            yield from retries.back_off(error, Progress(0, 0, ""))


class Retries:
    """Counts the attempts that failed in a row, and waits between them."""

    def __init__(self, policy: RetryPolicy) -> None:
        self.policy = policy
        self.failures = 0
        self.bytes_received = 0

    def back_off(self, error: RetryableError, progress: Progress) -> Iterator[Progress]:
        """Wait before the next attempt, at least as long as the server asked for.

        Raises:
            HubUnreachable: as many attempts failed as the policy allows.
        """
        if progress.done > self.bytes_received:
            self.bytes_received, self.failures = progress.done, 0
        self.failures += 1
        if self.failures >= self.policy.max_attempts:
            hint = _resume_hint(progress)
            raise HubUnreachable(f"{error}, {self.failures} times in a row. {hint}") from error
        wait = max(self.policy.backoff_s(self.failures), error.retry_after_s or 0.0)
        yield from _count_down(error, wait, progress)


class StallDetector:
    """Notices a connection that stays open but brings almost nothing."""

    def __init__(self, policy: RetryPolicy, size: int) -> None:
        self.policy = policy
        self.window_start = time.monotonic()
        self.window_size = size

    def check(self, size: int) -> None:
        """Check how many bytes came since the window began, given the file's size now.

        Raises:
            RetryableError: fewer than the policy requires.
        """
        now = time.monotonic()
        if (seconds := now - self.window_start) < self.policy.stall_window_s:
            return
        if size - self.window_size < self.policy.min_bytes_per_s * seconds:
            raise RetryableError("The connection stalled")
        self.window_start, self.window_size = now, size


def _resume_hint(progress: Progress) -> str:
    if not progress.done:
        return "Try again later."
    kept = f"{format_bytes(progress.done)} of {format_bytes(progress.total)}"
    return f"{kept} are downloaded; run the same command again to resume."


def _count_down(error: RetryableError, seconds: float, progress: Progress) -> Iterator[Progress]:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        yield Progress(progress.done, progress.total, f"{error}; retry in {left:.0f} s")
        time.sleep(min(left, COUNTDOWN_INTERVAL_S))
