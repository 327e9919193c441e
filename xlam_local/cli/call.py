"""The command that turns words into calls and runs none of them."""

from __future__ import annotations

import click

from .. import wire
from ..errors import UsageError
from ..types import Answer, Calls, Done, Message, Note, Once, System, User
from .options import Wanted, choice_option, model_options, read_text, warn_of_refusals


@click.command()
@click.argument("text", nargs=-1)
@choice_option("required")
@click.option("--system", help="The system message.")
@model_options
def call(wanted: Wanted, text: tuple[str, ...], system: str | None) -> None:
    """Turn TEXT into calls to the tools given, as JSON; nothing runs.

    Without TEXT, stdin is read. The calls are one array on stdout, empty where the model
    rather answers. A call that ran out of room is closed as its schema allows, and the exit code
    is 1.
    """
    from .. import agent
    from ..grammar import for_turn
    from ..session import ending

    tools = wanted.load_tools()
    if not tools:
        raise UsageError("Name a file of tools with --tools.")
    warn_of_refusals(for_turn(tools).report)
    settings = wanted.settings()
    said: list[Message] = [System(system)] if system else []
    said.append(User(read_text(text)))
    engine = wanted.engine(settings)
    calls, done = Calls(()), Done("cancelled")
    for event in agent.turn(said, tools, engine, lambda tool, call: Once(), wanted.rules(settings)):
        match event:
            case Calls():
                calls = event
            case Answer(answer):
                click.echo(answer, err=True)
            case Note(note):
                click.echo(note, err=True)
            case Done():
                done = event
    made = calls.calls if done.reason in {"calls", "cut"} else ()
    if made or done.reason == "answer":
        click.echo(wire.dumps([wire.call_json(call) for call in made]))
    if error := ending(done.reason):
        raise error
