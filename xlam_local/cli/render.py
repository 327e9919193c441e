"""Print a turn: the answer on stdout, everything else on stderr; or JSON on stdout."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict
from typing import Protocol

import click

from ..errors import error_for
from ..generators import drain
from ..openai_format import call_to_json, dumps, event_json, messages_json
from ..terminal_text import escape_control
from ..types import (
    AssistantMessage,
    Done,
    Event,
    Heartbeat,
    Message,
    Notice,
    TextDelta,
    ToolCallDelta,
    ToolCalls,
    ToolResult,
    Usage,
)
from .progress_line import ProgressLine
from .streams import echo_json

MAX_RESULT_LINES = 12
"""Lines of a result that are printed; the model reads all of it."""


class Output(Protocol):
    """Prints a turn."""

    def show(self, event: Event) -> None:
        """Print an event when it happens."""

    def finish(self, done: Done, messages: Sequence[Message]) -> None:
        """Print the result of the turn, with which the conversation `messages` ends."""


def play(
    turn: Generator[Event, None, Done],
    output: Output,
    messages: Sequence[Message] = (),
    quiet: bool = False,
) -> Done:
    """Play a turn to its end and print it; return its Done event.

    If `quiet`, the progress of long prompts is not printed.

    Raises:
        XlamError: the turn did not end normally.
    """
    progress = ProgressLine(quiet)

    def show(event: Event) -> None:
        progress.show_event(event)
        output.show(event)

    done = drain(turn, show)
    output.finish(done, messages)
    if error := error_for(done):
        raise error
    return done


class TextOutput:
    """Prints a turn as text."""

    def __init__(self) -> None:
        self._stdout_is_terminal = sys.stdout.isatty()
        """Whether the answer is printed while it is written; otherwise it is printed at its end."""
        self._stderr_is_terminal = sys.stderr.isatty()
        self._open_line = ""
        """The stream with an unfinished line, or empty."""

    def show(self, event: Event) -> None:
        """Print an event when it happens."""
        match event:
            case TextDelta(text) if self._stdout_is_terminal:
                self._write(text, "stdout")
            case ToolCallDelta(text) if self._stderr_is_terminal:
                self._write(text, "stderr")
            case ToolCalls() if not self._stderr_is_terminal:
                self._line(calls_line(event))
            case Notice(text):
                self._line(text)
            case ToolResult():
                self._line(result_lines(event))
            case AssistantMessage(text):
                self._answer(text)
            case Done(_, usage) if self._stderr_is_terminal:
                self._line(usage_line(usage))
            case _:
                pass

    def finish(self, done: Done, messages: Sequence[Message]) -> None:
        """Print the calls that the turn leaves to the caller."""
        if done.finish_reason == "tool_calls":
            echo_json(last_calls(messages))

    def _line(self, text: str) -> None:
        self._end_line()
        click.echo(click.style(escape_control(text), dim=True), err=True)

    def _answer(self, text: str) -> None:
        if self._stdout_is_terminal:
            self._end_line()
        else:
            click.echo(text)

    def _write(self, text: str, stream: str) -> None:
        if self._open_line and self._open_line != stream:
            self._end_line()
        click.echo(escape_control(text), nl=False, err=stream == "stderr")
        self._open_line = stream

    def _end_line(self) -> None:
        if self._open_line:
            click.echo(err=self._open_line == "stderr")
            self._open_line = ""


class JsonOutput:
    """Prints the result of a turn as one JSON object.

    `conversation` returns the number of the conversation in the history.
    """

    def __init__(self, conversation: Callable[[], int | None] = lambda: None) -> None:
        self._conversation = conversation

    def show(self, event: Event) -> None:
        """Print notices on stderr, and nothing else until the turn is over."""
        if isinstance(event, Notice):
            click.echo(escape_control(event.text), err=True)

    def finish(self, done: Done, messages: Sequence[Message]) -> None:
        """Print the answer, the open calls, the finish reason, the conversation and the usage."""
        last = messages[-1]
        result = {
            "answer": last.text if isinstance(last, AssistantMessage) else None,
            "calls": last_calls(messages) if done.finish_reason == "tool_calls" else [],
            "finish_reason": done.finish_reason,
            "conversation": self._conversation(),
            "messages": messages_json(messages),
            "usage": asdict(done.usage),
        }
        echo_json(result)


class JsonLinesOutput:
    """Prints each event of a turn as a line of JSON."""

    def show(self, event: Event) -> None:
        """Print an event; heartbeats are omitted."""
        if not isinstance(event, Heartbeat):
            echo_json(event_json(event))

    def finish(self, done: Done, messages: Sequence[Message]) -> None:
        """Print nothing more: the Done event was the last line."""


def make_output(form: str | None, conversation: Callable[[], int | None] = lambda: None) -> Output:
    """Return what prints a turn: as JSON, as lines of JSON, or as text for people."""
    match form:
        case "json":
            return JsonOutput(conversation)
        case "jsonl":
            return JsonLinesOutput()
        case _:
            return TextOutput()


def last_calls(messages: Sequence[Message]) -> list[dict[str, object]]:
    """Return the calls of the last message as JSON."""
    last = messages[-1]
    return [call_to_json(call) for call in last.calls] if isinstance(last, ToolCalls) else []


def calls_line(calls: ToolCalls) -> str:
    """Return calls on one line."""
    return "; ".join(f"{call.name} {dumps(call.arguments)}" for call in calls.calls)


def result_lines(result: ToolResult) -> str:
    """Return the first lines of a result."""
    lines = result.output.splitlines() or ["(empty)"]
    shown = lines[:MAX_RESULT_LINES]
    if len(lines) > MAX_RESULT_LINES:
        shown.append(f"({len(lines) - MAX_RESULT_LINES} more lines)")
    arrow = "=>" if result.ok or result.skipped else "=> failed:"
    return f"{result.call.name} {arrow} " + "\n    ".join(shown)


def usage_line(usage: Usage) -> str:
    """Return the tokens and times of a turn on one line."""
    return (
        f"prompt {usage.prompt_tokens} tokens ({usage.cached_tokens} cached) "
        f"in {usage.prefill_seconds:.1f} s, reply {usage.reply_tokens} tokens "
        f"at {usage.decode_speed:.0f} tokens/s"
    )
