"""Compare two runs on the cases that both have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import UsageError
from .categories import IRRELEVANCE
from .results import EvalRun
from .scores import score
from .statistics import PairedTest, mcnemar, random_signs
from .tau2 import BENCHMARK

SAME = ("benchmark", "checker", "domain", "split", "mode", "user")
"""The keys of the fingerprints that two runs have in common."""
ALL = "all"
"""The name of the comparison of all cases."""
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ChangedCase:
    """A case that one run has right and the other wrong."""

    id: str
    change: str
    """What the second run did: "gained" or "lost"."""
    before: Row
    after: Row


@dataclass(frozen=True, slots=True)
class Comparison:
    """The second run compared with the first."""

    before: EvalRun
    after: EvalRun
    tests: Mapping[str, PairedTest]
    """By category, for all cases, and for irrelevance also strictly."""
    changed: Sequence[ChangedCase]

    @property
    def by_task(self) -> bool:
        """Whether the cases are trials of tasks, as those of τ²."""
        return bool(self.before.fingerprint["benchmark"] == BENCHMARK)


def compare(before: EvalRun, after: EvalRun) -> Comparison:
    """Compare two runs.

    Raises:
        UsageError: they have no cases in common, or were judged by different checkers.
    """
    for key in SAME:
        if before.fingerprint.get(key) != after.fingerprint.get(key):
            raise UsageError(
                f"{before.path} and {after.path} cannot be compared: {key} is "
                f"{before.fingerprint.get(key)!r} and {after.fingerprint.get(key)!r}."
            )
    first, second = before.by_id(), after.by_id()
    shared = [case_id for case_id in first if case_id in second]
    if not shared:
        raise UsageError(f"{before.path} and {after.path} have no cases in common.")
    test = _test_tasks if before.fingerprint["benchmark"] == BENCHMARK else _test_cases
    tests = test([first[case_id] for case_id in shared], [second[case_id] for case_id in shared])
    changed = [
        ChangedCase(i, "gained" if second[i]["valid"] else "lost", first[i], second[i])
        for i in shared
        if first[i]["valid"] != second[i]["valid"]
    ]
    return Comparison(before, after, tests, changed)


def _test_cases(first: Sequence[Row], second: Sequence[Row]) -> dict[str, PairedTest]:
    """Compare two runs by category, on all cases, and for irrelevance also strictly."""
    groups: dict[str, list[int]] = {name: [] for name in score(first).categories}
    for number, row in enumerate(first):
        groups[row["category"]].append(number)
    groups[ALL] = list(range(len(first)))
    tests = {
        name: mcnemar([first[i]["valid"] for i in rows], [second[i]["valid"] for i in rows])
        for name, rows in groups.items()
    }
    for name in [name for name in groups if name in IRRELEVANCE]:
        strict = [
            [rows[i].get("outcome") == "words" for i in groups[name]] for rows in (first, second)
        ]
        tests[f"{name}, strict"] = mcnemar(*strict)
    return tests


def _test_tasks(first: Sequence[Row], second: Sequence[Row]) -> dict[str, PairedTest]:
    """Compare two runs of τ² on all trials; the trials of a task are not independent."""
    changes = [
        int(new["valid"]) - int(old["valid"]) for old, new in zip(first, second, strict=True)
    ]
    by_task: dict[str, list[int]] = {}
    for row, change in zip(first, changes, strict=True):
        by_task.setdefault(row["task"], []).append(change)
    p_value = random_signs([sum(task) / len(task) for task in by_task.values()])
    return {ALL: PairedTest(len(changes), changes.count(1), changes.count(-1), p_value)}


def grammar_pairs(runs: Sequence[EvalRun]) -> Iterator[Comparison]:
    """Yield a comparison for each two runs that differ in nothing but the grammar."""
    for off in runs:
        for on in runs:
            expected = {**off.fingerprint, "grammar": "on"}
            if off.fingerprint.get("grammar") != "off" or on.fingerprint != expected:
                continue
            if off.by_id().keys() & on.by_id().keys():
                yield compare(off, on)


def _said(row: Row) -> dict[str, Any]:
    """Return a row without what `eval show` is for."""
    return {key: row.get(key) for key in ("valid", "error_type", "error", "reply")}


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as JSON."""
    return {
        "before": comparison.before.name,
        "after": comparison.after.name,
        "tests": {
            name: {**asdict(test), "verdict": test.verdict}
            for name, test in comparison.tests.items()
        },
        "changed": [
            {
                "id": case.id,
                "change": case.change,
                "before": _said(case.before),
                "after": _said(case.after),
            }
            for case in comparison.changed
        ],
    }
