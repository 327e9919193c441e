"""`models adapters`: add, list and remove LoRA adapters."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from .. import config
from ..model_loading import find_model, split_adapters
from ..models import adapters as adapter_store
from ..models import format_bytes
from ..models.licenses import LICENSES, license_holder
from ..models.user_catalog import load_catalog
from ..terminal_text import escape_control
from .completion import complete_model
from .models_store import user_store
from .streams import echo_json


@click.group()
def adapters() -> None:
    """Add, list and remove LoRA adapters. Use one with -m MODEL+NAME:SCALE."""


@adapters.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--name", default="", help="The adapter's name; by default that of the file.")
@click.option(
    "-m",
    "--model",
    help="The installed model that the adapter was trained for; by default the default model.",
    shell_complete=complete_model,
)
def add(source: Path, name: str, model: str | None) -> None:
    """Add the LoRA adapter SOURCE: a folder that PEFT has written, or a GGUF file."""
    folders, store = config.folders(), user_store()
    settings = config.load(folders.config / "config.toml")
    path = find_model(model, settings, store)
    base = split_adapters(model or settings.model or path.stem)[0]
    added = adapter_store.add(source, base, path, store, name)
    size = format_bytes(added.size)
    text = f"Added {added.name}: rank {added.rank}, {size}. Use it with -m {base}+{added.name}."
    click.echo(escape_control(text), err=True)
    holder = license_holder(base, load_catalog(store.config))
    for key in holder.licenses if holder else ():
        click.echo(f"The license of {base} applies to it too: {LICENSES[key].title}.", err=True)


@adapters.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List the adapters, and the models that they were added for."""
    found = adapter_store.list_adapters(user_store())
    if as_json:
        records = [{**asdict(adapter), "path": str(adapter.path)} for adapter in found]
        echo_json(records, indent=2)
        return
    width = max((len(adapter.name) for adapter in found), default=0)
    for adapter in found:
        size = format_bytes(adapter.size)
        line = f"{adapter.name:<{width}} {size:>9}  for {adapter.base}, rank {adapter.rank}"
        click.echo(escape_control(line))


@adapters.command()
@click.argument("name")
def remove(name: str) -> None:
    """Delete the adapter NAME."""
    size = adapter_store.remove(name, user_store())
    click.echo(f"{format_bytes(size)} freed", err=True)
