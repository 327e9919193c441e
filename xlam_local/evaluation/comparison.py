"""Compare two runs on the cases that both have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import UsageError
from .categories import IRRELEVANCE
from .results import EvalRun
from .scores import score
from .statistics import PairedTest, mcnemar

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


def compare(before: EvalRun, after: EvalRun) -> Comparison:
    """Compare two runs.

    Raises:
        UsageError: they have no cases in common, or were judged by different checkers.
    """
    for key in ("benchmark", "checker"):
        if before.fingerprint.get(key) != after.fingerprint.get(key):
            raise UsageError(
                f"{before.path} and {after.path} cannot be compared: {key} is "
                f"{before.fingerprint.get(key)!r} and {after.fingerprint.get(key)!r}."
            )
    first, second = before.by_id(), after.by_id()
    shared = [case_id for case_id in first if case_id in second]
    if not shared:
        raise UsageError(f"{before.path} and {after.path} have no cases in common.")
    by_category: dict[str, list[str]] = {}
    for case_id in shared:
        by_category.setdefault(first[case_id]["category"], []).append(case_id)
    ordered = list(score([first[case_id] for case_id in shared]).categories)
    groups = {**{name: by_category[name] for name in ordered}, ALL: shared}
    tests = {
        name: mcnemar([first[i]["valid"] for i in ids], [second[i]["valid"] for i in ids])
        for name, ids in groups.items()
    }
    for name in [name for name in ordered if name in IRRELEVANCE]:
        strict = [
            [rows[i].get("outcome") == "words" for i in groups[name]] for rows in (first, second)
        ]
        tests[f"{name}, strict"] = mcnemar(*strict)
    changed = [
        ChangedCase(i, "gained" if second[i]["valid"] else "lost", first[i], second[i])
        for i in shared
        if first[i]["valid"] != second[i]["valid"]
    ]
    return Comparison(before, after, tests, changed)


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
