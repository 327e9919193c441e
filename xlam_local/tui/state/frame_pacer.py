"""Limit the CPU time that drawing takes from a model that writes."""

from __future__ import annotations

import os
import time

MAX_CPU_SHARE = 0.0075 * (os.cpu_count() or 1)
"""Share of one core's time that the screen's thread may use: under one percent of all cores."""
MAX_FRAME_INTERVAL_S = 0.75


class FramePacer:
    """Decides when the next frame is due, from the CPU time that the last one took."""

    def __init__(self) -> None:
        self._last_frame = (0.0, 0.0)
        """When the last frame was, by the clock and by the thread's CPU time."""

    def is_due(self) -> bool:
        """Return whether to draw a frame now; if so, the next interval begins."""
        now, cpu = time.monotonic(), time.thread_time()
        last, last_cpu = self._last_frame
        if now - last < min(MAX_FRAME_INTERVAL_S, (cpu - last_cpu) / MAX_CPU_SHARE):
            return False
        self._last_frame = (now, cpu)
        return True
