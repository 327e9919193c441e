"""`batch`: run many requests from a file, with results that can be resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .batch_rows import BatchOptions, run_batch
from .options import ModelOptions, models_options
from .serve import SequenceCount


@click.command()
@click.argument("input_path", metavar="IN", type=click.Path(path_type=Path))
@click.argument("output_path", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--sequences",
    type=SequenceCount(),
    default="auto",
    show_default=True,
    metavar="N|auto",
    help="Rows that a local model runs at once; 1 repeats results byte for byte.",
)
@click.option("--retry-errors", is_flag=True, help="Run rows again whose result is an error.")
@click.option(
    "--max-errors",
    type=click.IntRange(1),
    metavar="N",
    help="Stop after N rows with an error.",
)
@click.option("--order", is_flag=True, help="At the end, bring the results into the order of IN.")
@models_options
def batch(
    model: ModelOptions,
    names: tuple[str, ...],
    input_path: Path,
    output_path: Path,
    **options: Any,
) -> None:
    """Run the requests of IN, one per line, and append each result to OUT.

    A line of IN is one of OpenAI's batch format, or short: {"id", "prompt" or "messages", "tools"}.
    Rows without tools get those of --tools; no tool runs. OUT is the checkpoint: the same command
    goes on where it was interrupted. The exit code is 1 if a row has an error.
    """
    run_batch(model, names, input_path, output_path, BatchOptions(**options))
