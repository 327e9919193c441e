"""The number of threads, on a simulated machine whose steps have a known duration."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from xlam_local.engine.thread_tuner import OtherLoad, ThreadTuner, Tuners


@dataclass
class Machine:
    """A machine with `cores`; each busy process takes one of them away."""

    cores: int
    busy: float = 0.0
    now: float = 0.0
    spent: dict[int, float] = field(default_factory=dict)

    def step(self, threads: int) -> float:
        """Return the seconds of a step: threads that wait for a core make it slow."""
        free = max(1, self.cores - self.busy)
        seconds = 0.05 * self.cores / min(threads, free)
        if threads > free:
            seconds *= 2
        self.now += seconds
        return seconds

    def run(self, tuner: ThreadTuner, steps: int) -> float:
        """Return the seconds of `steps` steps."""
        start = self.now
        for _ in range(steps):
            tuner.record(self.step(tuner.count))
        return self.now - start


def tuned(machine: Machine, **waits: int) -> ThreadTuner:
    return ThreadTuner(machine.cores, lambda: machine.busy, lambda: machine.now, **waits)


@pytest.mark.parametrize("cores", [2, 4, 16])
def test_an_idle_machine_keeps_all_threads_and_loses_little_to_trials(cores: int) -> None:
    machine = Machine(cores)
    tuner = tuned(machine)
    machine.run(tuner, 500)
    best = 1000 * machine.step(cores)
    assert machine.run(tuner, 1000) < 1.02 * best
    assert tuner.count == cores


@pytest.mark.parametrize(("cores", "busy"), [(2, 1), (2, 2), (4, 1), (8, 3), (16, 15)])
def test_threads_give_way_to_busy_processes_and_come_back(cores: int, busy: int) -> None:
    machine = Machine(cores)
    tuner = tuned(machine)
    machine.run(tuner, 100)
    machine.busy = busy
    machine.run(tuner, 20)
    best = min(machine.step(threads) for threads in range(1, cores + 1))
    assert machine.run(tuner, 400) < 1.05 * 400 * best
    assert tuner.count == max(1, cores - busy)
    machine.busy = 0
    machine.run(tuner, 20)
    assert machine.run(tuner, 400) < 1.05 * 400 * machine.step(cores)


def test_what_is_measured_counts_more_than_the_load() -> None:
    machine = Machine(4)
    tuner = ThreadTuner(4, lambda: 3.0, lambda: machine.now)
    machine.run(tuner, 300)
    assert tuner.count == 4


def test_slow_steps_alone_begin_a_trial() -> None:
    machine = Machine(2)
    tuner = ThreadTuner(2, lambda: 0.0, lambda: machine.now, min_wait=10_000, max_wait=10_000)
    machine.run(tuner, 50)
    machine.busy = 1
    machine.run(tuner, 8)
    assert tuner.count == 1


def test_one_thread_always_remains() -> None:
    machine = Machine(1, busy=1)
    tuner = tuned(machine)
    machine.run(tuner, 300)
    assert tuner.count == 1


def test_each_size_of_batch_has_its_own_number_of_threads() -> None:
    tuners = Tuners(4, prompt_tokens=32)
    for seconds in [0.01, 0.02, 0.02, 0.005, 0.005]:
        tuners.record(1, seconds)
    assert tuners.count(1) == tuners.count(4) == 3
    for seconds in [0.01, 0.02, 0.02, 0.005, 0.005]:
        tuners.record(4, seconds)
    assert [tuners.count(size) for size in (1, 4, 6, 32)] == [3, 2, 2, 4]


@pytest.mark.slow
def test_the_load_of_other_processes_is_measured_without_our_own() -> None:
    load = OtherLoad()
    spinning = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(1.0)
        with_other = load.read()
    finally:
        spinning.kill()
        spinning.wait()
    assert with_other > 0.3
    own = OtherLoad()
    _spin(0.5)
    busy_alone = own.read()
    assert busy_alone < with_other + (os.cpu_count() or 1) - 1


def _spin(seconds: float, clock: Callable[[], float] = time.process_time) -> None:
    end = clock() + seconds
    while clock() < end:
        pass
