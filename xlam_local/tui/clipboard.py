"""Copies text to where the user can paste it from, and says where that is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

OSC_LIMIT = 74_000
"""Bytes that terminals take through an escape sequence; longer ones many drop without a word."""
PATIENCE = 2.0
DEAF = ("linux", "dumb", "")
"""Terminals that know no escape sequence for the clipboard."""


def copy(
    text: str,
    through_terminal: Callable[[str], None],
    folder: Path,
    environment: Mapping[str, str] = os.environ,
) -> str:
    """Copy by a native tool, else through the terminal, else into a file; a sentence says how."""
    for command in tools(environment):
        if _given(command, text):
            return f"Copied with {command[0]}."
    size = len(text.encode("utf-8", "replace"))
    if environment.get("TERM", "") not in DEAF and size <= OSC_LIMIT:
        through_terminal(text)
        return "Copied through the terminal (OSC 52); where it does not take that, see /help."
    path = folder / "copied.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        return f"Not copied: {path} cannot be written ({error.strerror})."
    return f"There is no clipboard here; the text is in {path}."


def tools(environment: Mapping[str, str]) -> Iterator[list[str]]:
    """The programs of this system that fill the clipboard of the screen the user sits at."""
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


def _given(command: list[str], text: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    try:
        done = subprocess.run(
            command,
            input=text.encode("utf-8", "replace"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
