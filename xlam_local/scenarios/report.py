"""The tables and the JSON of a check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ..evaluation.statistics import Estimate
from ..evaluation.table import ResultTable, percent
from .rates import (
    RateDifference,
    ScenarioRate,
    compare_rates,
    pass_rate,
    pass_rates,
    scenario_rates,
)

Row = Mapping[str, Any]
LIMITS = (
    "The user is a script, so the rates measure the calls and the answers, not conversation. The "
    "intervals hold for these scenarios."
)


def variation_names(rows: Sequence[Row]) -> list[str]:
    """Return the variations of rows, the tools of the file first."""
    names = dict.fromkeys(row["variation"] for row in rows)
    return sorted(names, key=lambda name: (name != "", name))


def scenario_table(rates: Sequence[ScenarioRate]) -> ResultTable:
    """Return how often each scenario was right, and the causes of its failures."""
    cells = [[rate.name, f"{rate.passed} of {rate.runs}", _causes(rate.causes)] for rate in rates]
    return ResultTable("Scenarios", ["scenario", "right", "causes"], cells)


def rate_table(rows: Sequence[Row]) -> ResultTable:
    """Return pass@1 and pass^k of each variation."""
    columns, estimates = ["tools"], list[Mapping[int, Estimate]]()
    names = variation_names(rows)
    for name in names:
        estimates.append(pass_rates(scenario_rates(rows, name)))
    most = max(map(len, estimates), default=0)
    columns += ["pass@1", *(f"pass^{k}" for k in range(2, most + 1))]
    cells = []
    for name, rates in zip(names, estimates, strict=True):
        shown = [percent(rates[k]) if k in rates else "" for k in range(1, most + 1)]
        cells.append([name or "as in the file", *shown])
    note = f"Percent with 95 % intervals; n is the number of runs. {LIMITS}"
    return ResultTable("Rates", columns, cells, note)


def against_table(before: Sequence[Row], after: Sequence[Row]) -> ResultTable:
    """Return which scenarios became better or worse."""
    old = {(rate.name, rate.digest): rate for rate in scenario_rates(before)}
    cells, left_out = [], 0
    for rate in scenario_rates(after):
        earlier = old.get((rate.name, rate.digest))
        if earlier is None:
            left_out += 1
        elif earlier.passed * rate.runs != rate.passed * earlier.runs:
            cells.append(
                [rate.name, f"{earlier.passed} of {earlier.runs}", f"{rate.passed} of {rate.runs}"]
            )
    note = difference_text(against(before, after))
    if left_out:
        note += f" Not compared: {left_out} scenarios that are new or have changed."
    return ResultTable("What changed", ["scenario", "before", "now"], cells, note)


def against(before: Sequence[Row], after: Sequence[Row]) -> RateDifference | None:
    """Return the difference of two checks, with the tools of the file."""
    return compare_rates(scenario_rates(before), scenario_rates(after))


def difference_text(found: RateDifference | None) -> str:
    """Return a difference as a sentence."""
    if found is None:
        return "The two checks have no scenario in common."
    change = 100 * (found.after.value - found.before.value)
    return (
        f"pass@1 was {100 * found.before.value:.1f} and is {100 * found.after.value:.1f}: "
        f"{change:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f}), {found.verdict}."
    )


def check_json(rows: Sequence[Row], before: Sequence[Row] | None = None) -> dict[str, Any]:
    """Return everything that the tables show, and how each failed run failed."""
    found: dict[str, Any] = {
        "runs": len(rows),
        "users": sorted({row["user"] for row in rows}),
        "rates": {
            name: {f"pass^{k}": asdict(one) for k, one in pass_rates(own).items()}
            for name in variation_names(rows)
            if (own := scenario_rates(rows, name))
        },
        "scenarios": [asdict(rate) for rate in scenario_rates(rows)],
        "failures": [
            {key: row[key] for key in ("id", "cause", "detail", "diff")}
            for row in rows
            if not row["passed"]
        ],
    }
    if before is not None and (difference := against(before, rows)) is not None:
        found["against"] = {**asdict(difference), "verdict": difference.verdict}
    return found


def first_failures(rows: Sequence[Row]) -> list[str]:
    """Return lines about the first failed run of each scenario and cause, with its diff."""
    lines: list[str] = []
    seen: set[tuple[str, str, str]] = set()
    for row in rows:
        key = (row["scenario"], row["variation"], row["cause"])
        if not row["passed"] and key not in seen:
            seen.add(key)
            lines.append(f"{row['id']}: {row['cause']}: {row['detail']}")
            lines += [f"    {line}" for line in row["diff"]]
    return lines


def summary(rows: Sequence[Row]) -> str:
    """Return pass@1 as text."""
    return percent(pass_rate(scenario_rates(rows)))


def _causes(causes: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {cause}" for cause, count in causes.items())
