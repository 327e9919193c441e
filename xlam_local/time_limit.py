"""A limit on the CPU time of a computation, which the computation itself checks."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """The end of a computation's time."""

    end_s: float = math.inf
    """By the CPU time of the thread, which other programs on the machine do not use up."""
    error: Exception | None = None


NO_LIMIT = TimeLimit()
_limit: ContextVar[TimeLimit] = ContextVar("time limit", default=NO_LIMIT)


@contextmanager
def time_limit(seconds: float, error: Exception) -> Iterator[None]:
    """Let `check_time_limit` raise `error` after so many seconds of CPU time in this thread.

    Within another limit, the one that ends first counts.
    """
    own = TimeLimit(time.thread_time() + seconds, error)
    token = _limit.set(min(own, _limit.get(), key=lambda limit: limit.end_s))
    try:
        yield
    finally:
        _limit.reset(token)


def check_time_limit() -> None:
    """Raise the error of the limit if its time is over."""
    limit = _limit.get()
    if limit.error is not None and time.thread_time() > limit.end_s:
        raise limit.error
