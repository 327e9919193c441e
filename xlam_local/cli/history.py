"""`xlam-local history`: list, search, export, import, rename and remove conversations."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from .. import config
from ..errors import UsageError
from ..history import History, SearchHit, Summary
from ..history import export as export_formats
from ..history.importing import read_import
from ..history.replies import conversation_hash, offered_tools
from ..history.training import FORMS, Selection
from ..history.types import RATINGS
from ..prompt import FAMILIES
from ..terminal_text import escape_control
from ..types import AssistantMessage, ToolCalls
from .history_training import export_training
from .questions import confirm
from .streams import echo_json, encodable_json

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
FORMATS = ("markdown", "json", "jsonl")
MAX_HITS = 10_000
"""Messages that a search looks at before the best of each conversation is chosen."""


@click.group()
def history() -> None:
    """List, search, export and delete conversations."""


@contextmanager
def open_history() -> Iterator[History]:
    """Open the user's history; print what had to be repaired."""
    store = History(config.folders().data / "history.db")
    if store.note:
        click.echo(escape_control(store.note), err=True)
    with closing(store):
        yield store


@history.command("list")
@AS_JSON
def list_(as_json: bool) -> None:
    """List the conversations, the latest first."""
    with open_history() as store:
        found = store.summaries()
    if not found:
        click.echo("The history has no conversations.", err=True)
    if as_json:
        echo_json([asdict(one) for one in found])
        return
    for one in found:
        click.echo(escape_control(summary_line(one)))


@history.command()
@click.argument("words", nargs=-1, required=True)
@AS_JSON
def search(words: tuple[str, ...], as_json: bool) -> None:
    """Find conversations by the WORDS of a message; the last word may be a prefix.

    Each conversation is listed once, with the message that fits best.
    """
    with open_history() as store:
        found = _best_of_each(store.search(" ".join(words), MAX_HITS))
    if not found:
        click.echo(f"No message contains {escape_control(' '.join(words))!r}.", err=True)
    if as_json:
        echo_json([asdict(one) for one in found])
        return
    for one in found:
        click.echo(escape_control(f"{summary_line(one.conversation)}\n       {one.excerpt}"))


@history.command()
@click.argument("words", metavar="[NUMBER] [FILE]", nargs=-1)
@click.option("--format", "form", type=click.Choice(FORMATS), help="Default: by the file's suffix.")
@click.option("--all", "every", is_flag=True, help="With --as: export all conversations.")
@click.option(
    "--as",
    "training_form",
    type=click.Choice(list(FORMS)),
    help="Write training data in this format to the folder FILE.",
)
@click.option("--rated", is_flag=True, help="With --as: only replies that are rated up.")
@click.option(
    "--family",
    type=click.Choice(list(FAMILIES)),
    help="With --as: the base model whose prompts are written. Default: as the model got them.",
)
@click.option("--yes", is_flag=True, help="With --as: write texts that look like secrets.")
def export(
    words: tuple[str, ...],
    form: str | None,
    every: bool,
    training_form: str | None,
    rated: bool,
    family: str | None,
    yes: bool,
) -> None:
    """Write the conversation NUMBER to FILE (.md, .json, .jsonl).

    Without FILE, or if it is -, the conversation is printed, by default as Markdown. With --as,
    FILE is a new folder for training data and a report; --all takes all conversations instead of
    one NUMBER.
    """
    number, file = _number_and_file(words, every)
    if training_form is None:
        if every or rated or family or yes:
            raise click.UsageError("--all, --rated, --family and --yes need --as.")
        assert number is not None
        _export_one(number, file, form)
        return
    if file is None or form is not None:
        raise click.UsageError("--as needs the name of a folder, and excludes --format.")
    selection = Selection(FAMILIES[family] if family else None, rated)
    with open_history() as store:
        numbers = [one.id for one in store.summaries()][::-1] if number is None else [number]
        export_training(store, numbers, training_form, file, selection, yes)


def _number_and_file(words: Sequence[str], every: bool) -> tuple[int | None, Path | None]:
    """Return the number of a conversation, None for all, and the file."""
    rest = list(words)
    number = None
    if not every:
        if not rest:
            raise click.UsageError("Missing argument NUMBER.")
        if not rest[0].isdecimal():
            raise click.UsageError(f"Invalid value for NUMBER: {rest[0]!r} is not a number.")
        number = int(rest.pop(0))
    if len(rest) > 1:
        raise click.UsageError(f"Got unexpected extra argument ({rest[1]}).")
    return number, Path(rest[0]) if rest and rest[0] != "-" else None


