"""Work beside the screen: a generator in a thread of its own, and what it has yielded so far."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

from ..errors import XlamError

T = TypeVar("T")


class Job(Generic[T]):
    """Runs a generator to its end; the screen takes what has come out when it is ready for it."""

    def __init__(self, work: Callable[[], Generator[T, None, Any]]) -> None:
        self._work = work
        self._items: deque[T] = deque()
        self._stop = threading.Event()
        self._end = threading.Event()
        self.value: Any = None
        """What the generator returned."""
        self.error: XlamError | None = None
        """Why it ended early."""
        self._bug: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def finished(self) -> bool:
        """Whether nothing more comes."""
        return self._end.is_set()

    @property
    def cancelled(self) -> bool:
        """Whether it was told to end."""
        return self._stop.is_set()

    def take(self) -> list[T]:
        """What has come out since the last time; a bug in the work is raised here."""
        found = []
        while self._items:
            found.append(self._items.popleft())
        if self._bug is not None:
            bug, self._bug = self._bug, None
            raise bug
        return found

    def put(self, item: T) -> None:
        """Let the screen see something that does not come from the generator."""
        self._items.append(item)

    def cancel(self) -> None:
        """End it when the next item comes."""
        self._stop.set()

    def wait(self, seconds: float) -> bool:
        """Wait for its end; whether it came."""
        return self._end.wait(seconds)

    def _run(self) -> None:
        try:
            self._follow()
        except XlamError as error:
            self.error = error
        except BaseException as bug:  # raised again in the screen's thread, with its traceback
            self._bug = bug
        finally:
            self._end.set()

    def _follow(self) -> None:
        work = self._work()
        try:
            while not self._stop.is_set():
                self._items.append(next(work))
        except StopIteration as end:
            self.value = end.value
        finally:
            work.close()
