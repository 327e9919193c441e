"""The scores of runs of τ²: pass^k, how trials ended, and what they cost."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .pass_k import PassK, pass_k_curve
from .results import EvalRun
from .table import IDENTITY, NOT_MEASURED, SHORT_HASH, ResultTable, without_repetition

SETTINGS = {
    "domain": "domain",
    "split": "split of the tasks",
    "mode": "mode",
    "user": "user",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_steps": "limit of steps",
}
"""The keys of a fingerprint of τ² that the table shows besides those of all benchmarks."""
NO_USER = "none"
"""What a fingerprint says of the user in solo mode."""
SOLO_NOTE = (
    "Solo mode has no user. The τ² board is measured with one: these are not the board's numbers."
)
USER_NOTE = (
    "The user was played by the model named above. The τ² board uses a large model as the user, so "
    "these are not the board's numbers."
)
GREEDY_NOTE = "At temperature 0 all trials of a task are alike, so pass^k is pass^1."


def outcomes(run: EvalRun) -> dict[str, list[bool]]:
    """Return for each task whether its trials were passed."""
    found: dict[str, list[bool]] = {}
    for row in run.rows:
        found.setdefault(row["task"], []).append(bool(row["valid"]))
    return found


def tau2_table(runs: Sequence[EvalRun]) -> ResultTable:
    """Return the table of runs of τ², one column each."""
    rows = [_identity_row(key, label, runs) for key, label in {**IDENTITY, **SETTINGS}.items()]
    for label, cell in FIGURES.items():
        rows.append([label, *map(cell, runs)])
    curves = [pass_k_curve(outcomes(run)) for run in runs]
    for k in range(1, max(map(len, curves)) + 1):
        cells = [_percent(curve[k - 1]) if k <= len(curve) else NOT_MEASURED for curve in curves]
        rows.append([f"pass^{k}", *cells])
    for end in sorted({_end(row) for run in runs for row in run.rows}):
        counts = [sum(_end(row) == end for row in run.rows) for run in runs]
        rows.append([f"trials: {end}", *map(str, counts)])
    table = ResultTable("τ²", ["", *(run.name for run in runs)], rows, " ".join(notes(runs)))
    return without_repetition(table, len(runs))


def tau2_json(run: EvalRun) -> dict[str, Any]:
    """Return everything that the table shows of a run as JSON."""
    found = outcomes(run)
    return {
        "name": run.name,
        **run.fingerprint,
        "tasks": len(found),
        "trials": len(run.rows),
        "pass_k": list(map(asdict, pass_k_curve(found))),
        "ends": Counter(map(_end, run.rows)),
        "prompt_tokens": _sum(run, "prompt_tokens"),
        "reply_tokens": _sum(run, "reply_tokens"),
        "seconds": _sum(run, "seconds"),
        "seconds_per_trial": _median_seconds(run),
        "joules": _joules(run),
        "notes": notes([run]),
    }


def notes(runs: Sequence[EvalRun]) -> list[str]:
    """Return what a reader of the numbers has to know."""
    facts = [run.fingerprint for run in runs]
    found = ["Percent with 95 % bands, a bootstrap over tasks."]
    found += [SOLO_NOTE] if any(fact.get("user") == NO_USER for fact in facts) else []
    found += [USER_NOTE] if any(fact.get("user") != NO_USER for fact in facts) else []
    found += [GREEDY_NOTE] if any(fact.get("temperature") == 0 for fact in facts) else []
    return found


def _identity_row(key: str, label: str, runs: Sequence[EvalRun]) -> list[str]:
    cells = [str(run.fingerprint.get(key, NOT_MEASURED)) for run in runs]
    return [label, *(cell[:SHORT_HASH] if key == "sha256" else cell for cell in cells)]


def _end(row: Mapping[str, Any]) -> str:
    return "passed" if row["valid"] else str(row["error_type"]).replace("_", " ")


def _percent(point: PassK) -> str:
    value, low, high = (100 * part for part in (point.value, point.low, point.high))
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def _trials(run: EvalRun) -> str:
    counts = sorted({len(trials) for trials in outcomes(run).values()})
    return " to ".join(map(str, dict.fromkeys((counts[0], counts[-1])))) if counts else "0"


def _sum(run: EvalRun, key: str) -> float:
    return sum(row.get(key) or 0 for row in run.rows)


def _median_seconds(run: EvalRun) -> float:
    return statistics.median([row.get("seconds") or 0.0 for row in run.rows] or [0.0])


def _joules(run: EvalRun) -> float | None:
    measured = [row["joules"] for row in run.rows if row.get("joules") is not None]
    return sum(measured) if measured else None


def _energy(run: EvalRun) -> str:
    joules = _joules(run)
    return NOT_MEASURED if joules is None else f"{joules:,.4g} J"


FIGURES: Mapping[str, Callable[[EvalRun], str]] = {
    "tasks": lambda run: str(len(outcomes(run))),
    "trials per task": _trials,
    "prompt tokens": lambda run: f"{_sum(run, 'prompt_tokens'):,}",
    "reply tokens": lambda run: f"{_sum(run, 'reply_tokens'):,}",
    "seconds per trial (median)": lambda run: f"{_median_seconds(run):,.4g}",
    "energy of the machine's processors": _energy,
}
