"""`eval report`, `eval compare` and `eval show`: what evaluations have found."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import UsageError
from ..evaluation.comparison import compare as compare_runs
from ..evaluation.comparison import comparison_json
from ..evaluation.pictures import PICTURES
from ..evaluation.reports import report_json, result_tables
from ..evaluation.results import EvalRun, read_run, read_runs
from ..evaluation.table import ResultTable, comparison_table, markdown
from ..terminal_text import escape_control
from .streams import echo_json

FORMATS = ("terminal", "markdown", "json")


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "output",
    type=click.Choice(FORMATS),
    default="terminal",
    show_default=True,
    help="The form of the tables.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--picture",
    type=click.Path(path_type=Path),
    help="Write a picture as SVG.",
)
@click.option(
    "--kind",
    type=click.Choice(list(PICTURES)),
    default="heat-map",
    show_default=True,
    help="What the picture shows: accuracy by category and run, accuracy against speed, the "
    "outcomes where no tool fits, or pass^k of τ².",
)
def report(
    paths: tuple[Path, ...], output: str, as_json: bool, picture: Path | None, kind: str
) -> None:
    """Print the tables of the results in PATHS.

    PATHS are folders with results, or single files of results.
    """

    runs = read_runs(paths)
    if as_json or output == "json":
        echo_json(report_json(runs))
    elif output == "markdown":
        click.echo("\n".join(map(markdown, result_tables(runs))), nl=False)
    else:
        print_tables(runs)
    if picture is not None:
        try:
            picture.write_text(PICTURES[kind](runs), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{picture} cannot be written: {error.strerror}.") from error


@click.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def compare(before: Path, after: Path, as_json: bool) -> None:
    """Compare the results AFTER with BEFORE on the cases of both.

    AFTER is better, worse, or not told apart, by McNemar's test at 5 %. For each case that
    changed, the checker's reason is shown.
    """

    compared = compare_runs(read_run(before), read_run(after))
    if as_json:
        echo_json(comparison_json(compared))
        return
    print_table(comparison_table(compared))
    for case in compared.changed:
        wrong = case.before if case.change == "gained" else case.after
        click.echo(escape_control(f"{case.change} {case.id}: {_reason(wrong)}"))


@click.command()
@click.argument("case_id")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(case_id: str, paths: tuple[Path, ...], as_json: bool) -> None:
    """Show the prompt, the reply and the verdict of the case CASE_ID.

    PATHS are folders with results, or single files of results.
    """

    runs = read_runs(paths)
    found = {run.name: run.by_id()[case_id] for run in runs if case_id in run.by_id()}
    if not found:
        raise UsageError(f"There is no case {case_id!r} in {', '.join(map(str, paths))}.")
    if as_json:
        echo_json(found)
        return
    for text in _case_texts(found):
        click.echo(escape_control(text))


def print_tables(runs: Sequence[EvalRun]) -> None:
    """Print the tables of runs on the terminal."""

    for table in result_tables(runs):
        print_table(table)


def print_table(table: ResultTable) -> None:
    """Print a table on the terminal."""

    drawn = Table(title=_cell(table.title), title_justify="left")
    for column in table.columns:
        drawn.add_column(_cell(column), overflow="fold")
    for row in table.rows:
        drawn.add_row(*map(_cell, row))
    console = Console()
    console.print(drawn)
    if table.note:
        console.print(escape_control(table.note), markup=False)


def _cell(text: str) -> Text:
    """Return a text as it is: brackets, for example in a file's name, are not rich's markup."""
    return Text(escape_control(text))


def _case_texts(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield the prompt, which all runs share as a rule, and the replies of the runs."""
    shown = ""
    for name, row in found.items():
        prompt = row.get("prompt", "")
        if prompt and prompt != shown:
            shown = prompt
            yield f"Prompt:\n{prompt}\n"
        yield f"{name}: {'right' if row['valid'] else 'wrong'}"
        if "simulation" in row:
            yield from map(_message_text, row["simulation"]["messages"])
            yield f"Reason: {_reason(row)}\n"
            continue
        for number, reply in enumerate(row.get("replies", [row.get("reply", "")]), 1):
            yield f"Reply {number}:\n{reply}" if "replies" in row else f"Reply:\n{reply}"
        if "judged" in row:
            yield f"Judged:\n{row['judged']}"
        yield f"Reason: {_reason(row)}\n"


def _message_text(message: Mapping[str, Any]) -> str:
    """Return a message of a trial: its text and its calls."""
    calls = [
        f"{call['name']} {json.dumps(call['arguments'], ensure_ascii=False)}"
        for call in message.get("tool_calls") or ()
    ]
    return "\n".join([f"{message['role']}:", *filter(None, [message.get("content")]), *calls])


def _reason(row: Mapping[str, Any]) -> str:
    """Return the checker's reason for a verdict."""
    if row["valid"]:
        return "the checker accepted it"
    details = [item if isinstance(item, str) else _message(item) for item in row["error"]]
    return ": ".join([row["error_type"] or "wrong", " ".join(details)])


def _message(item: Any) -> str:
    return str(item.get("error_message", item)) if isinstance(item, Mapping) else str(item)
