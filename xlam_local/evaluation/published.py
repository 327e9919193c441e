"""The scores of the xLAM-2 models that the leaderboard publishes, to show beside measured ones.

The leaderboard computes with the original weights in 16-bit floats and constrains nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

LABEL = "published, F16, no grammar"
SOURCE = "https://gorilla.cs.berkeley.edu/leaderboard.html"
VERSION = "BFCL v4, last updated 2026-04-12"
COLUMNS = (
    *("multi_turn", "multi_turn_base", "multi_turn_miss_func", "multi_turn_miss_param"),
    *("multi_turn_long_context", "non_live", "simple", "multiple", "parallel"),
    *("parallel_multiple", "live", "live_simple", "live_multiple", "live_parallel"),
    *("live_parallel_multiple", "live_relevance", "irrelevance_mean"),
)
"""Categories and means, in the order of the leaderboard's table."""
ROWS: Mapping[str, tuple[float, ...]] = {
    "xlam-2-70b": (
        *(77.38, 82.5, 77, 74, 76, 88.44, 78.25, 94, 92, 89.5),
        *(72.17, 77.91, 71.13, 68.75, 58.33, 75, 79.11),
    ),
    "xlam-2-32b": (
        *(69.5, 81.5, 72.5, 67.5, 56.5, 89.6, 80.42, 94, 93, 91),
        *(75.5, 82.17, 74.64, 50, 58.33, 81.25, 80.23),
    ),
    "xlam-2-8b": (
        *(70, 76, 72, 65, 67, 84.58, 73.83, 93.5, 87.5, 83.5),
        *(67.95, 75.58, 66.57, 56.25, 54.17, 87.5, 63.28),
    ),
    "xlam-2-3b": (
        *(58.38, 71.5, 59, 57.5, 45.5, 82.96, 75.33, 91, 86.5, 79),
        *(62.92, 73.26, 60.68, 62.5, 50, 87.5, 63.45),
    ),
    "xlam-2-1b": (
        *(36, 45.5, 36, 37, 25.5, 69.04, 64.17, 82.5, 73.5, 56),
        *(55.14, 68.22, 52.8, 43.75, 25, 87.5, 64.47),
    ),
}
"""Percent, by the name of the model in the catalog."""
MODEL_NAME = re.compile(r"xlam-2-(\d+)b(?![a-z0-9])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PublishedScores:
    """The published scores of one model."""

    model: str
    scores: Mapping[str, float]
    """By category or mean; 0 to 1."""


def published_scores(model: str) -> PublishedScores | None:
    """Return the published scores of the model that a file's or a catalog's name means."""
    found = MODEL_NAME.search(model)
    if found is None or (name := f"xlam-2-{found[1]}b") not in ROWS:
        return None
    percents = dict(zip(COLUMNS, ROWS[name], strict=True))
    return PublishedScores(name, {key: value / 100 for key, value in percents.items()})
