"""Draws pass rates beside those of other compilers, as an SVG.

usage: python -m tests.scripts.conformance_picture TOOLS.json OTHERS.json > assets/pass-rates.svg

The two files are what `python -m tests.benchmarks.conformance … --json` prints with --tools-only
and with --others-only.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

PEERS = {
    "llguidance (JSON)": (97.2, 78.4),
    "llama.cpp": (86.5, 54.7),
    "llama-cpp-python": (82.1, 39.4),
}
"""Pass rates in percent: of schemas that look like tools, and of all others."""
TITLES = ("schemas like those of tools", "all other schemas")
WIDTH, LEFT, BAR, STEP = 760, 190, 16, 50


def drawn(rates: Mapping[str, tuple[float, float]]) -> str:
    """The picture: for each compiler one bar a data set."""
    height = 70 + STEP * len(rates)
    rows = "".join(part for i, name in enumerate(rates) for part in row(i, name, rates[name]))
    legend = "".join(
        f'<rect x="{LEFT + 250 * i}" y="{height - 28}" width="12" height="12" class="c{i}"/>'
        f'<text x="{LEFT + 250 * i + 18}" y="{height - 18}">{title}</text>'
        for i, title in enumerate(TITLES)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="system-ui, sans-serif" font-size="13">'
        "<style>text{fill:#57606a}.n{fill:#1f2328;font-weight:600}.c0{fill:#0969da}"
        ".c1{fill:#80ccff}.bg{fill:#eaeef2}@media(prefers-color-scheme:dark)"
        "{text{fill:#9198a1}.n{fill:#f0f6fc}.bg{fill:#21262d}}</style>"
        f'<text x="{LEFT}" y="18">Schemas judged right by the grammar alone, in percent</text>'
        f"{rows}{legend}</svg>\n"
    )


def row(number: int, name: str, rates: tuple[float, float]) -> Iterator[str]:
    """A compiler's name and its bars."""
    top, full = 34 + STEP * number, WIDTH - LEFT - 60
    kind = ' class="n"' if number == 0 else ""
    yield f'<text x="{LEFT - 12}" y="{top + BAR + 4}" text-anchor="end"{kind}>{name}</text>'
    for i, rate in enumerate(rates):
        y = top + i * (BAR + 2)
        yield f'<rect x="{LEFT}" y="{y}" width="{full}" height="{BAR}" class="bg" rx="2"/>'
        width = round(full * rate / 100, 1)
        yield f'<rect x="{LEFT}" y="{y}" width="{width}" height="{BAR}" class="c{i}" rx="2"/>'
        yield f'<text x="{LEFT + full + 8}" y="{y + BAR - 4}"{kind}>{rate:.1f}</text>'


def main() -> None:
    own = [json.loads(Path(name).read_text())["pass_by_grammar_alone"] for name in sys.argv[1:3]]
    sys.stdout.write(drawn({"xlam-local": (own[0], own[1]), **PEERS}))


if __name__ == "__main__":
    main()
