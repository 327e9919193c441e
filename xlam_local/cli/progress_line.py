"""One line of progress on stderr: rewritten on a terminal, elsewhere printed every ten seconds."""

from __future__ import annotations

import sys
import time

import click

from ..types import Event, Heartbeat, PrefillProgress

LINE_INTERVAL_S = 10.0
"""Seconds until the first line without a terminal, and between two lines."""


class ProgressLine:
    """Shows how far a step is; `quiet` shows nothing."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._is_terminal = sys.stderr.isatty()
        self._text = ""
        self._print_at: float | None = None
        """The monotonic time of the next line; None if no step is running."""

    def show(self, text: str) -> None:
        """Show a text, which replaces the one before."""
        self._text = text
        if self._is_terminal and not self._quiet:
            click.echo(f"\r{text}\x1b[K", nl=False, err=True)
        elif self._print_at is None:
            self._print_at = time.monotonic() + LINE_INTERVAL_S
        else:
            self.tick()

    def tick(self) -> None:
        """Print the line again if it is time to."""
        now = time.monotonic()
        if self._print_at is not None and now >= self._print_at:
            self._print_at = now + LINE_INTERVAL_S
            if not self._quiet:
                click.echo(self._text, err=True)

    def clear(self) -> None:
        """End the step, and remove the line from a terminal."""
        if self._is_terminal and self._text and not self._quiet:
            click.echo("\r\x1b[K", nl=False, err=True)
        self._text, self._print_at = "", None

    def show_event(self, event: Event) -> None:
        """Show how much of a prompt the model has read."""
        match event:
            case PrefillProgress(done, total) if done < total:
                self.show(f"Reading the prompt: {done} of {total} tokens")
            case Heartbeat():
                self.tick()
            case _:
                self.clear()


def duration(seconds: float) -> str:
    """Return a duration as hours, minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
