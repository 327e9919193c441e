"""The command that shows the grammar of a file of tools."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from .options import choice_option, warn_of_refusals


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@choice_option("auto")
@click.option("--no-parallel", is_flag=True, help="At most one call in a reply.")
@click.option("--report", is_flag=True, help="What becomes of each keyword, as JSON.")
def grammar(file: Path, tool_choice: str, no_parallel: bool, report: bool) -> None:
    """Print the GBNF for the tools in FILE, as llama.cpp loads it."""
    from .. import gbnf, tools
    from .. import grammar as compiler

    offer = compiler.for_turn(tools.load(file), tool_choice, not no_parallel)
    warn_of_refusals(offer.report)
    if report:
        entries = [asdict(entry) for entry in offer.report]
        click.echo(json.dumps(entries, indent=2, ensure_ascii=False))
    else:
        click.echo(gbnf.text(offer.grammar), nl=False)
