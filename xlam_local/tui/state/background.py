"""Run a generator in a thread of its own, and collect its items in the screen's thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

from ...errors import XlamError

T = TypeVar("T")


class BackgroundJob(Generic[T]):
    """A generator that runs in a daemon thread until it ends or is cancelled."""

    def __init__(self, work: Callable[[], Generator[T, None, Any]]) -> None:
        self._work = work
        self._items: deque[T] = deque()
        self._cancel = threading.Event()
        self._end = threading.Event()
        self.value: Any = None
        """The generator's return value."""
        self.error: XlamError | None = None
        """The error that ended the generator."""
        self._bug: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def finished(self) -> bool:
        """Whether the thread has ended; items that were not drained are still available."""
        return self._end.is_set()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancel.is_set()

    def drain(self) -> list[T]:
        """Return the items since the last call.

        An exception other than XlamError that ended the generator is raised here.
        """
        items = []
        while self._items:
            items.append(self._items.popleft())
        if self._bug is not None:
            bug, self._bug = self._bug, None
            raise bug
        return items

    def put(self, item: T) -> None:
        """Add an item that does not come from the generator."""
        self._items.append(item)

    def cancel(self) -> None:
        """Close the generator at its next item."""
        self._cancel.set()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end of the thread; return whether it ended in time."""
        return self._end.wait(timeout_s)

    def _run(self) -> None:
        try:
            self._collect()
        except XlamError as error:
            self.error = error
        except BaseException as bug:  # `drain` raises it in the screen's thread
            self._bug = bug
        finally:
            self._end.set()

    def _collect(self) -> None:
        work = self._work()
        try:
            while not self._cancel.is_set():
                self._items.append(next(work))
        except StopIteration as end:
            self.value = end.value
        finally:
            work.close()
