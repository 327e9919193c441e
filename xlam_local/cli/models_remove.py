"""`models remove` and `models prune`: free disk space."""

from __future__ import annotations

import sys

import click

from ..errors import UsageError
from ..models import format_bytes, get_installed
from ..models import prune as pruning
from ..terminal_text import escape_control
from .models_store import user_store
from .questions import confirm


@click.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def remove(name: str, yes: bool) -> None:
    """Remove a model from the store."""
    store = user_store()
    model = get_installed(name, store)
    if not model.repo:
        raise UsageError(f"{model.path} is not in the store; delete the file itself.")
    question = f"Remove {model.name} ({format_bytes(model.size)})?"
    if not yes and sys.stdin.isatty() and not confirm(question):
        return
    click.echo(f"{format_bytes(pruning.remove(model, store))} freed", err=True)


@click.command()
@click.option("--older", is_flag=True, help="Also delete models of old revisions.")
@click.option("--dry-run", is_flag=True, help="List the files and delete nothing.")
def prune(older: bool, dry_run: bool) -> None:
    """Delete partial downloads and unreferenced files; with --older, also old revisions."""
    store = user_store()
    old = pruning.old_revisions(store)
    for file in [*pruning.unused_files(store), *(old if older else ())]:
        click.echo(escape_control(f"{file.path} ({format_bytes(file.size)}): {file.reason}"))
    if not dry_run:
        click.echo(f"{format_bytes(pruning.prune(store, older))} freed", err=True)
    if old and not older:
        size = format_bytes(sum(file.size for file in old))
        click.echo(f"Old revisions use {size}; --older deletes them.", err=True)
