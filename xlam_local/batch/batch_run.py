"""Share the rows of a batch between engines: each takes the next row when it is free."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from ..agent import Engine
from ..errors import ModelError, XlamError
from ..remote.errors import RemoteError
from ..server.api_error import ApiError
from ..server.replies import replies
from ..server.reply_events import ChoiceEvent, ReplyEnd
from ..types import Sampling
from .rows import BatchResult, BatchRow

MAX_ATTEMPTS = 2
"""How often a row is tried if an engine fails; then the failure is its result."""
BREAKER_FAILURES = 4
"""Failures in a row after which an engine is not used for a while."""
BREAKER_PAUSE_S = 30.0
POLL_S = 0.1
ENGINE_STATUSES = frozenset({0, 401, 403, 404, 408, 429})
"""Statuses that say something about the server and not about the row, as all from 500 on."""


class BatchStopped(XlamError):
    """A batch ended before all rows had a result; the rest can be run later."""


@dataclass(eq=False)
class _Pool:
    """An engine, and whether it works."""

    engine: Engine
    failures: int = 0
    """How many attempts have failed since the last success."""
    open_until: float = 0.0
    """The monotonic time until which the engine is not used."""
    last_error: str = ""

    @property
    def is_open(self) -> bool:
        return time.monotonic() < self.open_until


@dataclass(slots=True)
class _Work:
    row: BatchRow
    attempts: int = 0


@dataclass(eq=False)
class _Shared:
    """What the threads of a run share; all of it is used under the lock."""

    waiting: deque[_Work]
    running: int = 0
    cancelled: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)
    results: queue.Queue[BatchResult | BaseException | None] = field(default_factory=queue.Queue)


class Batch:
    """Runs rows on one or several engines, as many at once as each writes side by side.

    An engine that fails several times in a row is left out for a while. If all are, the run ends
    with BatchStopped. `sampling` is for rows without settings of their own; with its seed, each row
    gets a seed that depends on its id.
    """

    def __init__(self, engines: Sequence[Engine], sampling: Sampling = Sampling()) -> None:
        self._engines = tuple(engines)
        self._sampling = sampling

    def run(self, rows: Iterable[BatchRow]) -> BatchRun:
        """Return the results in the order in which they are ready, for `for` and `async for`."""
        return BatchRun(self._results(deque(map(_Work, rows))))

    def _results(self, waiting: deque[_Work]) -> Iterator[BatchResult]:
        shared, pools = _Shared(waiting), [_Pool(engine) for engine in self._engines]
        threads = [
            threading.Thread(target=self._work, args=(shared, pool, pools), daemon=True)
            for pool in pools
            for _ in range(pool.engine.sequences)
        ]
        for thread in threads:
            thread.start()
        ended = 0
        try:
            while ended < len(threads):
                item = shared.results.get()
                if isinstance(item, BaseException):
                    raise item
                if item is None:
                    ended += 1
                else:
                    yield item
        finally:
            shared.cancelled = True
            for thread in threads:
                thread.join()

    def _work(self, shared: _Shared, pool: _Pool, pools: Sequence[_Pool]) -> None:
        """Answer rows until none is left; report what ends the run."""
        try:
            while (work := _take(shared, pool, pools)) is not None:
                self._run_one(shared, pool, work)
            shared.results.put(None)
        except BaseException as error:  # the consumer's thread raises it
            shared.results.put(error)

    def _run_one(self, shared: _Shared, pool: _Pool, work: _Work) -> None:
        result: BatchResult | None = None
        try:
            result = self._answer(shared, pool.engine, work.row)
            pool.failures = 0
        except XlamError as error:
            is_fault = _is_fault_of_engine(error)
            if is_fault:
                _note_failure(pool, str(error))
                work.attempts += 1
            if not is_fault or (work.attempts >= MAX_ATTEMPTS and not pool.is_open):
                result = BatchResult(work.row, error=str(error), error_code=type(error).__name__)
        with shared.lock:
            shared.running -= 1
            if result is None and not shared.cancelled:
                shared.waiting.append(work)
        if result is not None:
            shared.results.put(result)

    def _answer(self, shared: _Shared, engine: Engine, row: BatchRow) -> BatchResult | None:
        """Return the result of a row; None if the run was cancelled."""
        request = row.request(self._sampling).reply
        numbers = iter(range(1 << 20))
        ends: list[ReplyEnd] = []
        with closing(
            replies(request, engine, lambda: f"call_{row.content_hash}_{next(numbers)}")
        ) as items:
            for item in items:
                if shared.cancelled:
                    return None
                if isinstance(item, ChoiceEvent) and isinstance(item.event, ReplyEnd):
                    ends.append(item.event)
        return BatchResult(row, tuple(ends), engine.name)


class BatchRun:
    """The results of a run; they can be iterated once. To cancel, call `close`."""

    def __init__(self, results: Iterator[BatchResult]) -> None:
        self._results = results

    def __iter__(self) -> Iterator[BatchResult]:
        return self._results

    async def __aiter__(self) -> AsyncIterator[BatchResult]:
        try:
            while (result := await asyncio.to_thread(next, self._results, None)) is not None:
                yield result
        finally:
            self.close()

    def close(self) -> None:
        """End the run; replies that are being written are cancelled."""
        getattr(self._results, "close", lambda: None)()


def _take(shared: _Shared, pool: _Pool, pools: Sequence[_Pool]) -> _Work | None:
    """Return the next row for an engine; None if nothing is left to do.

    Raises:
        BatchStopped: no engine works.
    """
    while not shared.cancelled:
        with shared.lock:
            if not shared.waiting and not shared.running:
                return None
            if all(each.is_open for each in pools):
                raise BatchStopped(
                    f"The model failed {BREAKER_FAILURES} times in a row. {pool.last_error} Run "
                    "the same command again to continue."
                )
            if shared.waiting and not pool.is_open:
                shared.running += 1
                return shared.waiting.popleft()
        time.sleep(POLL_S)
    return None


def _is_fault_of_engine(error: XlamError) -> bool:
    """Return whether an error says that the engine does not work, and not that the row is wrong."""
    if isinstance(error, RemoteError):
        return error.status in ENGINE_STATUSES or error.status >= 500
    return isinstance(error, ModelError) and not isinstance(error, ApiError)


def _note_failure(pool: _Pool, message: str) -> None:
    pool.failures += 1
    pool.last_error = message
    if pool.failures >= BREAKER_FAILURES:
        pool.open_until = time.monotonic() + BREAKER_PAUSE_S
