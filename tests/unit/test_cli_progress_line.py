"""Progress of long prompts, on a terminal and elsewhere."""

from __future__ import annotations

import io

import pytest

from xlam_local.cli import progress_line
from xlam_local.cli.progress_line import ProgressLine
from xlam_local.types import Event, Heartbeat, PrefillProgress, TextDelta


class Clock:
    """A clock that the test sets."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


EVENTS: list[tuple[float, Event]] = [
    (0, PrefillProgress(0, 900)),
    (4, PrefillProgress(100, 900)),
    (9, Heartbeat()),
    (11, PrefillProgress(300, 900)),
    (15, PrefillProgress(400, 900)),
    (22, Heartbeat()),
    (30, PrefillProgress(900, 900)),
    (50, TextDelta("Yes")),
    (51, PrefillProgress(0, 50)),
    (59, PrefillProgress(50, 50)),
    (70, Heartbeat()),
]


def shown(stream: io.StringIO, quiet: bool, monkeypatch: pytest.MonkeyPatch) -> str:
    clock = Clock()
    monkeypatch.setattr(progress_line, "time", clock)
    monkeypatch.setattr("sys.stderr", stream)
    line = ProgressLine(quiet)
    for clock.now, event in EVENTS:
        line.show_event(event)
    return stream.getvalue()


def test_without_a_terminal_a_line_is_printed_every_ten_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert shown(io.StringIO(), False, monkeypatch).splitlines() == [
        "Reading the prompt: 300 of 900 tokens",
        "Reading the prompt: 400 of 900 tokens",
    ]


def test_on_a_terminal_the_line_is_rewritten_and_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(Terminal(), False, monkeypatch)
    assert "\n" not in text
    assert "\rReading the prompt: 400 of 900 tokens\x1b[K" in text
    assert text.endswith("\r\x1b[K")


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_quiet_shows_nothing(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(stream, True, monkeypatch) == ""