def _export_one(number: int, file: Path | None, form: str | None) -> None:
    """Write one conversation to a file or to stdout."""
    named = export_formats.SUFFIXES.get(file.suffix) if file else "markdown"
    if (wanted := form or named) is None:
        raise UsageError(
            f"{file} must end in {', '.join(export_formats.SUFFIXES)}, or pass --format."
        )
    with open_history() as store:
        text = export_formats.export(
            store.get(number),
            store.messages(number),
            export_formats.FORMATS[wanted],
            offered_tools(store.replies(number).values()),
        )
    if file is None:
        _print(text if wanted == "markdown" else encodable_json(text))
        return
    try:
        file.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}.") from error


@history.command()
@click.argument("number", type=int)
def show(number: int) -> None:
    """Print the conversation NUMBER as Markdown."""
    with open_history() as store:
        _print(export_formats.export(store.get(number), store.messages(number), "markdown"))


@history.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--again", is_flag=True, help="Also import conversations that were imported before.")
def import_(file: Path, again: bool) -> None:
    """Import conversations from FILE, and print the number of each.

    The format is recognized by the content: JSON or JSONL of xlam-local, OpenAI, Anthropic, Ollama
    or ShareGPT, with tools; results of tau-bench and tau2-bench; logs.db of llm; ATIF; and the
    exports of Open WebUI and ChatGPT. Conversations that cannot be read are named and left out.
    """
    found = read_import(file)
    added = 0
    with open_history() as store:
        hashes: Counter[str] = Counter()
        for one in found.conversations:
            content = conversation_hash(one.messages, one.tools)
            hashes[content] += 1  # A file may have the same conversation several times.
            source = f"{content}-{hashes[content]}"
            if again or not store.is_imported(source):
                about = one.summary
                number = store.import_messages(about.title, one.messages, about, one.tools, source)
                click.echo(number)
                added += 1
    for fault in found.faults:
        click.echo(escape_control(f"Left out: {fault}"), err=True)
    known = len(found.conversations) - added
    if known or found.faults:
        summary = f"{added} imported, {known} imported before, {len(found.faults)} left out."
        click.echo(summary, err=True)


@history.command()
@click.argument("number", type=int)
@click.argument("rating", type=click.Choice(list(RATINGS)))
@click.option(
    "--position",
    type=click.IntRange(0),
    help="The position of the message, counted from 0. Default: the model's last message.",
)
def rate(number: int, rating: str, position: int | None) -> None:
    """Rate a reply of the conversation NUMBER: up, down, or none.

    Ratings select what `history export --rated` writes.
    """
    with open_history() as store:
        if position is None:
            said = enumerate(store.messages(number))
            position = max(
                (n for n, m in said if isinstance(m, AssistantMessage | ToolCalls)), default=0
            )
        store.rate(number, position, RATINGS[rating])


@history.command()
@click.argument("number", type=int)
@click.argument("title")
def rename(number: int, title: str) -> None:
    """Give the conversation NUMBER a TITLE."""
    with open_history() as store:
        store.rename(number, title)


@history.command()
@click.argument("number", type=int)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def remove(number: int, yes: bool) -> None:
    """Delete the conversation NUMBER permanently."""
    with open_history() as store:
        title = escape_control(store.get(number).title)
        if not yes and sys.stdin.isatty() and not confirm(f"Delete {title!r}?"):
            return
        store.remove(number)


def _best_of_each(hits: Sequence[SearchHit]) -> list[SearchHit]:
    """Return the first hit of each conversation."""
    first: dict[int, SearchHit] = {}
    for hit in hits:
        first.setdefault(hit.conversation.id, hit)
    return list(first.values())


def _print(text: str) -> None:
    """Print a conversation; on a terminal, control characters are escaped."""
    click.echo(escape_control(text) if sys.stdout.isatty() else text, nl=False)


def summary_line(summary: Summary) -> str:
    """Return a conversation on one line."""
    when = datetime.fromtimestamp(summary.changed)
    return (
        f"{summary.id:>5}  {when:%Y-%m-%d %H:%M}  {summary.messages:>4} messages  {summary.title}"
    )
