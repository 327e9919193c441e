"""`check`: run the user's scenarios with a model, and say how often they are done."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ..errors import UsageError
from ..evaluation.table import ResultTable
from ..history.training import FORMS, Selection
from ..scenarios.check_run import Row, plan_trials, read_rows
from ..scenarios.picture import rate_picture
from ..scenarios.rates import scenario_rates
from ..scenarios.report import (
    against,
    against_table,
    check_json,
    first_failures,
    rate_table,
    scenario_table,
)
from ..scenarios.scenario_file import check_tools, read_scenarios
from ..scenarios.training import passed_conversations
from ..scenarios.variations import parse_variations
from ..terminal_text import escape_control
from .check_new import combined, proposed, write_scenarios
from .check_run import TrialSettings, finish_trials, trust_fixtures, trusted_tools
from .eval_report import print_table
from .history_training import write_training
from .offered_tools import find_tools
from .options import ModelOptions, check_options
from .streams import echo_json

EXIT_WORSE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckCommand:
    """The options of the command."""

    runs: int
    out: Path | None
    against: Path | None
    vary: str | None
    allow: tuple[str, ...]
    grammar: str
    user_model: str | None
    export: Path | None
    form: str
    yes: bool
    picture: Path | None
    combine: int | None
    propose: int | None
    to: Path | None
    as_json: bool


@click.command()
@click.argument("scenarios", type=click.Path(path_type=Path))
@click.option(
    "--runs", type=click.IntRange(1), default=1, show_default=True, help="Runs of each scenario."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="RUNS.jsonl",
    help="Save each result here; the same command goes on where it was interrupted.",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="OLD.jsonl",
    help="Compare with earlier results; the exit code is 1 if pass@1 is worse beyond the interval.",
)
@click.option(
    "--vary",
    metavar="KINDS",
    help="Also run with other tool sets: order, distractors:N, names, descriptions, separated by "
    "commas.",
)
@click.option("--allow", multiple=True, metavar="TOOL", help="Run this tool without asking.")
@click.option(
    "--grammar",
    type=click.Choice(["on", "off"]),
    default="on",
    show_default=True,
    help="Whether calls are constrained by the grammar.",
)
@click.option(
    "--user-model",
    metavar="NAME",
    help="Let this model play the user instead of the script. The rates then depend on it too.",
)
@click.option(
    "--export",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write the conversations that are right as training data to this new folder.",
)
@click.option(
    "--as",
    "form",
    type=click.Choice(list(FORMS)),
    default="messages",
    show_default=True,
    help="The format of --export.",
)
@click.option("--yes", is_flag=True, help="With --export: write texts that look like secrets.")
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the rates of the scenarios as an SVG picture.",
)
@click.option(
    "--combine",
    type=click.IntRange(1),
    metavar="N",
    help="Make N scenarios of two each, and write them to the file of --to; no model runs.",
)
@click.option(
    "--propose",
    type=click.IntRange(1),
    metavar="N",
    help="Let the model draft N scenarios, run their calls, and ask which to keep in the file of "
    "--to.",
)
@click.option(
    "--to",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="NEW.toml",
    help="With --combine and --propose: the new file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@check_options
def check(model: ModelOptions, scenarios: Path, **values: Any) -> int:
    """Check whether a model does the tasks in SCENARIOS with your tools.

    Each run gets a fresh copy of the start state, and the tools really run in it. A run is right if
    its end state is that of the right calls and the answers contain what they must. Tools that are
    isolated run without asking; others need --allow or a rule in policy.toml.
    """
    options = CheckCommand(**values)
    if (options.combine is None and options.propose is None) != (options.to is None):
        raise click.UsageError("--combine and --propose need --to, and --to needs one of them.")
    found = read_scenarios(scenarios)
    variations = parse_variations(options.vary) if options.vary else ()
    before = read_rows(options.against) if options.against else None
    tools, hashes = trusted_tools(model)
    check_tools(found, tools)
    find_tools(options.allow, tools, "--allow")
    trust_fixtures(found, model.trust)
    if options.to is not None:
        if options.combine is not None:
            made = combined(found, options.combine, model, options.allow)
        else:
            made = proposed(found, tools, options.propose or 1, model, options.allow)
        write_scenarios(options.to, made)
        return 0
    trials = plan_trials(found, options.runs, variations)
    with ExitStack() as stack:
        out = options.out
        if out is None:
            out = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "runs.jsonl"
        chosen = TrialSettings(
            grammar=options.grammar == "on",
            allow=options.allow,
            tool_hashes=hashes,
            user_model=options.user_model,
        )
        rows, name = finish_trials(trials, model, out, chosen)
    _print(rows, before, options.as_json)
    if options.picture is not None:
        _write_picture(options.picture, rows)
    if options.export is not None:
        conversations = passed_conversations(rows, name)
        write_training(conversations, options.form, options.export, Selection(), options.yes)
    difference = against(before, rows) if before is not None else None
    return EXIT_WORSE if difference is not None and difference.verdict == "worse" else 0


def _print(rows: list[Row], before: list[Row] | None, as_json: bool) -> None:
    if as_json:
        echo_json(check_json(rows, before))
        return
    tables: list[ResultTable] = [scenario_table(scenario_rates(rows)), rate_table(rows)]
    if before is not None:
        tables.append(against_table(before, rows))
    for table in tables:
        print_table(table)
    for line in first_failures(rows):
        click.echo(escape_control(line))


def _write_picture(path: Path, rows: list[Row]) -> None:
    try:
        path.write_text(rate_picture(rows), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error
