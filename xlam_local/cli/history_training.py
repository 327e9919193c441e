"""`history export --as FORM`: write conversations as training data."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from ..errors import UsageError
from ..history import History
from ..history.training import (
    ExportReport,
    Selection,
    TrainingConversation,
    rows,
    saved_conversation,
)
from ..history.training.folder import write_folder
from ..terminal_text import escape_control
from .questions import confirm


def export_training(
    store: History,
    numbers: Sequence[int],
    form: str,
    folder: Path,
    selection: Selection,
    yes: bool,
) -> None:
    """Write conversations of the history to a folder, as `write_training` does."""
    conversations = [saved_conversation(store, number) for number in numbers]
    write_training(conversations, form, folder, selection, yes)


def write_training(
    conversations: Sequence[TrainingConversation],
    form: str,
    folder: Path,
    selection: Selection,
    yes: bool,
) -> None:
    """Write conversations to a folder, and print the warnings of the report.

    Raises:
        UsageError: the folder cannot be written, or texts look like secrets and `yes` is not set.
    """
    report = ExportReport()
    found = rows(form, conversations, selection, report)
    if report.secrets and not yes and not _confirmed(report):
        raise UsageError(
            f"{report.secrets} texts look like secrets, so nothing was written. Check them, and "
            "pass --yes to write them."
        )
    write_folder(folder, form, found, report)
    left_out = sum(report.left_out.values())
    click.echo(f"{report.row_count} rows, {left_out} left out: {folder / 'REPORT.md'}", err=True)
    for warning in report.warnings:
        click.echo(escape_control(warning), err=True)


def _confirmed(report: ExportReport) -> bool:
    return sys.stdin.isatty() and confirm(
        f"{report.secrets} texts look like secrets. Write the file?"
    )
