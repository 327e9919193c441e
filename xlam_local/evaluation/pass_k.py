"""pass^k: the chance that k trials of a task all pass, as the mean over tasks."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

RESAMPLES = 2000
BOOTSTRAP_SEED = 0
TAIL = 0.025
"""The share of resamples on each side of a 95 % band."""


@dataclass(frozen=True, slots=True)
class PassK:
    """pass^k for one k, with its 95 % band."""

    k: int
    value: float
    low: float
    high: float


def pass_k(trials: int, passed: int, k: int) -> float:
    """Return the share of all choices of k trials of one task in which every trial passed."""
    if not 0 <= passed <= trials or not 1 <= k <= trials:
        raise ValueError(f"There is no pass^{k} for {passed} of {trials} trials.")
    return math.comb(passed, k) / math.comb(trials, k)


def pass_k_curve(outcomes: Mapping[str, Sequence[bool]]) -> list[PassK]:
    """Return pass^k for each k up to the smallest number of trials of a task.

    `outcomes` has for each task whether its trials passed. The band is a percentile bootstrap over
    tasks: it says how much the figure depends on which tasks were chosen.
    """
    if not outcomes:
        return []
    highest = min(len(trials) for trials in outcomes.values())
    tasks = [
        [pass_k(len(trials), sum(trials), k) for k in range(1, highest + 1)]
        for trials in outcomes.values()
    ]
    chance = random.Random(BOOTSTRAP_SEED)
    resampled = [_means(chance.choices(tasks, k=len(tasks))) for _ in range(RESAMPLES)]
    return [
        PassK(number + 1, value, *_band([means[number] for means in resampled]))
        for number, value in enumerate(_means(tasks))
    ]


def _means(tasks: Sequence[Sequence[float]]) -> list[float]:
    return [math.fsum(column) / len(tasks) for column in zip(*tasks, strict=True)]


def _band(values: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(values)
    last = len(ordered) - 1
    return ordered[round(TAIL * last)], ordered[round((1 - TAIL) * last)]
