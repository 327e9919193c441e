"""Progress on a terminal and elsewhere."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from xlam_local.cli.progress import download_with_progress, show_progress
from xlam_local.errors import XlamError
from xlam_local.models import Progress

STEPS = (
    Progress(0, 10, "downloading a.gguf"),
    Progress(4, 10, "The connection stalled; retry in 2 s"),
    Progress(4, 10, "The connection stalled; retry in 1 s"),
    Progress(10, 10, "installed", Path("/a.gguf")),
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def steps() -> Iterator[Progress]:
    yield from STEPS


def test_a_log_has_a_line_for_each_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert download_with_progress(steps()) == Path("/a.gguf")
    assert capsys.readouterr().err == "downloading a.gguf\nThe connection stalled\n"


def test_a_terminal_has_a_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    assert tuple(show_progress(steps())) == STEPS
    assert "\x1b[" in terminal.getvalue()


def test_a_download_without_a_model_is_an_error() -> None:
    with pytest.raises(XlamError, match="ended without a model"):
        download_with_progress(iter(()))
