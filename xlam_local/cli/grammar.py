"""The command that shows the grammar of a file of tools."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ..types import Tool
from . import offering
from .options import choice_option, warn_of_refusals


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@choice_option("auto")
@click.option("--no-parallel", is_flag=True, help="At most one call in a reply.")
@click.option("--trust", is_flag=True, help="Run FILE, where it is Python, to see its tools.")
@click.option("--report", is_flag=True, help="What becomes of each keyword, as JSON.")
@click.option("-m", "--model", help="With --report: what each tool costs in this model's prompts.")
def grammar(
    file: Path, tool_choice: str, no_parallel: bool, trust: bool, report: bool, model: str | None
) -> None:
    """Print the GBNF for the tools in FILE, as llama.cpp loads it."""
    from .. import gbnf
    from .. import grammar as compiler

    if model and not report:
        raise click.UsageError("--model is for --report.")
    written = offering.schemas([file], trust)
    offer = compiler.for_turn(written, tool_choice, not no_parallel)
    warn_of_refusals(offer.report)
    if report:
        rows = [*(costs(written, model) if model else ()), *map(asdict, offer.report)]
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        click.echo(gbnf.text(offer.grammar), nl=False)


def costs(tools: Sequence[Tool], model: str) -> Iterator[dict[str, Any]]:
    """How many tokens each tool takes in a prompt, when it is offered."""
    from .. import config, models, prompt
    from ..engine.vocabulary import count

    folders = config.folders()
    path = models.find(model, models.Store.under(folders.config, folders.data))
    models.header(path)
    counted = count(path, [prompt.tool_text(tool) for tool in tools])
    for tool, tokens in zip(tools, counted, strict=True):
        yield {"tool": tool.name, "tokens": tokens}
