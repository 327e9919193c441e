"""Choose the number of threads that llama.cpp computes with, from measured steps and CPU load.

llama.cpp's threads wait for each other many times in each step. If another program needs a core,
one thread fewer is faster, because the others do not wait for a thread that is not running.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

MAX_WRITTEN_TOKENS = 16
"""The largest size of a batch without parts of prompts whose times are compared."""
LOAD_INTERVAL_S = 0.5
"""How often the load is measured."""
MAX_LOAD_INTERVAL_S = 2.0
"""A longer time contains a rest, in which the load was another one."""
SLOW_FACTOR = 1.5
"""A step that takes this many times the average is slow."""
SLOW_STEPS = 2
"""How many slow steps in a row begin a trial."""
MIN_GAIN = 1.03
"""How much faster another number of threads must be."""
NEW_VALUE_WEIGHT = 0.25
"""The weight of the newest step in the average."""


class OtherLoad:
    """The CPU time that other processes take on the cores that we may use."""

    def __init__(self) -> None:
        self._last = (time.monotonic(), *self._cpu_seconds())
        self._cores = 0.0

    def read(self) -> float:
        """Return how many cores the other processes use, measured once in LOAD_INTERVAL_S.

        After a rest it is the value before the rest.
        """
        then, busy_then, own_then = self._last
        if (now := time.monotonic()) - then >= LOAD_INTERVAL_S:
            busy, own = self._cpu_seconds()
            self._last = now, busy, own
            if now - then <= MAX_LOAD_INTERVAL_S:
                self._cores = max(0.0, (busy - busy_then - (own - own_then)) / (now - then))
        return self._cores

    def _cpu_seconds(self) -> tuple[float, float]:
        """Return the seconds that all processes and this one have computed."""
        allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
        cores = psutil.cpu_times(percpu=True)
        busy = sum(
            sum(core) - core.idle - getattr(core, "iowait", 0.0) - getattr(core, "guest", 0.0)
            for number, core in enumerate(cores)
            if allowed is None or number in allowed
        )
        return busy, time.process_time()


@dataclass(slots=True)
class _Trial:
    """Another number of threads that is being measured."""

    previous: int
    average: float
    """The seconds of a step with the previous number."""
    seconds: float = 0.0
    steps: int = 0


class ThreadTuner:
    """Chooses the number of threads for steps that do the same amount of work.

    A trial of another number takes `trial_steps` steps. It begins when steps become slow, when the
    load changes, and after `max_wait` steps. Once the load has changed or a trial has won, the next
    begins after `min_wait` steps already, because a few steps beside other processes vary. The wait
    doubles each time that a trial was in vain.
    """

    def __init__(
        self,
        max_count: int,
        other_load: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        *,
        trial_steps: int = 4,
        min_wait: int = 16,
        max_wait: int = 256,
    ) -> None:
        self.count = max_count
        """The number of threads for the next step."""
        self._max_count = max_count
        self._other_load = other_load
        self._clock = clock
        self._trial_steps = trial_steps
        self._min_wait, self._max_wait = min_wait, max_wait
        self._wait = max_wait
        """The steps until the next trial without a reason."""
        self._average: float | None = None
        """The seconds of a step with the current number of threads."""
        self._steps = 0
        """The steps since the last trial."""
        self._slow_steps = 0
        self._suggested = max_count
        """The number of threads that leaves a core to each busy process."""
        self._load_measured = clock()
        self._upward = False
        """Whether the last trial without a reason was one of more threads."""
        self._trial: _Trial | None = None

    def record(self, seconds: float) -> None:
        """Record how long a step took, and choose the number of threads for the next one."""
        if self._trial is not None:
            self._judge(self._trial, seconds)
            return
        if self._average is None:
            self._average = seconds
        self._slow_steps = self._slow_steps + 1 if seconds > SLOW_FACTOR * self._average else 0
        self._average += NEW_VALUE_WEIGHT * (seconds - self._average)
        self._steps += 1
        load_changed = self._measure_load()
        if self._slow_steps >= SLOW_STEPS:
            self._try(min(self._suggested, self.count - 1))
        elif load_changed:
            self._try(self._suggested)
        elif self._steps >= self._wait:
            self._try(self._neighbor())

    def _measure_load(self) -> bool:
        """Measure the load if it is time to; return whether another number of threads fits it."""
        now = self._clock()
        if now - self._load_measured < LOAD_INTERVAL_S:
            return False
        self._load_measured = now
        before = self._suggested
        self._suggested = max(1, self._max_count - round(self._other_load()))
        if self._suggested == before:
            return False
        self._wait = self._min_wait
        return self._suggested != self.count

    def _neighbor(self) -> int:
        if self._suggested != self.count:
            return self.count + (1 if self._suggested > self.count else -1)
        self._upward = not self._upward
        step = 1 if self._upward else -1
        return self.count + (step if 1 <= self.count + step <= self._max_count else -step)

    def _try(self, count: int) -> None:
        """Begin a trial with another number of threads."""
        self._slow_steps = self._steps = 0
        count = max(1, min(count, self._max_count))
        if count != self.count and self._average is not None:
            self._trial = _Trial(self.count, self._average)
            self.count = count

    def _judge(self, trial: _Trial, seconds: float) -> None:
        """Add a step to a trial; end the trial if its outcome is certain."""
        trial.seconds += seconds
        trial.steps += 1
        limit = trial.average * self._trial_steps / MIN_GAIN
        if trial.seconds < limit and trial.steps < self._trial_steps:
            return
        self._trial = None
        if trial.seconds < limit:
            self._average = trial.seconds / trial.steps
            self._wait = self._min_wait
        else:
            self.count = trial.previous
            self._wait = min(2 * self._wait, self._max_wait)


class Tuners:
    """The number of threads for batches that are written, by their size, and for prompts.

    Only steps of the same size can be compared, so each small size has a tuner of its own. A new
    one begins with the number that the size before it has. Batches with parts of prompts, which
    have at least `prompt_tokens`, share one tuner, which compares the times per token.
    """

    def __init__(self, max_count: int, prompt_tokens: int) -> None:
        self._max_count = max_count
        self._prompt_tokens = prompt_tokens
        self._load = OtherLoad()
        self._written: dict[int, ThreadTuner] = {1: ThreadTuner(max_count, self._load.read)}
        self._prompt = ThreadTuner(
            max_count, self._load.read, trial_steps=1, min_wait=8, max_wait=64
        )

    def count(self, size: int) -> int:
        """Return the number of threads for a batch of `size` tokens."""
        return self._tuner(size).count

    def record(self, size: int, seconds: float) -> None:
        """Record how long a batch of `size` tokens took."""
        if size >= self._prompt_tokens:
            self._prompt.record(seconds / size)
        elif size <= MAX_WRITTEN_TOKENS:
            self._tuner(size).record(seconds)

    def _tuner(self, size: int) -> ThreadTuner:
        if size >= self._prompt_tokens:
            return self._prompt
        size = min(size, MAX_WRITTEN_TOKENS)
        if size not in self._written:
            tuner = ThreadTuner(self._max_count, self._load.read)
            tuner.count = self._written[max(other for other in self._written if other < size)].count
            self._written[size] = tuner
        return self._written[size]
