"""A turn on the terminal: the answer on stdout, all else on stderr."""

from __future__ import annotations

import sys

import click

from ..sanitize import printable
from ..types import Answer, CallDelta, Calls, Delta, Done, Event, Note, Prefill, Result, Usage
from ..wire import dumps

MOST_LINES = 12
"""How many lines of a result are shown; the model reads it whole."""


class Screen:
    """Shows the events of turns as they come."""

    def __init__(self) -> None:
        self.streams = sys.stdout.isatty()
        """Whether the answer is shown while it is written; else it comes whole."""
        self.watched = sys.stderr.isatty()
        self._open = ""
        """The stream whose last line is not ended, or nothing."""

    def show(self, event: Event) -> None:
        """Show what happened."""
        match event:
            case Prefill(done, total) if self.watched:
                self._progress(done, total)
            case Delta(text) if self.streams:
                self._write(text, "stdout")
            case CallDelta(text) if self.watched:
                self._write(text, "stderr")
            case Calls() if not self.watched:
                self.line(calls_line(event))
            case Note(text):
                self.line(text)
            case Result():
                self.line(result_lines(event))
            case Answer(text):
                self._answer(text)
            case Done(_, usage) if self.watched:
                self.line(speed_line(usage))
            case _:
                pass

    def line(self, text: str) -> None:
        """Write a line of its own to stderr."""
        self._end_line()
        click.echo(click.style(printable(text), dim=True), err=True)

    def _answer(self, text: str) -> None:
        if self.streams:
            self._end_line()
        else:
            click.echo(text)

    def _progress(self, done: int, total: int) -> None:
        if done < total:
            click.echo(f"\rReading the prompt: {done} of {total} tokens", nl=False, err=True)
        else:
            click.echo("\r\x1b[K", nl=False, err=True)

    def _write(self, text: str, stream: str) -> None:
        if self._open and self._open != stream:
            self._end_line()
        click.echo(printable(text), nl=False, err=stream == "stderr")
        self._open = stream

    def _end_line(self) -> None:
        if self._open:
            click.echo(err=self._open == "stderr")
            self._open = ""


def calls_line(calls: Calls) -> str:
    """Calls on one line."""
    return "; ".join(f"{call.name} {dumps(call.arguments)}" for call in calls.calls)


def result_lines(result: Result) -> str:
    """A result, its first lines if there are many."""
    lines = result.output.splitlines() or ["(nothing)"]
    shown = lines[:MOST_LINES]
    if len(lines) > MOST_LINES:
        shown.append(f"({len(lines) - MOST_LINES} more lines)")
    arrow = "=>" if result.ok else "=> failed:"
    return f"{result.call.name} {arrow} " + "\n    ".join(shown)


def speed_line(usage: Usage) -> str:
    """What a turn took."""
    return (
        f"{usage.prompt_tokens} tokens read ({usage.cached_tokens} from the cache) "
        f"in {usage.prefill_seconds:.1f} s, {usage.reply_tokens} written "
        f"at {usage.decode_speed:.0f} tokens/s"
    )
