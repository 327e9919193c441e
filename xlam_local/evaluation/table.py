"""The tables of an evaluation: one column for each run, with everything that identifies it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from .categories import CATEGORIES, IRRELEVANCE, MEANS, RELEVANCE
from .comparison import Comparison
from .published import LABEL, SOURCE, VERSION, PublishedScores, published_scores
from .results import EvalRun
from .scores import OUTCOMES, RunScores, score, scores_json
from .statistics import Estimate

NOT_MEASURED = "not measured"
NOT_PUBLISHED = "not published"
SHORT_HASH = 16
IDENTITY = {
    "model": "model",
    "sha256": "file SHA-256",
    "quantization": "quantization",
    "adapters": "adapters",
    "grammar": "grammar",
    "seed": "seed",
    "temperature": "temperature",
    "max_tokens": "token limit",
    "context": "context",
    "engine": "engine",
    "checker": "checker",
    "prompts": "prompts",
}
"""The keys of a fingerprint that a table shows, with their labels."""
SHARED_LABELS = frozenset(IDENTITY.values()) - {"model", "quantization", "grammar"}
"""The labels of facts that are told once if they are alike in all runs."""
MEAN_LABELS = {
    "simple": "mean of simple",
    "non_live": "non-live (official mean)",
    "live": "live (official mean)",
    "irrelevance_mean": "irrelevance (official mean)",
    "multi_turn": "multi-turn (official mean)",
}


@dataclass(frozen=True, slots=True)
class ResultTable:
    """A table of texts."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def run_table(runs: Sequence[EvalRun]) -> ResultTable:
    """Return the scores of runs, and the published scores of their models."""
    scores = [score(run.rows) for run in runs]
    published = list(_published(runs))
    rows: list[list[str]] = []

    def add(label: str, cell: Callable[[RunScores], str], known: str = "") -> None:
        cells = [cell(one) for one in scores]
        other = [
            f"{100 * one.scores[known]:.1f}" if known in one.scores else NOT_PUBLISHED
            for one in published
        ]
        rows.append([label, *cells, *other])

    for key, label in IDENTITY.items():
        cells = [str(run.fingerprint.get(key, NOT_MEASURED)) for run in runs]
        if key == "sha256":
            cells = [cell[:SHORT_HASH] for cell in cells]
        rows.append([label, *cells, *(_published_identity(key, one) for one in published)])
    rows.append(["cases", *(str(len(run.rows)) for run in runs), *("all" for _ in published)])
    for name in _category_names(runs, scores):
        _add_category(add, name)
    if any(run.fingerprint["benchmark"] == "bfcl" for run in runs):
        for mean in MEANS:
            add(MEAN_LABELS[mean.name], _mean_cell(mean.name), mean.name)
    for label, cell in FIGURES.items():
        add(label, cell)
    sources = [f"{LABEL}: {SOURCE}, {VERSION}."] if published else []
    note = " ".join(["Percent with 95 % intervals and numbers of cases.", *sources])
    columns = ["", *(run.name for run in runs), *(f"{one.model}: {LABEL}" for one in published)]
    return without_repetition(ResultTable("Scores", columns, rows, note), len(runs))


def without_repetition(table: ResultTable, runs: int) -> ResultTable:
    """Move what is alike in all runs, and what no run has measured, from the rows into the note.

    The columns of the runs follow that of the labels; other columns have published scores.
    """
    rows: list[Sequence[str]] = []
    alike, missing = [], []
    for label, *cells in table.rows:
        found, published = set(cells[:runs]), set(cells[runs:])
        if published - {NOT_PUBLISHED}:
            rows.append([label, *cells])
        elif found == {NOT_MEASURED}:
            missing.append(label)
        elif runs > 1 and len(found) == 1 and label in SHARED_LABELS:
            alike.append(f"{label} {cells[0]}")
        else:
            rows.append([label, *cells])
    parts = [table.note]
    parts += [f"In all runs: {'; '.join(alike)}."] if alike else []
    parts += [f"Not measured: {'; '.join(missing)}."] if missing else []
    return replace(table, rows=rows, note=" ".join(parts))


def comparison_table(comparison: Comparison) -> ResultTable:
    """Return McNemar's test of two runs, by category."""
    before, after = comparison.before, comparison.after
    rows = [
        [
            name,
            str(test.pairs),
            str(test.gained),
            str(test.lost),
            f"{test.p_value:.3g}",
            test.verdict,
        ]
        for name, test in comparison.tests.items()
    ]
    name = "random signs by task" if comparison.by_task else "McNemar"
    columns = ["category", "cases", "gained", "lost", f"p ({name})", "verdict"]
    note = f"{_described(before)}. {_described(after)}."
    return ResultTable(f"{after.name} compared with {before.name}", columns, rows, note)


