"""How often runs are right: pass@1 and pass^k, with intervals, and whether a run is worse."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..evaluation.statistics import Estimate, share, weighted_mean

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ScenarioRate:
    """How often the runs of a scenario are right."""

    name: str
    passed: int
    runs: int
    causes: Mapping[str, int]
    """How often each cause occurred, the most frequent first."""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class RateDifference:
    """The difference of two pass rates on the same scenarios."""

    before: Estimate
    after: Estimate
    low: float
    high: float
    """The ends of its 95 % interval."""

    @property
    def verdict(self) -> str:
        """Whether the second is "better", "worse" or "not told apart"."""
        if self.high < 0:
            return "worse"
        return "better" if self.low > 0 else "not told apart"


def scenario_rates(rows: Sequence[Row], variation: str = "") -> list[ScenarioRate]:
    """Return the rate of each scenario in a variation, in the order of the rows."""
    by_name: dict[str, list[Row]] = {}
    for row in rows:
        if row["variation"] == variation:
            by_name.setdefault(row["scenario"], []).append(row)
    return [
        ScenarioRate(
            name,
            sum(bool(row["passed"]) for row in own),
            len(own),
            dict(Counter(row["cause"] for row in own if not row["passed"]).most_common()),
            own[0]["case"],
        )
        for name, own in by_name.items()
    ]


def pass_power(passed: int, runs: int, k: int) -> float:
    """Return the estimate of the chance that `k` runs in a row are right (pass^k of tau-bench)."""
    return math.comb(passed, k) / math.comb(runs, k)


def pass_rate(rates: Sequence[ScenarioRate], k: int = 1) -> Estimate:
    """Return pass^k as the mean of scenarios; for k = 1 it is pass@1.

    The interval holds for these scenarios: Wilson's for each one, raised to `k`, and combined.
    """
    parts = [(1 / len(rates), _power(rate, k)) for rate in rates]
    return weighted_mean(parts)


def pass_rates(rates: Sequence[ScenarioRate]) -> dict[int, Estimate]:
    """Return pass^k for each k that every scenario has runs for."""
    most = min((rate.runs for rate in rates), default=0)
    return {k: pass_rate(rates, k) for k in range(1, most + 1)}


def compare_rates(
    before: Sequence[ScenarioRate], after: Sequence[ScenarioRate]
) -> RateDifference | None:
    """Return the difference of pass@1 on the scenarios of both; None if there are none.

    The interval of the difference follows from those of the rates (Newcombe).
    """
    old = {(rate.name, rate.digest): rate for rate in before}
    pairs = [(old[key], rate) for rate in after if (key := (rate.name, rate.digest)) in old]
    if not pairs:
        return None
    first = pass_rate([one for one, _ in pairs])
    second = pass_rate([two for _, two in pairs])
    change = second.value - first.value
    below = math.hypot(second.value - second.low, first.high - first.value)
    above = math.hypot(second.high - second.value, first.value - first.low)
    return RateDifference(first, second, change - below, change + above)


def _power(rate: ScenarioRate, k: int) -> Estimate:
    one = share(rate.passed, rate.runs)
    value = pass_power(rate.passed, rate.runs, k)
    return Estimate(value, min(one.low**k, value), max(one.high**k, value), rate.runs)
