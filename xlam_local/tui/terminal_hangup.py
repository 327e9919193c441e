"""End the app when its terminal is gone: its window was closed, or the connection was lost."""

from __future__ import annotations

import errno
import os
import signal
import termios
import threading
from collections.abc import Callable
from types import FrameType

CHECK_INTERVAL_S = 0.25
CLEANUP_TIMEOUT_S = 1.0
"""How long the cleanup may take, so that the app ends within two seconds."""
EXIT_HANGUP = 128 + signal.SIGHUP
GONE = {errno.EIO, errno.ENXIO, errno.EBADF, errno.ENODEV}


def watch(terminal: int, clean_up: Callable[[], None]) -> None:
    """Wait in the background until the terminal is gone; then clean up and end the process.

    This does not go through the screen: what Textual writes to a lost terminal can block it, and
    what it reads from one is an end of file that it reads again and again.
    """
    hangup = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        hangup.set()

    # A program that was started by nohup ignores the signal, and so do its children.
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, on_signal)

    def wait() -> None:
        while not hangup.wait(CHECK_INTERVAL_S):
            if is_gone(terminal):
                break
        cleaning = threading.Thread(target=clean_up, daemon=True)
        cleaning.start()
        cleaning.join(CLEANUP_TIMEOUT_S)
        os._exit(EXIT_HANGUP)

    threading.Thread(target=wait, name="terminal-hangup", daemon=True).start()


def is_gone(terminal: int) -> bool:
    """Return whether the terminal of a descriptor is gone."""
    try:
        termios.tcgetattr(terminal)
    except termios.error as error:
        return error.args[0] in GONE
    return False
