"""The reports on results of all benchmarks: tables and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .comparison import comparison_json, grammar_pairs
from .results import EvalRun
from .table import ResultTable, comparison_table, run_table, scores_json_report
from .tau2 import BENCHMARK
from .tau2_scores import tau2_json, tau2_table


def result_tables(runs: Sequence[EvalRun]) -> list[ResultTable]:
    """Return the tables of all runs, and one for each pair with and without the grammar."""
    scored, played = _split(runs)
    tables = [*([run_table(scored)] if scored else []), *([tau2_table(played)] if played else [])]
    return [*tables, *map(comparison_table, grammar_pairs(runs))]


def report_json(runs: Sequence[EvalRun]) -> dict[str, Any]:
    """Return everything that the tables show as JSON; what was not measured is null or missing."""
    scored, played = _split(runs)
    return {
        **scores_json_report(scored),
        "tau2": list(map(tau2_json, played)),
        "grammar": [comparison_json(comparison) for comparison in grammar_pairs(runs)],
    }


def _split(runs: Sequence[EvalRun]) -> tuple[list[EvalRun], list[EvalRun]]:
    """Return the runs with cases that have one verdict each, and those of τ²."""
    played = [run for run in runs if run.fingerprint["benchmark"] == BENCHMARK]
    return [run for run in runs if run not in played], played
