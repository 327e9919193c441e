"""A picture of a check, as SVG: how often each scenario was right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..evaluation.pictures import svg, svg_text
from .rates import ScenarioRate, scenario_rates
from .report import summary

Row = Mapping[str, Any]
LEFT, BAR_WIDTH, ROW_HEIGHT, CHARACTER, TOP = 20, 220, 26, 7, 44


def rate_picture(rows: Sequence[Row]) -> str:
    """Return a bar for each scenario, with the causes of its failures."""
    rates = scenario_rates(rows)
    start = LEFT + max(len(rate.name) for rate in rates) * CHARACTER
    parts = [svg_text(10, 40, f"pass@1: {summary(rows)}")]
    for number, rate in enumerate(rates):
        parts += _bar(rate, start, TOP + 10 + number * ROW_HEIGHT)
    longest = max(len(_label(rate)) for rate in rates) * CHARACTER
    height = TOP + 20 + len(rates) * ROW_HEIGHT
    return svg("Scenarios", start + BAR_WIDTH + longest + 30, height, parts)


def _bar(rate: ScenarioRate, x: float, y: float) -> list[str]:
    right = rate.passed / rate.runs * BAR_WIDTH
    box = f'y="{y:g}" height="{ROW_HEIGHT - 8}"'
    return [
        svg_text(x - 10, y + 14, rate.name, "end"),
        f'<rect x="{x:g}" width="{right:g}" {box} class="words"/>',
        f'<rect x="{x + right:g}" width="{BAR_WIDTH - right:g}" {box} class="called"/>',
        svg_text(x + BAR_WIDTH + 10, y + 14, _label(rate)),
    ]


def _label(rate: ScenarioRate) -> str:
    causes = ", ".join(f"{count} {cause}" for cause, count in rate.causes.items())
    return f"{rate.passed} of {rate.runs}{': ' if causes else ''}{causes}"
