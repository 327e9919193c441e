"""The `cache` command: the on-disk prompt cache."""

from __future__ import annotations

from datetime import datetime

import click

from .. import config
from ..models import format_bytes
from ..terminal_text import escape_control


@click.group(invoke_without_command=True)
@click.pass_context
def cache(ctx: click.Context) -> None:
    """List or delete the prompts in the prompt cache on disk.

    Without a command, the cached prompts are listed. They need not be processed again.
    """
    if ctx.invoked_subcommand is None:
        _show()


@cache.command()
def clear() -> None:
    """Delete all cached prompts."""
    from ..engine.prompt_cache import clear as clear_cache

    count, size = clear_cache(config.folders().cache / "prompts")
    click.echo(f"Removed {count} cached prompts, {format_bytes(size)}.")


def _show() -> None:
    from ..engine.prompt_cache import entries

    folder = config.folders().cache / "prompts"
    found = entries(folder)
    for entry in found:
        used = datetime.fromtimestamp(entry.last_used).strftime("%Y-%m-%d %H:%M")
        content = f"{entry.tokens} tokens for {entry.model}" if entry.model else "unknown format"
        click.echo(escape_control(f"{used}  {format_bytes(entry.size):>9}  {content}"))
    total = format_bytes(sum(entry.size for entry in found))
    click.echo(escape_control(f"{len(found)} cached prompts, {total}, in {folder}"), err=True)
