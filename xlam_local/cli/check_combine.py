"""`check --combine`: make longer scenarios of those in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from .. import session_setup
from ..errors import UsageError
from ..scenarios.combine import combine, scenarios_toml
from ..scenarios.gold import ToolWorlds
from ..scenarios.scenario import Scenario
from ..terminal_text import escape_control
from .check_run import tool_opener
from .options import ModelOptions


def write_combined(
    scenarios: Sequence[Scenario],
    count: int,
    path: Path,
    model: ModelOptions,
    allow: Sequence[str],
) -> None:
    """Write `count` scenarios of two each to a new file, and print why pairs were left out.

    Raises:
        UsageError: the file exists or cannot be written, or no pair can be combined.
    """
    if path.exists():
        raise UsageError(f"{path} exists; name a new file.")
    worlds = ToolWorlds(
        open_tools=tool_opener(model), open_approver=session_setup.load_approver, allow=allow
    )
    found: list[Scenario] = []
    for one in combine(scenarios, count, model.settings().seed, worlds):
        if one.scenario is None:
            click.echo(escape_control(f"Left out: {one.reason}"), err=True)
        else:
            found.append(one.scenario)
    if not found:
        raise UsageError(
            "No two scenarios can be combined: each needs calls that change something."
        )
    try:
        path.write_text(scenarios_toml(found, path.parent), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error
    click.echo(f"{len(found)} scenarios are in {path}. Read them before you use them.", err=True)
