"""Show progress on stderr: a progress bar on a terminal, else a line for each step."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import XlamError
from ..models import Progress
from ..terminal_text import escape_control

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress


def download_with_progress(steps: Iterator[Progress]) -> Path:
    """Run a download or an import to its end and show its progress; return the model's path."""
    path: Path | None = None
    for step in show_progress(steps):
        path = step.path or path
    if path is None:
        raise XlamError("The download ended without a model.")
    return path


def show_progress(steps: Iterator[Progress]) -> Iterator[Progress]:
    """Yield the same steps, and show each on stderr."""
    return _progress_bar(steps) if sys.stderr.isatty() else _status_lines(steps)


def _status_lines(steps: Iterator[Progress]) -> Iterator[Progress]:
    shown = ""
    for step in steps:
        status = step.status.partition(";")[0]  # What follows is a countdown.
        if status != shown and step.path is None:
            click.echo(escape_control(status), err=True)
            shown = status
        yield step


def _progress_bar(steps: Iterator[Progress]) -> Iterator[Progress]:
    with _rich_progress() as bars:
        task, shown = bars.add_task("", total=None), ""
        for step in steps:
            status = step.status.partition(";")[0]
            if status != shown:
                shown = status
                bars.reset(task, total=step.total)
            bars.update(
                task,
                description=escape_control(step.status),
                completed=step.done,
                total=step.total or None,
            )
            yield step


def _rich_progress() -> RichProgress:
    # `models list` imports this module and should start without rich.
    from rich import progress
    from rich.console import Console

    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
