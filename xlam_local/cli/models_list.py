"""`models list` and `models path`: the installed models and their files."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from ..models import InstalledModel, find_path, format_bytes, list_installed
from ..models.user_catalog import load_catalog
from ..terminal_text import escape_control
from .models_store import user_store
from .streams import echo_json


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List the installed models, and the names of those that can be pulled."""
    store = user_store()
    installed = list_installed(store)
    names = {model.name.partition(":")[0] for model in installed}
    others = [model.name for model in load_catalog(store.config) if model.name not in names]
    if as_json:
        document = {"installed": [model_to_json(model) for model in installed], "catalog": others}
        echo_json(document, indent=2)
        return
    width = max((len(model.name) for model in installed), default=0)
    for model in installed:
        size, usage = format_bytes(model.size), usage_text(model)
        click.echo(escape_control(f"{model.name:<{width}} {size:>9}  {usage}"))
    click.echo(f"Not installed: {', '.join(others)}", err=True)


@click.command()
@click.argument("name")
def path(name: str) -> None:
    """Print the path of an installed model."""
    click.echo(find_path(name, user_store()))


def model_to_json(model: InstalledModel) -> dict[str, Any]:
    """Return an installed model as a JSON object."""
    files = [str(file) for file in model.files]
    return {**asdict(model), "path": str(model.path), "files": files}


def usage_text(model: InstalledModel) -> str:
    """Return when a model was last used, or that parts of it are missing, as a phrase."""
    if not model.complete:
        return "parts are missing"
    if model.last_used is None:
        return "never used"
    return f"last used {datetime.fromtimestamp(model.last_used):%Y-%m-%d %H:%M}"
