"""The app in a pseudo-terminal."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.fakes.terminal import Terminal
from xlam_local.history import History
from xlam_local.types import AssistantMessage, UserMessage

APP = [sys.executable, "-m", "xlam_local", "--ephemeral"]
MAX_SECONDS_TO_END = 2.0
"""How long the app may run without its terminal; it takes about one without other programs."""
MODELS_LISTED = "Recommended for this machine"


@pytest.mark.slow
def test_a_terminal_without_utf_8_gets_ascii_and_a_notice() -> None:
    environment = {**os.environ, "LC_ALL": "C"}
    with Terminal(APP, environment=environment) as terminal:
        terminal.wait_for(MODELS_LISTED)
        terminal.type(b"\x1b")  # The notice is behind the list of models.
        terminal.wait_for("Locale C is not UTF-8")
        assert terminal.output.isascii()


@pytest.mark.slow
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_input_that_is_not_utf_8_does_not_end_the_app(locale: str) -> None:
    with Terminal(APP, environment={**os.environ, "LC_ALL": locale}) as terminal:
        terminal.wait_for(MODELS_LISTED)
        shown = len(terminal.output)
        terminal.type(b"\xe9\xff\x1b")
        terminal.wait_for("Ask something", shown)
        shown = len(terminal.output)
        terminal.type(b"/help\r")
        terminal.wait_for("Search, open, rename", shown)


STARTS = pytest.mark.parametrize(
    "start", ["exec", "trap '' HUP; exec"], ids=["plain", "as nohup does"]
)


@pytest.mark.slow
@STARTS
def test_the_app_ends_soon_after_its_terminal_is_gone(start: str) -> None:
    terminal = Terminal(["bash", "-c", f"{start} {' '.join(APP)}"])
    terminal.wait_for(MODELS_LISTED)
    close_and_expect_end(terminal)


@pytest.mark.slow
@STARTS
def test_the_conversation_is_saved_when_the_terminal_is_gone(
    small_path: Path, own_folders: Path, start: str
) -> None:
    app = [sys.executable, "-m", "xlam_local", "-m", str(small_path)]
    terminal = Terminal(["bash", "-c", f"{start} {' '.join(app)}"])
    terminal.wait_for("Ask something")
    terminal.type(b"Tell me a long story about a whale.\r")
    terminal.wait_for("Writing")
    close_and_expect_end(terminal)
    with closing(History(own_folders / "data" / "history.db")) as history:
        (summary,) = history.summaries()
        user, reply = history.messages(summary.id)
    assert user == UserMessage("Tell me a long story about a whale.")
    assert isinstance(reply, AssistantMessage)
    assert reply.text


def close_and_expect_end(terminal: Terminal) -> None:
    """Close the terminal of a program, which must then end by itself."""
    os.close(terminal.fd)
    gone, status = 0, 0
    end = time.monotonic() + MAX_SECONDS_TO_END
    try:
        while not gone and time.monotonic() < end:
            gone, status = os.waitpid(terminal.child, os.WNOHANG)
            time.sleep(0.02)
        assert gone == terminal.child
        assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    finally:
        if not gone:
            os.kill(terminal.child, signal.SIGKILL)
            os.waitpid(terminal.child, 0)


@pytest.mark.parametrize("stream", ["</dev/null", ">/dev/null", "2>/dev/null", "2>&-", "<&-"])
def test_the_app_needs_a_terminal_for_each_stream(stream: str) -> None:
    with Terminal(["bash", "-c", f"{' '.join(APP)} {stream}; echo exit $?"]) as terminal:
        terminal.wait_for("exit 2")
        assert b"Traceback" not in terminal.output
