"""The results of a benchmark: figures with all their runs, and ratios of figures."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import UsageError

CALLS = "calls, child process"
CALLS_IN_PROCESS = "calls, in process"
CALLS_NO_FAST_FORWARD = "calls, no fast-forward"
CALLS_NO_DRAFTS = "calls, no drafts"
CALLS_ALWAYS_DRAFTS = "calls, always drafts"
CALLS_LLAMA_GRAMMAR = "calls, LlamaGrammar"
CALLS_LLAMA_SERVER = "calls, llama-server"
CALLS_REMOTE = "calls, on the server"
FREE_LLAMA_CPP_PYTHON = "no grammar, llama-cpp-python"
TEXT_AUTO = "text, tool_choice auto"
TEXT_FREE = "text, no grammar"
TEXT_CHILD = "text, child process"
TEXT_BUSY = "text, beside a busy process"
THREADS_BUSY = "threads, beside a busy process"
FIRST_TOKEN_COLD = "first token, cold"
FIRST_TOKEN_CACHED = "first token, prompt cached"
MEMORY_MEASURED = "memory, measured"
MEMORY_PREDICTED = "memory, predicted"


SEQUENCE_COUNTS = (1, 2, 4, 8)
"""How many replies are written at once."""


def at_once(count: int) -> str:
    """Return the name of the figure of replies that are written at once."""
    return f"calls, {count} sequence{'s' if count > 1 else ''}"


def server_at_once(count: int) -> str:
    """Return the name of the figure of requests to a llama-server at once."""
    return f"calls, {count} at once, llama-server"


RATIOS = (
    ("calls / LlamaGrammar", CALLS, CALLS_LLAMA_GRAMMAR),
    ("calls / no grammar, llama-cpp-python", CALLS, FREE_LLAMA_CPP_PYTHON),
    ("calls / llama-server", CALLS, CALLS_LLAMA_SERVER),
    ("child process / in process", CALLS, CALLS_IN_PROCESS),
    ("calls, on the server / text, no grammar", CALLS_REMOTE, TEXT_FREE),
    ("text, tool_choice auto / no grammar", TEXT_AUTO, TEXT_FREE),
    ("text, beside a busy process / alone", TEXT_BUSY, TEXT_CHILD),
    ("fast-forward on / off", CALLS_IN_PROCESS, CALLS_NO_FAST_FORWARD),
    ("drafts if worthwhile / never", CALLS_IN_PROCESS, CALLS_NO_DRAFTS),
    ("drafts always / never", CALLS_ALWAYS_DRAFTS, CALLS_NO_DRAFTS),
    ("first token, cached / cold", FIRST_TOKEN_CACHED, FIRST_TOKEN_COLD),
    *((f"{count} sequences / 1", at_once(count), at_once(1)) for count in (2, 4, 8)),
    *(
        (f"{count} at once / llama-server", at_once(count), server_at_once(count))
        for count in SEQUENCE_COUNTS
    ),
    ("memory, measured / predicted", MEMORY_MEASURED, MEMORY_PREDICTED),
)
"""Each ratio's name, and the figures above and below the line."""

PICTURE_FIGURES = (
    CALLS,
    CALLS_REMOTE,
    CALLS_NO_FAST_FORWARD,
    CALLS_LLAMA_GRAMMAR,
    FREE_LLAMA_CPP_PYTHON,
    CALLS_LLAMA_SERVER,
    *(name for count in SEQUENCE_COUNTS for name in (at_once(count), server_at_once(count))),
)
OTHER_PROGRAMS = {
    CALLS_LLAMA_GRAMMAR,
    CALLS_LLAMA_SERVER,
    FREE_LLAMA_CPP_PYTHON,
    *map(server_at_once, SEQUENCE_COUNTS),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A quantity that was measured several times."""

    name: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median of the values."""
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """The range of the values as a share of their median."""
        median = self.median
        return (max(self.values) - min(self.values)) / median if median else 0.0


@dataclass(slots=True)
class Report:
    """All results of a benchmark, and what was measured."""

    model: str
    machine: str
    versions: Mapping[str, str]
    settings: Mapping[str, Any]
    figures: dict[str, Figure] = field(default_factory=dict)
    curve: dict[int, float] = field(default_factory=dict)
    """Milliseconds that a batch takes, by its number of tokens."""

    def add(self, name: str, unit: str, *values: float) -> None:
        """Add values to a figure."""
        earlier = self.figures[name].values if name in self.figures else ()
        self.figures[name] = Figure(name, unit, (*earlier, *values))

    @property
    def ratios(self) -> dict[str, float]:
        """The ratios whose two figures were measured."""
        figures = self.figures
        return {
            name: ratio(figures[above].values, figures[below].values)
            for name, above, below in RATIOS
            if above in figures and below in figures and all(figures[below].values)
        }


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Return the ratio of two figures.

    It is the median of the ratios in each round, because a change in the machine's speed between
    two rounds affects both figures.
    """
    if len(above) != len(below):
        return statistics.median(above) / statistics.median(below)
    return statistics.median([a / b for a, b in zip(above, below, strict=True)])


def to_json(report: Report) -> dict[str, Any]:
    """Return a report as JSON, with medians, spreads and ratios."""
    document = asdict(report)
    document["figures"] = [
        {**asdict(figure), "median": figure.median, "spread": figure.spread}
        for figure in report.figures.values()
    ]
    return {**document, "ratios": report.ratios}


def medians(document: Any, source: str) -> dict[str, float]:
    """Return the medians by figure in the JSON of an earlier report.

    Raises:
        UsageError: the document is not a report; the message names its `source`.
    """
    try:
        return {figure["name"]: float(figure["median"]) for figure in document["figures"]}
    except (TypeError, KeyError, ValueError) as error:
        raise UsageError(f"{source} is not an output of `bench --json`.") from error


def to_svg(report: Report, names: Sequence[str] = PICTURE_FIGURES) -> str:
    """Return a bar chart of figures with the same unit."""
    figures = [report.figures[name] for name in names if name in report.figures]
    largest = max((figure.median for figure in figures), default=1.0)
    left, width, step = 230, 760, 30
    bars = []
    for number, figure in enumerate(figures):
        y, length = 40 + step * number, (width - left - 90) * figure.median / largest
        color = "peer" if figure.name in OTHER_PROGRAMS else "own"
        bars.append(
            f'<text x="{left - 10}" y="{y + 15}" text-anchor="end">{figure.name}</text>'
            f'<rect x="{left}" y="{y}" width="{length:.1f}" height="20" rx="2" class="{color}"/>'
            f'<text x="{left + length + 8:.1f}" y="{y + 15}">{figure.median:.1f}</text>'
        )
    height = 60 + step * len(figures)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="system-ui, sans-serif" font-size="13">'
        "<style>text{fill:#57606a}.own{fill:#0969da}.peer{fill:#9aa4af}"
        "@media(prefers-color-scheme:dark){text{fill:#9198a1}}</style>"
        f'<text x="10" y="20">Tokens per second, {report.model}, {report.machine}</text>'
        f"{''.join(bars)}</svg>\n"
    )
