"""The commands for conversations that were kept."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import config, wire
from ..errors import UsageError
from ..sanitize import printable

if TYPE_CHECKING:
    from ..history import History, Summary

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Write one JSON array.")
FORMATS = ("markdown", "json", "jsonl")


@click.group()
def history() -> None:
    """List, search, export and delete conversations."""


@contextmanager
def opened() -> Iterator[History]:
    """The user's history."""
    from ..history import History

    kept = History(config.folders().data / "history.db")
    if kept.note:
        click.echo(printable(kept.note), err=True)
    with closing(kept):
        yield kept


@history.command("list")
@AS_JSON
def list_(as_json: bool) -> None:
    """List the conversations, the latest first."""
    with opened() as kept:
        found = kept.summaries()
    if as_json:
        click.echo(wire.dumps([asdict(one) for one in found]))
        return
    for one in found:
        click.echo(printable(line(one)))


@history.command()
@click.argument("words", nargs=-1, required=True)
@AS_JSON
def search(words: tuple[str, ...], as_json: bool) -> None:
    """Find messages by their WORDS; the last word may be unfinished."""
    with opened() as kept:
        found = kept.search(" ".join(words))
    if as_json:
        click.echo(wire.dumps([asdict(one) for one in found]))
        return
    for one in found:
        click.echo(printable(f"{line(one.conversation)}\n       {one.excerpt}"))


@history.command()
@click.argument("number", type=int)
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--format", "form", type=click.Choice(FORMATS), help="By the file's name if not set.")
def export(number: int, file: Path | None, form: str | None) -> None:
    """Write the conversation NUMBER to FILE (.md, .json, .jsonl), or to stdout as Markdown."""
    from ..history import exports

    named = exports.ENDINGS.get(file.suffix) if file else "markdown"
    if (wanted := form or named) is None:
        raise UsageError(f"{file} has to end in {', '.join(exports.ENDINGS)}; or say --format.")
    with opened() as kept:
        text = exports.export(kept.get(number), kept.messages(number), exports.FORMATS[wanted])
    if file is None:
        click.echo(printable(text) if sys.stdout.isatty() else text, nl=False)
        return
    try:
        file.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}.") from error


@history.command("import")
@click.argument("file", type=click.Path(path_type=Path))
def import_(file: Path) -> None:
    """Take a conversation from a FILE: JSON or JSONL, ours or in OpenAI's form."""
    from ..history import exports

    try:
        title, messages = exports.read(file.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not a text file.") from error
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from error
    with opened() as kept:
        click.echo(kept.take(title, messages))


@history.command()
@click.argument("number", type=int)
@click.argument("title")
def rename(number: int, title: str) -> None:
    """Give the conversation NUMBER a TITLE."""
    with opened() as kept:
        kept.rename(number, title)


@history.command()
@click.argument("number", type=int)
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(number: int, yes: bool) -> None:
    """Delete the conversation NUMBER for good."""
    with opened() as kept:
        title = printable(kept.get(number).title)
        if not yes and sys.stdin.isatty() and not click.confirm(f"Delete {title!r}?", err=True):
            return
        kept.remove(number)


def line(one: Summary) -> str:
    """A conversation on one line."""
    when = datetime.fromtimestamp(one.changed)
    return f"{one.id:>5}  {when:%Y-%m-%d %H:%M}  {one.messages:>4} messages  {one.title}"
