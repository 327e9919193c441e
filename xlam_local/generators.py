"""Run a generator to its end."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def drain(
    steps: Generator[Item, None, Result], show: Callable[[Item], object] | None = None
) -> Result:
    """Run a generator to its end, pass each item to `show`, and return the generator's result."""
    with closing(steps):
        while True:
            try:
                item = next(steps)
            except StopIteration as end:
                result: Result = end.value
                return result
            if show is not None:
                show(item)
