"""The app in a terminal of its own."""

from __future__ import annotations

import os
import sys

import pytest

from .terminal import Terminal

APP = [sys.executable, "-m", "xlam_local", "--ephemeral"]
STARTED = "For this machine"


def test_a_terminal_without_utf_8_gets_ascii_and_a_word_about_it() -> None:
    environment = {**os.environ, "LC_ALL": "C"}
    with Terminal(APP, environment=environment) as terminal:
        terminal.wait("The locale (C) has no UTF-8")
        terminal.wait(STARTED)
        assert terminal.seen.isascii()


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_a_key_that_is_no_utf_8_does_not_end_the_app(locale: str) -> None:
    with Terminal(APP, environment={**os.environ, "LC_ALL": locale}) as terminal:
        terminal.wait(STARTED)
        shown = len(terminal.seen)
        terminal.type(b"\xe9\xff\x1b")
        terminal.wait("Ask something", shown)
        shown = len(terminal.seen)
        terminal.type(b"/help\r")
        terminal.wait("Find, open, rename", shown)
