"""`prompt`: print the prompt of a conversation."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .. import conversation_format, user_file
from .. import prompt as prompts
from ..errors import HistoryError, UsageError
from .history import open_history
from .streams import echo_json


@click.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), required=False)
@click.option("--family", type=click.Choice(list(prompts.FAMILIES)), help="The base model.")
@click.option(
    "--jsonl", is_flag=True, help="Read one conversation per line, print one JSON string per line."
)
@click.option(
    "--history",
    "number",
    type=int,
    metavar="NUMBER",
    help="Print the prompt that a model got in this conversation of `history list`.",
)
@click.option(
    "--position",
    type=click.IntRange(0),
    help="With --history: the prompt before this message, counted from 0. Default: the model's "
    "last message.",
)
def prompt(
    file: Path | None, family: str | None, jsonl: bool, number: int | None, position: int | None
) -> None:
    """Print the exact prompt for the conversation in FILE; - reads stdin.

    FILE contains {"messages": [...], "tools": [...]} in OpenAI's format. With --history, the
    prompt that a model got in a saved conversation is printed, byte for byte.
    """
    if number is not None:
        if file is not None or family is not None or jsonl:
            raise click.UsageError("--history excludes FILE, --family and --jsonl.")
        _write_exact(_saved_prompt(number, position))
        return
    if position is not None:
        raise click.UsageError("--position needs --history.")
    if file is None:
        raise click.UsageError("Missing argument FILE; or pass --history.")
    if family is None:
        raise click.UsageError("Missing option --family.")
    if str(file) == "-":
        name, lines = user_file.STDIN, sys.stdin.buffer
    else:
        name, lines = str(file), user_file.open_file(file)
    with lines:
        if jsonl:
            count = 0
            for where, line in user_file.read_lines(lines, name):
                echo_json(_render(line, family, where.rstrip(",")))
                count += 1
            if not count:
                raise UsageError(f"{name} has no conversations.")
        else:
            click.echo(_render(user_file.read_open(lines, name), family, name), nl=False)


def _saved_prompt(number: int, position: int | None) -> str:
    """Return the prompt that a model got before a message of the history."""
    with open_history() as store:
        messages, replies = store.messages(number), store.replies(number)
    if position is None:
        position = max(replies, default=None)
    if position is None or position not in replies:
        known = ", ".join(map(str, replies)) or "none"
        where = f"message {position}" if position is not None else "any message"
        raise HistoryError(
            f"The prompt of {where} of conversation {number} was not saved. Messages with a saved "
            f"prompt: {known}."
        )
    return replies[position].prompt(messages[:position])


def _write_exact(text: str) -> None:
    """Write a text as UTF-8 without a change of its line ends."""
    click.echo(text.encode("utf-8", "replace"), nl=False)


def _render(text: str, family: str, name: str) -> str:
    data = user_file.parse_json(text, name)
    try:
        found = conversation_format.split(data)
        if len(found) > 1:
            raise UsageError("The file has several conversations; write one per line for --jsonl.")
        messages = conversation_format.conversation(found[0])
        tools = conversation_format.offered_tools(found[0])
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from error
    return prompts.text(prompts.render(messages, tools, prompts.FAMILIES[family]))
