"""Copy results of `eval bfcl` into docs/results, and write their table into docs/evaluation.md.

usage: python -m tests.scripts.accuracy_table [FOLDER]...

Without FOLDER, only the table is written. The copies have no prompts and no replies. The table is
between two HTML comments of the page. A test compares it with the results.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.scripts.page_block import with_block
from xlam_local.evaluation.categories import CATEGORIES, IRRELEVANCE, RELEVANCE
from xlam_local.evaluation.comparison import ALL, grammar_pairs
from xlam_local.evaluation.results import EvalRun, read_runs
from xlam_local.evaluation.scores import score
from xlam_local.evaluation.statistics import Estimate
from xlam_local.evaluation.table import NOT_MEASURED, percent

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"
PAGE = ROOT / "docs" / "evaluation.md"
START = "<!-- measured accuracy: start -->\n"
END = "<!-- measured accuracy: end -->\n"
LEFT_OUT = frozenset({"prompt", "reply", "replies", "judged", "log", "error", "joules"})
NOT_IN_TITLES = ("-instruct", "-Instruct", "-q4_k_m", ".Q4_1", ".gguf")


def copy_results(folder: Path) -> None:
    """Copy the runs of a folder, with what scores are computed from."""
    RESULTS.mkdir(exist_ok=True)
    for run in read_runs([folder]):
        rows = [{key: row[key] for key in row if key not in LEFT_OUT} for row in run.rows]
        lines = [json.dumps(row, separators=(",", ":")) + "\n" for row in rows]
        (RESULTS / run.path.name).write_text("".join(lines), encoding="utf-8")
        shutil.copyfile(f"{run.path}.run", RESULTS / f"{run.path.name}.run")


def table(runs: Sequence[EvalRun]) -> str:
    """Return the Markdown table of runs, one column each."""
    scores = [score(run.rows) for run in runs]
    rows = [["", *map(_title, runs)]]
    for name in CATEGORIES:
        found = [one.categories.get(name) for one in scores]
        rows.append([name, *(_count(one.official if one else None) for one in found)])
        if name in (*IRRELEVANCE, *RELEVANCE):
            rows.append(
                [f"{name}, strict", *(_count(one.strict if one else None) for one in found)]
            )
    rows.append(["validity, %", *(percent(one.validity) for one in scores)])
    rows.append(["tool choice, %", *(percent(one.tool_choice) for one in scores)])
    rows.append(["arguments, %", *(percent(one.arguments) for one in scores)])
    rows.append(["abstention, %", *(percent(one.abstention) for one in scores)])
    rows.append(["all cases with the grammar: gained, lost (McNemar)", *_changes(runs)])
    measured = [row for row in rows if set(row[1:]) != {NOT_MEASURED}]
    lines = [f"| {' | '.join(row)} |" for row in measured]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:], ""])


def with_table(page: str) -> str:
    """Return the page with the table of the results as they are now."""
    return with_block(page, START, table(read_runs([RESULTS])), END)


def _title(run: EvalRun) -> str:
    facts = run.fingerprint
    name = str(facts["model"])
    for part in NOT_IN_TITLES:
        name = name.replace(part, "")
    return f"{name}, {facts['quantization']}, grammar {facts['grammar']}"


def _count(estimate: Estimate | None) -> str:
    if estimate is None:
        return NOT_MEASURED
    return f"{round(estimate.value * estimate.count)}/{estimate.count}"


def _changes(runs: Sequence[EvalRun]) -> list[str]:
    """Return for each run with the grammar how it differs from the one without."""
    tests = {pair.after.name: pair.tests[ALL] for pair in grammar_pairs(runs)}
    return [
        f"{test.gained}, {test.lost} (p = {test.p_value:.2g})" if test else ""
        for test in (tests.get(run.name) for run in runs)
    ]


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        copy_results(Path(argument))
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
