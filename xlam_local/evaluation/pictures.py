"""Pictures of evaluations, as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

from ..errors import UsageError
from .categories import CATEGORIES, IRRELEVANCE
from .pass_k import PassK, pass_k_curve
from .results import EvalRun
from .scores import OUTCOMES, RunScores, score
from .tau2 import BENCHMARK
from .tau2_scores import outcomes

STYLE = (
    "<style>text{fill:#57606a}.cell{fill:#fff}.axis{stroke:#9aa4af}"
    ".words{fill:#2da44e}.called{fill:#cf222e}.undecodable{fill:#bf8700}.on{fill:#0969da}"
    ".off{fill:#9aa4af}@media(prefers-color-scheme:dark){text{fill:#9198a1}}</style>"
)
LEFT, ROW_HEIGHT, CELL_WIDTH, CHARACTER = 190, 28, 110, 7
PLOT_WIDTH, PLOT_HEIGHT = 460, 300
PLOT_LEFT, PLOT_TOP = 60, 40
COLORS = ("#0969da", "#cf222e", "#2da44e", "#bf8700", "#8250df", "#1b7c83")


def heat_map(runs: Sequence[EvalRun]) -> str:
    """Return the accuracy of each run in each category, as colored cells."""
    scores = [score(run.rows) for run in runs]
    measured = {name: None for one in scores for name in one.categories}
    names = [name for name in CATEGORIES if name in measured]
    names += [name for name in measured if name not in CATEGORIES]
    parts: list[str] = []
    for column, run in enumerate(runs):
        x, number = LEFT + column * CELL_WIDTH, column + 1
        parts.append(svg_text(x + CELL_WIDTH / 2, 52, str(number), "middle"))
        parts.append(
            svg_text(10, 80 + (len(names) + column) * ROW_HEIGHT, f"{number}: {_label(run)}")
        )
    for row, name in enumerate(names):
        y = 60 + row * ROW_HEIGHT
        parts.append(svg_text(LEFT - 10, y + 18, name, "end"))
        for column, one in enumerate(scores):
            parts.append(_heat_cell(LEFT + column * CELL_WIDTH, y, one, name))
    height = 90 + (len(names) + len(runs)) * ROW_HEIGHT
    longest = max(len(_label(run)) for run in runs) * CHARACTER + 40
    width = max(LEFT + len(runs) * CELL_WIDTH + 20, longest)
    return svg("Accuracy by category, percent", width, height, parts)


def speed(runs: Sequence[EvalRun]) -> str:
    """Return the accuracy of all cases of each run against its speed.

    Raises:
        UsageError: no run has a speed.
    """
    points = []
    for run in runs:
        found = score(run.rows).tokens_per_second
        if found and run.rows:
            right = sum(bool(row["valid"]) for row in run.rows) / len(run.rows)
            points.append((found, right, run))
    if not points:
        raise UsageError("No result has a speed, so there is nothing to draw.")
    axis_end = _axis_end(max(point[0] for point in points))
    x0, y0 = 60, 40 + PLOT_HEIGHT
    parts = [
        f'<path d="M{x0} 40V{y0}H{x0 + PLOT_WIDTH}" class="axis" fill="none"/>',
        svg_text(x0 + PLOT_WIDTH, y0 + 34, "reply tokens per second", "end"),
    ]
    parts += [
        svg_text(x0 - 6, y0 - share * PLOT_HEIGHT + 4, f"{share:.0%}", "end")
        for share in (0, 0.25, 0.5, 0.75, 1)
    ]
    parts += [
        svg_text(x0 + share * PLOT_WIDTH, y0 + 16, f"{share * axis_end:g}", "middle")
        for share in (0, 0.5, 1)
    ]
    for number, (rate, right, run) in enumerate(points, 1):
        x, y = x0 + rate / axis_end * PLOT_WIDTH, y0 - right * PLOT_HEIGHT
        kind = "on" if run.fingerprint.get("grammar") == "on" else "off"
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" class="{kind}"/>')
        parts.append(svg_text(x + 8, y - 6, str(number)))
        parts.append(svg_text(10, y0 + 44 + number * ROW_HEIGHT, f"{number}: {_label(run)}"))
    height = y0 + 70 + len(points) * ROW_HEIGHT
    longest = max(len(_label(run)) for _, _, run in points) * CHARACTER + 40
    return svg("Accuracy of all cases against speed", max(600, longest), height, parts)


def _axis_end(largest: float) -> float:
    """Return the round number at the end of an axis that holds values up to `largest`."""
    power: float = 10.0 ** math.floor(math.log10(largest))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= largest)


def abstention(runs: Sequence[EvalRun]) -> str:
    """Return what each run replies where no tool fits, as stacked bars.

    Raises:
        UsageError: no run has cases where no tool fits.
    """
    bars = []
    for run in runs:
        rows = [row for row in run.rows if row["category"] in IRRELEVANCE and "outcome" in row]
        if rows:
            bars.append((run, {o: sum(row["outcome"] == o for row in rows) for o in OUTCOMES}))
    if not bars:
        raise UsageError("No result has irrelevance cases, so there is nothing to draw.")
    width, parts = 640.0, list[str]()
    for number, outcome in enumerate(OUTCOMES):
        x = 10.0 + number * 130
        parts.append(f'<rect x="{x}" y="34" width="12" height="12" class="{outcome}"/>')
        parts.append(svg_text(x + 18, 45, outcome))
    for number, (run, counts) in enumerate(bars):
        y, x, total = 70 + number * 2 * ROW_HEIGHT, 10.0, sum(counts.values())
        parts.append(svg_text(10, y, f"{_label(run)}, n={total}"))
        for outcome, count in counts.items():
            length = count / total * (width - 20)
            shape = f'x="{x:.1f}" y="{y + 6}" width="{length:.1f}" height="20"'
            parts.append(f'<rect {shape} class="{outcome}"><title>{count}</title></rect>')
            x += length
    height = 80 + len(bars) * 2 * ROW_HEIGHT
    longest = max(len(_label(run)) for run, _ in bars) * CHARACTER + 80
    return svg("Replies where no tool fits", max(width, longest), height, parts)


def pass_k(runs: Sequence[EvalRun]) -> str:
    """Return pass^k of each run of τ² with its band: one color a model, dashed without the grammar.

    Raises:
        UsageError: no run is one of τ².
    """
    played = [run for run in runs if run.fingerprint["benchmark"] == BENCHMARK]
    curves = [(run, pass_k_curve(outcomes(run))) for run in played]
    longest = max((len(curve) for _, curve in curves), default=0)
    if not longest:
        raise UsageError("No result is one of τ², so there is nothing to draw.")
    parts, y0 = _pass_k_axes(longest), PLOT_TOP + PLOT_HEIGHT
    models = list(dict.fromkeys(str(run.fingerprint.get("sha256")) for run in played))
    for number, (run, curve) in enumerate(curves, 1):
        color = COLORS[models.index(str(run.fingerprint.get("sha256"))) % len(COLORS)]
        dashes = "" if run.fingerprint.get("grammar") == "on" else ' stroke-dasharray="6 4"'
        parts += _pass_k_line(curve, longest, color, dashes)
        y = y0 + 44 + number * ROW_HEIGHT
        parts.append(f'<path d="M10 {y - 4}h30" stroke="{color}" stroke-width="2"{dashes}/>')
        facts = run.fingerprint
        setting = f"{facts.get('domain')}, {facts.get('mode')}, {len(outcomes(run))} tasks"
        parts.append(svg_text(48, y, f"{_label(run)}, {setting}"))
    width = max(len(_label(run)) for run in played) * CHARACTER + 260
    height = y0 + 70 + len(played) * ROW_HEIGHT
    return svg("τ²: pass^k, with 95 % bands over tasks", max(600, width), height, parts)


def _pass_k_axes(longest: int) -> list[str]:
    x0, y0 = PLOT_LEFT, PLOT_TOP + PLOT_HEIGHT
    parts = [f'<path d="M{x0} {PLOT_TOP}V{y0}H{x0 + PLOT_WIDTH}" class="axis" fill="none"/>']
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts.append(svg_text(x0 - 6, y0 - share * PLOT_HEIGHT + 4, f"{share:.0%}", "end"))
    for k in range(1, longest + 1):
        parts.append(svg_text(_pass_k_x(k, longest), y0 + 16, str(k), "middle"))
    parts.append(svg_text(x0 + PLOT_WIDTH, y0 + 34, "k, the trials that all pass", "end"))
    return parts


def _pass_k_x(k: int, longest: int) -> float:
    return PLOT_LEFT + (k - 0.5) / longest * PLOT_WIDTH


def _pass_k_line(curve: Sequence[PassK], longest: int, color: str, dashes: str) -> list[str]:
    def place(k: int, share: float) -> str:
        return f"{_pass_k_x(k, longest):.1f},{PLOT_TOP + (1 - share) * PLOT_HEIGHT:.1f}"

    band = [place(point.k, point.high) for point in curve]
    band += [place(point.k, point.low) for point in reversed(curve)]
    line = " ".join(place(point.k, point.value) for point in curve)
    dots = [place(point.k, point.value).split(",") for point in curve]
    return [
        f'<polygon points="{" ".join(band)}" fill="{color}" fill-opacity="0.12"/>',
        f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"{dashes}/>',
        *(f'<circle cx="{x}" cy="{y}" r="3" fill="{color}"/>' for x, y in dots),
    ]


PICTURES: Mapping[str, Callable[[Sequence[EvalRun]], str]] = {
    "heat-map": heat_map,
    "speed": speed,
    "abstention": abstention,
    "pass-k": pass_k,
}


def _heat_cell(x: float, y: float, scores: RunScores, category: str) -> str:
    found = scores.categories.get(category)
    if found is None:
        return svg_text(x + CELL_WIDTH / 2, y + 18, "not measured", "middle")
    value = found.official.value
    hue, light = 8 + 132 * value, 36
    box = f'x="{x + 1}" y="{y + 1}" width="{CELL_WIDTH - 2}" height="{ROW_HEIGHT - 2}" rx="2"'
    label = f"{100 * value:.0f}, n={found.official.count}"
    place = f'x="{x + CELL_WIDTH / 2}" y="{y + 18}" text-anchor="middle"'
    return (
        f'<rect {box} fill="hsl({hue:.0f},55%,{light}%)"/><text {place} class="cell">{label}</text>'
    )


def _label(run: EvalRun) -> str:
    facts = run.fingerprint
    hashed = str(facts.get("sha256", ""))[:12]
    parts = [facts.get("model"), facts.get("quantization"), f"grammar {facts.get('grammar')}"]
    parts += [f"SHA-256 {hashed}", f"seed {facts.get('seed')}", facts.get("checker")]
    return ", ".join(map(str, parts))


def svg_text(x: float, y: float, text: str, anchor: str = "start") -> str:
    """Return a text of a picture."""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'


def svg(title: str, width: float, height: float, parts: Sequence[str]) -> str:
    """Return a picture with a title."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        'font-family="system-ui, sans-serif" font-size="13">'
        f'{STYLE}<text x="10" y="20">{escape(title)}</text>{"".join(parts)}</svg>\n'
    )
