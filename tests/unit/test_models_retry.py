"""Retries, backoff and stalled connections."""

from __future__ import annotations

import itertools

import pytest

from xlam_local.generators import drain
from xlam_local.models.hub_errors import HubUnreachable, RetryableError
from xlam_local.models.retry import Retries, RetryPolicy, StallDetector, with_retries
from xlam_local.models.types import Progress

QUICK = RetryPolicy(max_attempts=3, initial_backoff_s=0.001)


def test_a_request_is_retried_until_it_succeeds() -> None:
    attempts = itertools.count(1)

    def request() -> str:
        if (attempt := next(attempts)) < 3:
            raise RetryableError(f"attempt {attempt} failed")
        return "the answer"

    statuses: list[str] = []
    assert drain(with_retries(request, QUICK), lambda step: statuses.append(step.status)) == (
        "the answer"
    )
    assert [status.partition(";")[0] for status in statuses] == [
        "attempt 1 failed",
        "attempt 2 failed",
    ]


def test_the_last_failure_is_an_error() -> None:
    def request() -> str:
        raise RetryableError("The Hub answered 503")

    with pytest.raises(HubUnreachable, match="The Hub answered 503, 3 times in a row"):
        drain(with_retries(request, QUICK))


def test_only_failures_without_new_bytes_are_counted() -> None:
    retries = Retries(QUICK)
    error = RetryableError("The connection was closed")
    for done in (10, 20, 30, 40):
        list(retries.back_off(error, Progress(done, 100, "")))
    list(retries.back_off(error, Progress(40, 100, "")))
    with pytest.raises(HubUnreachable, match="40 bytes of 100 bytes are downloaded"):
        list(retries.back_off(error, Progress(40, 100, "")))


def test_the_backoff_doubles_up_to_a_minute() -> None:
    policy = RetryPolicy()
    assert [policy.backoff_s(failures) for failures in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_slow_connection_is_stalled() -> None:
    slow = StallDetector(RetryPolicy(min_bytes_per_s=1e9, stall_window_s=0.0), 0)
    with pytest.raises(RetryableError, match="stalled"):
        slow.check(10)
    fast = StallDetector(RetryPolicy(min_bytes_per_s=0.0, stall_window_s=0.0), 0)
    fast.check(10)
