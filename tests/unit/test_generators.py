from __future__ import annotations

from collections.abc import Generator

import pytest

from xlam_local.generators import drain


def test_drain_shows_every_item_and_returns_the_result() -> None:
    def count() -> Generator[int, None, str]:
        yield 1
        yield 2
        return "done"

    shown: list[int] = []
    assert drain(count(), shown.append) == "done"
    assert shown == [1, 2]
    assert drain(count()) == "done"


def test_drain_closes_the_generator_if_an_item_cannot_be_shown() -> None:
    closed: list[bool] = []

    def steps() -> Generator[int, None, None]:
        try:
            yield 1
        finally:
            closed.append(True)

    def fail(item: int) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        drain(steps(), fail)
    assert closed == [True]
