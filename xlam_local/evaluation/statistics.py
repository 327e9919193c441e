"""Intervals and tests for accuracies: Wilson, MOVER, McNemar and random signs."""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

Z_95 = 1.959963984540054
"""The quantile of the normal distribution for 95 %."""
SIGNIFICANT_P = 0.05
MAX_EXACT_PAIRS = 1000
"""Up to this many differing pairs the exact test is computed; beyond, the normal approximation."""
MAX_EXACT_SIGNS = 12
"""Up to this many differences all signs are tried; beyond, RANDOM_SIGNS random choices of them."""
RANDOM_SIGNS = 10_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share or a mean of shares, with its 95 % interval."""

    value: float
    low: float
    high: float
    count: int
    """The number of cases."""


def share(successes: int, count: int) -> Estimate:
    """Return a share with Wilson's interval, which is never empty and never leaves 0 to 1."""
    if not 0 <= successes <= count or count < 1:
        raise ValueError(f"{successes} of {count} is not a share.")
    p, z2 = successes / count, Z_95**2
    center = (p + z2 / (2 * count)) / (1 + z2 / count)
    half = Z_95 * math.sqrt(p * (1 - p) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    low = 0.0 if successes == 0 else center - half
    high = 1.0 if successes == count else center + half
    return Estimate(p, low, high, count)


def weighted_mean(parts: Sequence[tuple[float, Estimate]]) -> Estimate:
    """Return a mean of independent shares, with the interval that follows from theirs (MOVER)."""
    value = sum(weight * part.value for weight, part in parts)
    below = math.sqrt(sum((weight * (part.value - part.low)) ** 2 for weight, part in parts))
    above = math.sqrt(sum((weight * (part.high - part.value)) ** 2 for weight, part in parts))
    count = sum(part.count for _, part in parts)
    return Estimate(value, max(value - below, 0.0), min(value + above, 1.0), count)


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Two runs on the same cases."""

    pairs: int
    gained: int
    """Cases that only the second run has right."""
    lost: int
    """Cases that only the first run has right."""
    p_value: float

    @property
    def verdict(self) -> str:
        """Whether the second run is "better", "worse" or "not told apart"."""
        if self.p_value >= SIGNIFICANT_P:
            return "not told apart"
        return "better" if self.gained > self.lost else "worse"


def mcnemar(before: Sequence[bool], after: Sequence[bool]) -> PairedTest:
    """Compare two runs by McNemar's test: exact and two-sided, on the cases that differ."""
    gained = sum(new and not old for old, new in zip(before, after, strict=True))
    lost = sum(old and not new for old, new in zip(before, after, strict=True))
    return PairedTest(len(before), gained, lost, _two_sided(min(gained, lost), gained + lost))


def _two_sided(fewer: int, differing: int) -> float:
    if not differing:
        return 1.0
    if differing > MAX_EXACT_PAIRS:
        z = (differing - 2 * fewer - 1) / math.sqrt(differing)
        return math.erfc(max(z, 0.0) / math.sqrt(2))
    tail = sum(math.comb(differing, k) for k in range(fewer + 1))
    return min(1.0, float(2 * tail / 2**differing))


def random_signs(differences: Sequence[float]) -> float:
    """Return the two-sided p-value of a mean of differences, under random signs of them.

    Each difference is that of one group, such as the trials of a task, which are not independent.
    """
    values = [value for value in differences if value]
    observed = abs(math.fsum(values)) - 1e-9
    if len(values) <= MAX_EXACT_SIGNS:
        signs: Iterable[Sequence[int]] = product((-1, 1), repeat=len(values))
        count = 2 ** len(values)
    else:
        chance = random.Random(0)
        signs = (chance.choices((-1, 1), k=len(values)) for _ in range(RANDOM_SIGNS))
        count = RANDOM_SIGNS
    extreme = sum(abs(math.fsum(map(operator.mul, values, chosen))) >= observed for chosen in signs)
    return float(extreme / count)
