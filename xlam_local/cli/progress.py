"""How far something is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import XlamError
from ..models import Progress
from ..sanitize import printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bars


def fetched(steps: Iterator[Progress]) -> Path:
    """Run a fetch to its end, showing it; the model's path."""
    path: Path | None = None
    for step in watched(steps):
        path = step.path or path
    if path is None:
        raise XlamError("The fetch ended without a model.")
    return path


def watched(steps: Iterator[Progress]) -> Iterator[Progress]:
    """The same steps, shown on stderr as they pass."""
    return _drawn(steps) if sys.stderr.isatty() else _told(steps)


def _told(steps: Iterator[Progress]) -> Iterator[Progress]:
    said = ""
    for step in steps:
        what = step.what.partition(";")[0]
        if what != said and step.path is None:
            click.echo(printable(what), err=True)
            said = what
        yield step


def _drawn(steps: Iterator[Progress]) -> Iterator[Progress]:
    with _bars() as bars:
        task, said = bars.add_task("", total=None), ""
        for step in steps:
            if step.what.partition(";")[0] != said:
                said = step.what.partition(";")[0]
                bars.reset(task, total=step.total)
            bars.update(
                task,
                description=printable(step.what),
                completed=step.done,
                total=step.total or None,
            )
            yield step


def _bars() -> Bars:
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