def markdown(table: ResultTable) -> str:
    """Return a table in Markdown."""

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"

    lines = [line(table.columns), f"|{'---|' * len(table.columns)}", *map(line, table.rows)]
    note = f"\n{table.note}\n" if table.note else ""
    return f"### {table.title}\n\n" + "\n".join(lines) + f"\n{note}"


def scores_json_report(runs: Sequence[EvalRun]) -> dict[str, Any]:
    """Return everything that the tables of scores show as JSON."""
    return {
        "runs": [
            {
                "name": run.name,
                **run.fingerprint,
                "cases": len(run.rows),
                "scores": scores_json(score(run.rows)),
            }
            for run in runs
        ],
        "published": [
            {**asdict(one), "label": LABEL, "source": SOURCE, "version": VERSION}
            for one in _published(runs)
        ],
    }


def percent(estimate: Estimate | None) -> str:
    """Return a score with its interval and its number of cases."""
    if estimate is None:
        return NOT_MEASURED
    value, low, high = (100 * part for part in (estimate.value, estimate.low, estimate.high))
    return f"{value:.1f} ({low:.1f} to {high:.1f}), n={estimate.count}"


def _described(run: EvalRun) -> str:
    facts = run.fingerprint
    parts = [f"{run.name}: {facts.get('model')}, SHA-256 {str(facts.get('sha256'))[:SHORT_HASH]}"]
    parts += [f"{facts.get('quantization')}, grammar {facts.get('grammar')}"]
    parts += [f"seed {facts.get('seed')}, {facts.get('engine')}, {facts.get('checker')}"]
    return ", ".join(parts)


def _published(runs: Sequence[EvalRun]) -> Iterator[PublishedScores]:
    seen: set[str] = set()
    for run in runs:
        found = published_scores(str(run.fingerprint.get("model", "")))
        if run.fingerprint["benchmark"] == "bfcl" and found and found.model not in seen:
            seen.add(found.model)
            yield found


def _published_identity(key: str, published: PublishedScores) -> str:
    known = {"model": published.model, "quantization": "F16", "grammar": "off"}
    return {**known, "checker": VERSION}.get(key, NOT_PUBLISHED)


def _category_names(runs: Sequence[EvalRun], scores: Sequence[RunScores]) -> list[str]:
    measured = {name: None for one in scores for name in one.categories}
    is_bfcl = any(run.fingerprint["benchmark"] == "bfcl" for run in runs)
    return [*(CATEGORIES if is_bfcl else ()), *(n for n in measured if n not in CATEGORIES)]


def _add_category(add: Callable[..., None], name: str) -> None:
    def official(scores: RunScores) -> str:
        found = scores.categories.get(name)
        return percent(found.official if found else None)

    def strict(scores: RunScores) -> str:
        found = scores.categories.get(name)
        return percent(found.strict if found else None)

    def outcomes(scores: RunScores) -> str:
        found = scores.categories.get(name)
        return " / ".join(str(found.outcomes[key]) for key in OUTCOMES) if found else NOT_MEASURED

    if name not in (*IRRELEVANCE, *RELEVANCE):
        add(name, official, name)
        return
    add(f"{name}, official", official, name)
    add(f"{name}, strict", strict)
    add(f"{name}: {', '.join(OUTCOMES)}", outcomes)


def _mean_cell(name: str) -> Callable[[RunScores], str]:
    return lambda scores: percent(scores.means.get(name))


def _number(value: float | None, unit: str = "") -> str:
    return NOT_MEASURED if value is None else f"{value:,.4g}{unit}"


def _energy(scores: RunScores) -> str:
    return _number(scores.joules, " J")


FIGURES: Mapping[str, Callable[[RunScores], str]] = {
    "validity (replies with decodable calls)": lambda scores: percent(scores.validity),
    "tool choice (the expected tools)": lambda scores: percent(scores.tool_choice),
    "arguments (right, of the expected tools)": lambda scores: percent(scores.arguments),
    "abstention (words, where no tool fits)": lambda scores: percent(scores.abstention),
    "prompt tokens": lambda scores: f"{scores.prompt_tokens:,}",
    "reply tokens": lambda scores: f"{scores.reply_tokens:,}",
    "decoding seconds per case (median)": lambda scores: _number(scores.decode_seconds_per_case),
    "reply tokens per second": lambda scores: _number(scores.tokens_per_second),
    "energy of the machine's processors": _energy,
}
