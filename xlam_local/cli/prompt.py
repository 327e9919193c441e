"""The command that shows a prompt."""

from __future__ import annotations

import json
from typing import IO, Any

import click

from ..errors import UsageError


@click.command()
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option(
    "--family", type=click.Choice(["qwen", "llama"]), required=True, help="Which base model."
)
@click.option(
    "--jsonl", is_flag=True, help="One conversation a line in, one JSON string a line out."
)
def prompt(file: IO[str], family: str, jsonl: bool) -> None:
    """Show the exact prompt for the conversation in FILE.

    FILE has {"messages": [...], "tools": [...]} in OpenAI's form; - is stdin.
    """
    if jsonl:
        for number, line in enumerate(file, 1):
            if line.strip():
                written = _render(line, family, f"line {number}")
                click.echo(json.dumps(written, ensure_ascii=False))
    else:
        click.echo(_render(file.read(), family, file.name), nl=False)


def _render(text: str, family: str, where: str) -> str:
    from .. import prompt, wire

    data = _parsed(text, where)
    try:
        messages = wire.conversation(data)
        tools = wire.tools(data.get("tools") or [])
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
    return prompt.text(prompt.render(messages, tools, prompt.FAMILIES[family]))


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UsageError(f"{where} is not JSON: {error.msg} at {place}.") from error
