"""The scores of a run: accuracy by category, the official means, and what stands behind them."""

from __future__ import annotations

import statistics as averages
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .categories import CATEGORIES, IRRELEVANCE, MEANS, RELEVANCE
from .statistics import Estimate, share, weighted_mean

Row = Mapping[str, Any]
OUTCOMES = ("words", "called", "undecodable")


@dataclass(frozen=True, slots=True)
class CategoryScore:
    """The scores of the cases of one category."""

    category: str
    official: Estimate
    """As the leaderboard counts."""
    strict: Estimate | None = None
    """With undecodable replies counted as wrong; only where a call is wrong."""
    outcomes: Mapping[str, int] = field(default_factory=dict)
    """How many replies are words, calls, and undecodable; empty for multi-turn cases."""


@dataclass(frozen=True, slots=True)
class RunScores:
    """All scores of a run. What was not measured is missing, or None."""

    categories: Mapping[str, CategoryScore]
    means: Mapping[str, Estimate]
    """The official means of which every category was measured."""
    validity: Estimate | None
    """The share of replies that are decodable, where a call is expected."""
    tool_choice: Estimate | None
    """The share of replies that call the expected tools, as often as expected."""
    arguments: Estimate | None
    """The share of right replies among those that call the expected tools."""
    abstention: Estimate | None
    """The share of replies in words, where no tool fits."""
    reply_tokens: int
    prompt_tokens: int
    seconds: float
    """The seconds of all replies; replies that are written at once count in full."""
    decode_seconds: float
    """The seconds of all replies without those of the prompts."""
    decode_seconds_per_case: float
    """The median."""
    joules: float | None

    @property
    def tokens_per_second(self) -> float | None:
        """Reply tokens for each second of decoding."""
        return self.reply_tokens / self.decode_seconds if self.decode_seconds else None


def score(rows: Sequence[Row]) -> RunScores:
    """Return the scores of the rows of a run."""
    by_category: dict[str, list[Row]] = {}
    for row in rows:
        by_category.setdefault(row["category"], []).append(row)
    known = {name: number for number, name in enumerate(CATEGORIES)}
    ordered = sorted(by_category, key=lambda name: (known.get(name, len(known)), name))
    categories = {name: _category(name, by_category[name]) for name in ordered}
    decoding = [float(row.get("decode_seconds") or 0) for row in rows]
    joules = [row["joules"] for row in rows if row.get("joules") is not None]
    with_calls = [row for row in rows if row.get("expected")]
    right_tools = [row for row in with_calls if _calls_expected_tools(row)]
    fitting_none = [row for row in rows if row["category"] in IRRELEVANCE]
    return RunScores(
        categories=categories,
        means=_means(categories),
        validity=_share(with_calls, lambda row: row.get("called") is not None),
        tool_choice=_share(with_calls, _calls_expected_tools),
        arguments=_share(right_tools, lambda row: bool(row["valid"])),
        abstention=_share(fitting_none, lambda row: row.get("outcome") == "words"),
        reply_tokens=sum(row.get("reply_tokens") or 0 for row in rows),
        prompt_tokens=sum(row.get("prompt_tokens") or 0 for row in rows),
        seconds=sum(float(row.get("seconds") or 0) for row in rows),
        decode_seconds=sum(decoding),
        decode_seconds_per_case=averages.median(decoding) if decoding else 0.0,
        joules=sum(joules) if joules else None,
    )


def scores_json(scores: RunScores) -> dict[str, Any]:
    """Return scores as JSON; what was not measured is null."""
    return {**asdict(scores), "tokens_per_second": scores.tokens_per_second}


def _category(name: str, rows: Sequence[Row]) -> CategoryScore:
    official = share(sum(bool(row["valid"]) for row in rows), len(rows))
    outcomes = Counter(row["outcome"] for row in rows if "outcome" in row)
    strict = None
    if name in (*IRRELEVANCE, *RELEVANCE):
        right = "called" if name in RELEVANCE else "words"
        strict = share(outcomes[right], len(rows))
    counts = {outcome: outcomes[outcome] for outcome in OUTCOMES} if outcomes else {}
    return CategoryScore(name, official, strict, counts)


def _means(categories: Mapping[str, CategoryScore]) -> dict[str, Estimate]:
    return {
        mean.name: weighted_mean(
            [(weight, categories[name].official) for name, weight in mean.weights.items()]
        )
        for mean in MEANS
        if mean.weights.keys() <= categories.keys()
    }


def _calls_expected_tools(row: Row) -> bool:
    return Counter(row.get("called") or ()) == Counter(row["expected"])


def _share(rows: Iterable[Row], is_success: Callable[[Row], bool]) -> Estimate | None:
    successes = [is_success(row) for row in rows]
    return share(sum(successes), len(successes)) if successes else None
