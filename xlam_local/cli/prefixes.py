"""The prompts that were read already, kept on disk."""

from __future__ import annotations

from datetime import datetime

import click

from .. import config
from ..sanitize import printable


@click.group(invoke_without_command=True)
@click.pass_context
def prefixes(ctx: click.Context) -> None:
    """Show the prompts that are kept on disk, so that they need not be read again."""
    if ctx.invoked_subcommand is None:
        _show()


@prefixes.command()
def clear() -> None:
    """Remove all of them."""
    from ..engine.prefixes import clear as remove
    from ..models import amount

    count, size = remove(config.folders().cache / "prefixes")
    click.echo(f"Removed {count} kept prompts, {amount(size)}.")


def _show() -> None:
    from ..engine.prefixes import listed
    from ..models import amount

    folder = config.folders().cache / "prefixes"
    found = listed(folder)
    for kept in found:
        used = datetime.fromtimestamp(kept.used).strftime("%Y-%m-%d %H:%M")
        told = f"{kept.tokens} tokens for {kept.model}" if kept.model else "not ours"
        click.echo(printable(f"{used}  {amount(kept.size):>9}  {told}"))
    total = amount(sum(kept.size for kept in found))
    click.echo(printable(f"{len(found)} kept prompts, {total}, in {folder}"), err=True)
