"""`grammar`: print the grammar of a tool file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from .. import gbnf
from ..grammar import compile_tools
from . import toolbox_options
from .options import tool_choice_option, warn_of_refusals
from .streams import echo_json
from .tool_tokens import tool_tokens


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@tool_choice_option("auto")
@click.option("--no-parallel", is_flag=True, help="Allow one call per reply.")
@click.option("--trust", is_flag=True, help="Trust FILE if it is Python: it must run to be read.")
@click.option("--report", is_flag=True, help="Print how each schema keyword is enforced, as JSON.")
@click.option("-m", "--model", help="With --report: count the prompt tokens of each tool.")
def grammar(
    file: Path, tool_choice: str, no_parallel: bool, trust: bool, report: bool, model: str | None
) -> None:
    """Print the GBNF grammar for the tools in FILE, as llama.cpp loads it."""
    if model and not report:
        raise click.UsageError("--model needs --report.")
    tools = toolbox_options.load_schemas([file], trust)
    compiled = compile_tools(tools, tool_choice, not no_parallel)
    warn_of_refusals(compiled.report)
    if report:
        rows = [asdict(entry) for entry in compiled.report]
        if model:
            counts = zip(tools, tool_tokens(tools, model).counts, strict=True)
            rows = [{"tool": tool.name, "tokens": tokens} for tool, tokens in counts] + rows
        echo_json(rows, indent=2)
    else:
        click.echo(gbnf.to_gbnf(compiled.grammar), nl=False)
