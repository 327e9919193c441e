"""The `bench` command: measure the speed on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command()
@click.option(
    "-m",
    "--model",
    help="Model name as in `models list`, a GGUF file, or the URL of a server.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 99),
    default=3,
    show_default=True,
    help="How often each figure is measured.",
)
@click.option("--threads", type=click.IntRange(1), help="CPU threads.")
@click.option(
    "--allow-remote",
    multiple=True,
    metavar="HOST",
    help="Allow the model to run on HOST. Can be given several times.",
)
@click.option("--server-url", metavar="URL", help="A running llama-server with the same model.")
@click.option(
    "--compare", type=click.Path(path_type=Path), help="Earlier --json output to compare with."
)
@click.option("--picture", type=click.Path(path_type=Path), help="Write a bar chart as SVG.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def bench(**values: Any) -> None:
    """Measure the speed on this machine, next to llama-cpp-python, or that of a server.

    Each round measures everything once; the output shows medians and spreads. Other programs that
    run at the same time distort the result.
    """
    from .bench_run import BenchOptions, run_bench

    run_bench(BenchOptions(**values))
