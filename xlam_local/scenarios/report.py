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
SCRIPTED = "The user is a script, so the rates measure calls and answers, not conversation."
PLAYED = "The user is a model, so the rates depend on both models."
UNRELIABLE = (
    "User unreliable: in over 10 % of the failed runs the model that plays the user said what the "
    "user cannot know, so there is no rate."
)
MAX_BROKEN_SHARE = 0.1


def variation_names(rows: Sequence[Row]) -> list[str]:
    """Return the variations of rows, the tools of the file first."""
    names = dict.fromkeys(row["variation"] for row in rows)
    return sorted(names, key=lambda name: (name != "", name))


def is_user_unreliable(rows: Sequence[Row]) -> bool:
    """Return whether a model as the user said too often what the user cannot know."""
    failed = [row for row in rows if not row["passed"]]
    broken = sum(bool(row.get("user_broken")) for row in failed)
    return broken > MAX_BROKEN_SHARE * len(failed)


def scenario_table(rates: Sequence[ScenarioRate]) -> ResultTable:
    """Return how often each scenario was right, and the causes of its failures."""
    cells = [[rate.name, f"{rate.passed} of {rate.runs}", _causes(rate.causes)] for rate in rates]
    return ResultTable("Scenarios", ["scenario", "right", "causes"], cells)


def rate_table(rows: Sequence[Row]) -> ResultTable:
    """Return pass@1 and pass^k of each variation."""
    if is_user_unreliable(rows):
        return ResultTable("Rates", ["tools"], [], UNRELIABLE)
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
    user = PLAYED if any(row["user"].startswith("model ") for row in rows) else SCRIPTED
    note = (
        "Percent with 95 % intervals, which hold for these scenarios; n is the number of runs. "
        f"{user}"
    )
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
        "user_unreliable": is_user_unreliable(rows),
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
