"""The categories of the leaderboard, and the means that it forms of them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import UsageError

SIMPLE = ("simple_python", "simple_java", "simple_javascript")
NON_LIVE = (*SIMPLE, "multiple", "parallel", "parallel_multiple")
LIVE = ("live_simple", "live_multiple", "live_parallel", "live_parallel_multiple")
IRRELEVANCE = ("irrelevance", "live_irrelevance")
RELEVANCE = ("live_relevance",)
SINGLE_TURN = (*NON_LIVE, *LIVE, *IRRELEVANCE, *RELEVANCE)
MULTI_TURN = (
    "multi_turn_base",
    "multi_turn_miss_func",
    "multi_turn_miss_param",
    "multi_turn_long_context",
)
CATEGORIES = (*SINGLE_TURN, *MULTI_TURN)
GROUPS: Mapping[str, Sequence[str]] = {
    "all": CATEGORIES,
    "single_turn": SINGLE_TURN,
    "multi_turn": MULTI_TURN,
    "non_live": (*NON_LIVE, "irrelevance"),
    "live": (*LIVE, "live_irrelevance", "live_relevance"),
}
"""Names of several categories, as in the original."""
CASE_COUNTS: Mapping[str, int] = {
    "simple_python": 400,
    "simple_java": 100,
    "simple_javascript": 50,
    "live_simple": 258,
    "live_multiple": 1053,
    "live_parallel": 16,
    "live_parallel_multiple": 24,
    "irrelevance": 240,
    "live_irrelevance": 884,
    "live_relevance": 16,
}
"""The numbers of cases, as in bfcl-eval; 200 in all other categories."""
OTHER_CASE_COUNT = 200
ORDER_SEED = 7
"""All runs take cases in the same order, so that runs of different sizes share cases."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean of categories that the leaderboard publishes."""

    name: str
    weights: Mapping[str, float]
    """The weight of each category."""


def _unweighted(names: Sequence[str]) -> dict[str, float]:
    return {name: 1 / len(names) for name in names}


def _weighted(names: Sequence[str]) -> dict[str, float]:
    total = sum(map(case_count, names))
    return {name: case_count(name) / total for name in names}


def case_count(category: str) -> int:
    """Return the number of cases of a category."""
    return CASE_COUNTS.get(category, OTHER_CASE_COUNT)


MEANS = (
    Mean("simple", _unweighted(SIMPLE)),
    Mean(
        "non_live",
        {
            **dict.fromkeys(SIMPLE, 1 / 12),
            **dict.fromkeys(("multiple", "parallel", "parallel_multiple"), 1 / 4),
        },
    ),
    Mean("live", _weighted(LIVE)),
    Mean("irrelevance_mean", _unweighted(IRRELEVANCE)),
    Mean("multi_turn", _unweighted(MULTI_TURN)),
)
"""How `eval_runner_helper` composes scores. The leaderboard's overall score needs its agentic
categories, which are not measured here, so there is none."""


def expand(names: Sequence[str]) -> tuple[str, ...]:
    """Return the categories of names and groups, in the usual order; all single-turn ones for none.

    Raises:
        UsageError: there is no such category.
    """
    wanted: set[str] = set()
    for name in names or ("single_turn",):
        if name not in GROUPS and name not in CATEGORIES:
            raise UsageError(
                f"--category: there is no category {name!r}. The categories are: "
                f"{', '.join(CATEGORIES)}; groups are: {', '.join(GROUPS)}."
            )
        wanted.update(GROUPS.get(name, (name,)))
    return tuple(name for name in CATEGORIES if name in wanted)


def select(ids: Sequence[str], count: int | None) -> list[str]:
    """Return the first `count` ids of the common random order, or all of them."""
    ordered = list(ids)
    random.Random(ORDER_SEED).shuffle(ordered)
    return ordered[:count]
