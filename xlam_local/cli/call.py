"""`call`: turn a request into tool calls, and run none of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from ..agent import turn
from ..errors import UsageError
from ..grammar import compile_tools
from ..openai_format import call_to_json
from ..types import (
    AllowOnce,
    AssistantMessage,
    Done,
    Event,
    Message,
    Notice,
    SystemMessage,
    ToolCalls,
)
from .offered_tools import find_tools, show_offered, with_cost_notice
from .options import ModelOptions, model_options, tool_choice_option, warn_of_refusals
from .render import play
from .request import file_option, read_request
from .streams import echo_json


@click.command()
@click.argument("text", nargs=-1)
@tool_choice_option("required")
@file_option
@model_options
def call(model: ModelOptions, text: tuple[str, ...], files: tuple[Path, ...]) -> None:
    """Turn TEXT into calls to the --tools, as JSON; no tool runs.

    Text on stdin is added to TEXT, and so are the files of -f. The calls are printed to stdout as
    one array, which is empty if the model answers instead. A call that reaches the token limit is
    completed as its schema requires, and the exit code is 1.
    """
    tools = model.load_tools()
    if not tools:
        raise UsageError("--tools is required: name a tool file.")
    if model.only:
        tools = tuple(find_tools(model.only, tools, "--only"))
    compiled = compile_tools(tools)
    warn_of_refusals(compiled.report)
    settings = model.settings()
    request = read_request(text, files)
    messages: list[Message] = [SystemMessage(settings.system)] if settings.system else []
    messages.append(request)
    engine, options = model.load(settings), model.turn_options(settings)
    if model.verbose:
        show_offered(compiled.tools, engine)
    events = turn(messages, tools, engine, lambda _tool, _call: AllowOnce(), options)
    if not model.only:
        events = with_cost_notice(events, compiled.tools, engine)
    play(events, CallsOutput(), quiet=model.quiet)


class CallsOutput:
    """Prints the calls on stdout, and what the model says instead on stderr."""

    def __init__(self) -> None:
        self._calls = ToolCalls(())

    def show(self, event: Event) -> None:
        """Print answers and notices on stderr."""
        match event:
            case ToolCalls():
                self._calls = event
            case AssistantMessage(text) | Notice(text):
                click.echo(text, err=True)
            case _:
                pass

    def finish(self, done: Done, messages: Sequence[Message]) -> None:
        """Print the calls as an array; nothing if the turn failed without calls."""
        has_calls = done.finish_reason in {"tool_calls", "length"}
        calls = self._calls.calls if has_calls else ()
        if calls or done.finish_reason == "stop":
            echo_json([call_to_json(call) for call in calls])
