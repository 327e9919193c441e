"""The commands that bring, show and remove models."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from .. import config
from ..errors import XlamError
from ..models import Installed, Progress, Store, amount
from ..models import find as find_model
from ..models import installed as installed_models


@click.group()
def models() -> None:
    """Bring, show and remove models."""


def store() -> Store:
    """The store of the user who runs this command."""
    folders = config.folders()
    return Store.under(folders.config, folders.data)


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object.")
def list_(as_json: bool) -> None:
    """List the models that are installed, and those that can be."""
    from ..models import catalog

    here = store()
    found = installed_models(here)
    known = catalog.load(here.config)
    if as_json:
        write_json({"installed": [described(model) for model in found]})
        return
    for model in found:
        click.echo(f"{model.name:<28} {amount(model.size):>9}   {when(model)}")
    names = {model.name.partition(":")[0] for model in found}
    others = [model.name for model in known if model.name not in names]
    click.echo(f"Not installed: {', '.join(others)}", err=True)


@models.command()
@click.argument("name")
def pull(name: str) -> None:
    """Bring a model: NAME is as in `list`, or hf:owner/repo:file."""
    from .. import models as manager

    click.echo(show(manager.pull(name, store())))


@models.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="What to call it; its file name when not given.")
@click.option("--copy", is_flag=True, help="Copy the bytes instead of sharing them.")
def import_(file: Path, name: str | None, copy: bool) -> None:
    """Take a GGUF FILE of this machine into the store."""
    from ..models import imports

    take = imports.copy if copy else imports.link
    click.echo(show(take(file, store(), name)))


@models.command()
@click.argument("name")
def path(name: str) -> None:
    """Print where an installed model's file is."""
    click.echo(find_model(name, store()))


def described(model: Installed) -> dict[str, Any]:
    """An installed model as JSON has it."""
    return {
        "name": model.name,
        "path": str(model.path),
        "files": [str(file) for file in model.files],
        "repo": model.repo,
        "size": model.size,
        "whole": model.whole,
        "used": model.used,
    }


def when(model: Installed) -> str:
    """When the model was last used, in words."""
    if not model.whole:
        return "parts are missing"
    if model.used is None:
        return "not used yet"
    return f"used {datetime.fromtimestamp(model.used):%Y-%m-%d %H:%M}"


def write_json(value: Any) -> None:
    """Write one JSON object to stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def show(steps: Iterator[Progress]) -> Path:
    """Run a fetch to its end, with a bar where there is a terminal; the model's path."""
    path: Path | None = None
    for step in with_bar(steps) if sys.stderr.isatty() else steps:
        path = step.path or path
    if path is None:
        raise XlamError("The fetch ended without a model.")
    return path


def with_bar(steps: Iterator[Progress]) -> Iterator[Progress]:
    """The same steps, drawn as they pass."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task, what = bars.add_task("starting", total=None), ""
        for step in steps:
            if step.what != what:
                bars.reset(task, description=step.what, total=step.total)
                what = step.what
            bars.update(task, completed=step.done, total=step.total)
            yield step
