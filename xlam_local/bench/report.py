"""What a benchmark found: figures, each with its runs, and the ratios that they are for."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import UsageError


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that was measured, several times."""

    name: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """How far the runs lie apart, as a share of the median."""
        middle = self.median
        return (max(self.values) - min(self.values)) / middle if middle else 0.0


RATIOS = (
    ("calls / LlamaGrammar", "calls, in its process", "LlamaGrammar"),
    ("calls / free by llama-cpp-python", "calls, in its process", "free, llama-cpp-python"),
    ("calls / llama-server", "calls, in its process", "llama-server"),
    ("process / same loop here", "calls, in its process", "calls, in this process"),
    ("text in auto / no grammar", "text in auto", "text, no grammar"),
    ("forced text on / off", "calls, in this process", "calls, no forced text"),
    ("drafts as measured / off", "calls, in this process", "calls, no drafts"),
    ("drafts always / off", "calls, drafts always", "calls, no drafts"),
    ("first token, prefix on disk / cold", "first token, prefix on disk", "first token, cold"),
    ("memory, measured / predicted", "memory, measured", "memory, predicted"),
)
"""What is divided by what."""


@dataclass(slots=True)
class Report:
    """Everything that a run found."""

    model: str
    machine: str
    versions: Mapping[str, str]
    settings: Mapping[str, Any]
    figures: dict[str, Figure] = field(default_factory=dict)
    curve: dict[int, float] = field(default_factory=dict)
    """Milliseconds of a batch, by its tokens."""

    def add(self, name: str, unit: str, *values: float) -> None:
        """Add runs of a figure."""
        known = self.figures[name].values if name in self.figures else ()
        self.figures[name] = Figure(name, unit, (*known, *values))

    @property
    def ratios(self) -> dict[str, float]:
        """Each ratio whose two figures are there."""
        figures = self.figures
        return {
            name: ratio(figures[above].values, figures[below].values)
            for name, above, below in RATIOS
            if above in figures and below in figures and all(figures[below].values)
        }


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """How many times the one is the other.

    Runs of one round stand beside each other, so that a machine whose speed changes in between
    changes both: their ratios are taken, and the middle one of these.
    """
    if len(above) != len(below):
        return statistics.median(above) / statistics.median(below)
    return statistics.median([a / b for a, b in zip(above, below, strict=True)])


def to_json(report: Report) -> dict[str, Any]:
    """A report as JSON, with medians and spreads."""
    told = asdict(report)
    told["figures"] = [
        {**asdict(figure), "median": figure.median, "spread": figure.spread}
        for figure in report.figures.values()
    ]
    return {**told, "ratios": report.ratios}


def medians(told: Any, where: str) -> dict[str, float]:
    """The medians in the JSON of an older report."""
    try:
        return {one["name"]: float(one["median"]) for one in told["figures"]}
    except (TypeError, KeyError, ValueError) as error:
        raise UsageError(f"{where} is not what `bench --json` writes.") from error


def drawn(report: Report, names: Sequence[str]) -> str:
    """Some figures of one unit as bars, an SVG."""
    figures = [report.figures[name] for name in names if name in report.figures]
    most = max((figure.median for figure in figures), default=1.0)
    left, width, step = 230, 760, 30
    rows = []
    for number, figure in enumerate(figures):
        y, long = 40 + step * number, (width - left - 90) * figure.median / most
        own = "own" if figure.name.startswith("calls") else "peer"
        rows.append(
            f'<text x="{left - 10}" y="{y + 15}" text-anchor="end">{figure.name}</text>'
            f'<rect x="{left}" y="{y}" width="{long:.1f}" height="20" rx="2" class="{own}"/>'
            f'<text x="{left + long + 8:.1f}" y="{y + 15}">{figure.median:.1f}</text>'
        )
    height = 60 + step * len(figures)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="system-ui, sans-serif" font-size="13">'
        "<style>text{fill:#57606a}.own{fill:#0969da}.peer{fill:#9aa4af}"
        "@media(prefers-color-scheme:dark){text{fill:#9198a1}}</style>"
        f'<text x="10" y="20">Tokens a second, {report.model}, {report.machine}</text>'
        f"{''.join(rows)}</svg>\n"
    )
