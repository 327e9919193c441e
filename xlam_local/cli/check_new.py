"""`check --combine` and `check --propose`: new scenarios of those in a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import click

from .. import session_setup
from ..errors import UsageError
from ..scenarios.combine import combine, scenarios_toml
from ..scenarios.gold import ToolWorlds
from ..scenarios.propose import Proposer
from ..scenarios.scenario import Scenario
from ..terminal_text import escape_blanks, escape_control
from ..types import Tool
from .check_run import tool_opener
from .options import ModelOptions
from .questions import confirm


def combined(
    scenarios: Sequence[Scenario], count: int, model: ModelOptions, allow: Sequence[str]
) -> Iterator[Scenario]:
    """Yield `count` scenarios of two each, and print why pairs were left out."""
    for one in combine(scenarios, count, model.settings().seed, tool_worlds(model, allow)):
        if one.scenario is None:
            click.echo(escape_control(f"Left out: {one.reason}"), err=True)
        else:
            yield one.scenario


def proposed(
    scenarios: Sequence[Scenario],
    tools: Sequence[Tool],
    count: int,
    model: ModelOptions,
    allow: Sequence[str],
) -> Iterator[Scenario]:
    """Let the model draft scenarios; yield those that run and that the user keeps.

    Raises:
        UsageError: there is no terminal to ask on.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("--propose asks about each draft, and there is no terminal to ask on.")
    settings = model.settings()
    proposer = Proposer(scenarios, tools, model.load(settings), tool_worlds(model, allow))
    ran = 0
    for one in proposer.drafts(count, settings.seed):
        if one.scenario is None:
            click.echo(escape_control(f"Left out: {one.reason}"), err=True)
            continue
        ran += 1
        click.echo(escape_blanks(_shown(one.scenario, one.diff)), err=True)
        if confirm("Keep it?"):
            kept = f"{one.scenario.proposed}, kept on {date.today():%Y-%m-%d}"
            yield replace(one.scenario, proposed=kept)
    click.echo(f"Of {count} drafts, {ran} ran and changed something.", err=True)


def write_scenarios(path: Path, found: Iterator[Scenario]) -> None:
    """Write new scenarios to a new file, each as soon as it is there.

    Raises:
        UsageError: the file exists or cannot be written, or there are no scenarios.
    """
    if path.exists():
        raise UsageError(f"{path} exists; name a new file.")
    scenarios: list[Scenario] = []
    for scenario in found:
        scenarios.append(scenario)
        try:
            path.write_text(scenarios_toml(scenarios, path.parent), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}.") from error
    if not scenarios:
        raise UsageError("There are no new scenarios, so no file was written.")
    click.echo(f"{len(scenarios)} scenarios are in {path}. Read them before use.", err=True)


def tool_worlds(model: ModelOptions, allow: Sequence[str]) -> ToolWorlds:
    """Return how the tools of the tool files run in worlds."""
    return ToolWorlds(
        open_tools=tool_opener(model), open_approver=session_setup.load_approver, allow=allow
    )


def _shown(scenario: Scenario, diff: Sequence[str]) -> str:
    calls = [f"  {call.name} {dict(call.arguments)}" for call in scenario.calls or ()]
    return "\n".join(["", scenario.user[0], *calls, *(f"    {line}" for line in diff)])
