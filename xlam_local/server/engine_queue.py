"""The queue in front of the engine: as many requests at once as it has sequences, in order."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import Generic, TypeVar

from ..agent import Engine
from ..types import Heartbeat
from .api_error import ApiError, api_error

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Job = Callable[[Engine], Generator[Item | Heartbeat, None, None]]
"""Uses the engine, and yields items; a Heartbeat only lets the job be cancelled."""
DEFAULT_JOB_S = 5.0
"""The seconds that a request is expected to take before the first one has ended."""
SMOOTHING = 0.3
"""The weight of the last request in the mean of the seconds that requests take."""


class JobStream(Generic[Item]):
    """The items of one job, as an asynchronous iterator, which ends with the job's error."""

    def __init__(self, job: Job[Item], loop: asyncio.AbstractEventLoop) -> None:
        self.job = job
        self.cancelled = threading.Event()
        self._loop = loop
        self._items: asyncio.Queue[Item | ApiError | None] = asyncio.Queue()

    def cancel(self) -> None:
        """End the job before its next item, or before it begins, and end this stream now."""
        self.cancelled.set()
        self._items.put_nowait(None)

    def put(self, item: Item | ApiError | None) -> None:
        """Add an item from the engine's thread; an error, or None, is the last one."""
        try:
            self._loop.call_soon_threadsafe(self._items.put_nowait, item)
        except RuntimeError:  # The loop is closed: nobody reads this stream any more.
            self.cancelled.set()

    def __aiter__(self) -> JobStream[Item]:
        """Return the iterator itself."""
        return self

    async def __anext__(self) -> Item:
        """Return the next item.

        Raises:
            ApiError: the job failed.
        """
        item = await self._items.get()
        if item is None:
            raise StopAsyncIteration
        if isinstance(item, ApiError):
            raise item
        return item


class EngineQueue:
    """Owns the engine, and a thread for each reply that it writes at once."""

    def __init__(self, engine: Engine, max_waiting: int) -> None:
        self.engine = engine
        self.max_waiting = max_waiting
        self.refused = 0
        """How many jobs were refused because the queue was full."""
        self._running: list[JobStream[object]] = []
        self._waiting: deque[JobStream[object]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._mean_job_s = DEFAULT_JOB_S
        self._threads = [
            threading.Thread(target=self._run, name=f"engine queue {number}", daemon=True)
            for number in range(engine.sequences)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def running(self) -> int:
        """How many jobs use the engine."""
        return len(self._running)

    @property
    def is_closed(self) -> bool:
        """Return whether no more jobs are accepted."""
        return self._closed

    @property
    def waiting(self) -> int:
        """How many jobs wait for the engine."""
        with self._changed:
            return sum(not stream.cancelled.is_set() for stream in self._waiting)

    def submit(self, job: Job[Item]) -> JobStream[Item]:
        """Add a job; call this in the event loop.

        Raises:
            ApiError: the queue is full, or the server is shutting down.
        """
        stream = JobStream(job, asyncio.get_running_loop())
        with self._changed:
            waiting = sum(not other.cancelled.is_set() for other in self._waiting)
            if self._closed:
                raise _unavailable("The server is shutting down.", 1)
            free = len(self._threads) - len(self._running)
            if waiting - free >= self.max_waiting:
                self.refused += 1
                seconds = round(self._mean_job_s * (waiting + 1) / len(self._threads)) or 1
                raise _unavailable(
                    f"The queue is full: {waiting} requests wait. Try again in {seconds} seconds.",
                    seconds,
                )
            self._waiting.append(stream)  # type: ignore[arg-type]
            self._changed.notify()
        return stream

    def refuse_new(self) -> None:
        """Accept no more jobs."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def cut(self) -> None:
        """End the streams of all jobs now; call this in the event loop."""
        for stream in self._unfinished():
            stream.cancel()

    def _unfinished(self) -> list[JobStream[object]]:
        with self._changed:
            return [*self._running, *self._waiting]

    def close(self, wait_s: float = 5.0) -> None:
        """Cancel all jobs, and end the threads."""
        self.refuse_new()
        for stream in self._unfinished():
            stream.cancelled.set()
        deadline = time.monotonic() + wait_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while (stream := self._next()) is not None:
            started = time.monotonic()
            try:
                self._play(stream)
            except Exception as error:
                stream.put(api_error(error))
            else:
                stream.put(None)
            seconds = time.monotonic() - started
            with self._changed:
                self._running.remove(stream)
                self._mean_job_s += SMOOTHING * (seconds - self._mean_job_s)

    def _next(self) -> JobStream[object] | None:
        """Wait for a job; return None if the queue is closed and empty."""
        with self._changed:
            while True:
                while self._waiting:
                    stream = self._waiting.popleft()
                    if not stream.cancelled.is_set():
                        self._running.append(stream)
                        return stream
                    stream.put(None)
                if self._closed:
                    return None
                self._changed.wait()

    def _play(self, stream: JobStream[object]) -> None:
        items = stream.job(self.engine)
        try:
            for item in items:
                if stream.cancelled.is_set():
                    return
                if not isinstance(item, Heartbeat):
                    stream.put(item)
        finally:
            items.close()


def _unavailable(message: str, seconds: int) -> ApiError:
    return ApiError(message, status=503, code="queue_full", headers={"Retry-After": str(seconds)})
