"""Copy text to the user's clipboard: by a program, through the terminal, or to a file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from .. import atomic_file

MAX_OSC52_BYTES = 74_000
"""Many terminals silently drop longer OSC 52 escape sequences."""
COMMAND_TIMEOUT_S = 2.0
TERMINALS_WITHOUT_OSC52 = ("linux", "dumb", "")


def copy(
    text: str,
    copy_through_terminal: Callable[[str], None],
    folder: Path,
    environment: Mapping[str, str] = os.environ,
) -> str:
    """Copy a text and return a sentence that says how.

    The first way that works is used: a clipboard program, the terminal, a file in `folder`.
    """
    for command in clipboard_commands(environment):
        if _pipe_to(command, text):
            return f"Copied with {command[0]}."
    size = len(text.encode("utf-8", "replace"))
    if environment.get("TERM", "") not in TERMINALS_WITHOUT_OSC52 and size <= MAX_OSC52_BYTES:
        copy_through_terminal(text)
        return "Copied through the terminal (OSC 52). If pasting does not work, see /help."
    path = folder / "copied.txt"
    try:
        atomic_file.write_bytes(path, text.encode("utf-8", "replace"))
    except OSError as error:
        return f"Not copied: cannot write {path} ({error.strerror})."
    return f"No clipboard is available. The text was saved to {path}."


def clipboard_commands(environment: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield the commands that can set the clipboard of the user's own screen."""
    remote = "SSH_CONNECTION" in environment or "SSH_TTY" in environment
    if sys.platform == "darwin" and not remote:
        yield ["pbcopy"]
    if environment.get("WAYLAND_DISPLAY"):
        yield ["wl-copy"]
    if environment.get("DISPLAY"):
        yield ["xclip", "-selection", "clipboard"]
        yield ["xsel", "--clipboard", "--input"]
    if "WSL_DISTRO_NAME" in environment:
        yield ["clip.exe"]
    if "TERMUX_VERSION" in environment:
        yield ["termux-clipboard-set"]
    if environment.get("TMUX"):
        yield ["tmux", "load-buffer", "-w", "-"]


def _pipe_to(command: list[str], text: str) -> bool:
    """Write the text to a command's standard input; return whether the command succeeded."""
    if shutil.which(command[0]) is None:
        return False
    try:
        process = subprocess.run(
            command,
            input=text.encode("utf-8", "replace"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return process.returncode == 0
