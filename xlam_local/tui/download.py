"""A model on its way, which can rest and go on."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import TYPE_CHECKING

from ..errors import XlamError
from ..models import Progress, Store, amount
from .job import Job

if TYPE_CHECKING:
    from ..models.hub import Hub


class Download:
    """Fetches a model; stopped, it keeps what it has and goes on there."""

    def __init__(self, name: str, store: Store, hub: Hub | None = None) -> None:
        self.name = name
        self.hub = hub
        """Where the bytes come from; the Hub of the environment where not set."""
        self.store = store
        self.progress = Progress(0, 0, "starting")
        self.paused = False
        self.cancelled = False
        self.error: XlamError | None = None
        self.done = False
        self._speed = 0.0
        self._seen = (time.monotonic(), 0)
        self._job = self._begun()

    def _begun(self) -> Job[Progress]:
        return Job(self._steps)

    def _steps(self) -> Generator[Progress, None, None]:
        from ..models import sources

        yield from sources.pull(self.name, self.store, self.hub)

    def look(self) -> bool:
        """Take in how far it is; whether that has changed anything."""
        ended = self._job.finished
        steps = self._job.take()
        for step in steps:
            self.progress = step
        self._measure()
        if ended and not self.paused:
            self.error = self._job.error
            self.done = True
        return bool(steps) or ended

    def pause(self) -> None:
        """Stop for now; what is there stays."""
        self.paused = True
        self._job.cancel()

    def resume(self) -> None:
        """Go on where it stopped."""
        if self.paused:
            self._job.wait(5)
            self.paused = False
            self._job = self._begun()

    def cancel(self) -> None:
        """Stop for good; pulling it again still goes on where this one stopped."""
        self.cancelled, self.paused = True, False
        self._job.cancel()

    @property
    def told(self) -> str:
        """How far it is, in words."""
        done, total = self.progress.done, self.progress.total
        share = f"{100 * done / total:.0f} %" if total else ""
        if self.paused:
            return f"{self.name} {share} paused"
        speed = f", {amount(self._speed)}/s" if self._speed >= 1 else ""
        left = f", {_minutes((total - done) / self._speed)} left" if self._speed >= 1 else ""
        return f"{self.name} {share}{speed}{left}"

    def _measure(self) -> None:
        now, (then, before) = time.monotonic(), self._seen
        if now - then >= 1.0:
            self._speed = max(0, self.progress.done - before) / (now - then)
            self._seen = (now, self.progress.done)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
