"""The built-in tools that run programs: a command, and the clipboard."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace

from ..errors import ToolError
from ..types import Effect, Sandbox, Tool
from . import sandbox
from .commands import told
from .functions import tool
from .sandbox import Box, Limits, Running
from .types import Places

SECONDS = 60.0
QUOTED = re.compile(r"""'[^']*'|"(?:\\.|[^"\\])*"|\\.""", re.DOTALL)
OPERATOR = re.compile(r"[|&;<>`]|\$\(")
DISPLAY = ("DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "XAUTHORITY")
READERS = (("wl-paste", "-n"), ("xclip", "-o", "-sel", "c"), ("xsel", "-ob"), ("pbpaste",))
WRITERS = (("wl-copy",), ("xclip", "-i", "-sel", "c"), ("xsel", "-ib"), ("pbcopy",))


def program_tools(places: Places) -> tuple[Tool, ...]:
    """The tools that run programs in the working folder, as well isolated as can be."""
    limits = Limits(seconds=SECONDS, cpu_seconds=int(SECONDS))
    level = sandbox.strongest()
    box = Box(places.folder.resolve(), level, limits, hidden=places.closed)
    return _run_command(box), *_clipboard(replace(box, level=Sandbox.LIMITS))


def _run_command(box: Box) -> Tool:
    going: set[Running] = set()

    def preview(command: str) -> str:
        network = "without network" if box.level is Sandbox.ISOLATED else "with network"
        words = shlex.join(split(command))
        return f"{words}\nin {box.folder}, sandbox: {box.level.value}, {network}"

    @tool(Effect.EXECUTE, seconds=SECONDS + 5, preview=preview)
    def run_command(command: str) -> str | bytes:
        """Run a program and read what it prints.

        Args:
            command: The program and its arguments, for example: ls -l docs. There is no shell.
        """
        words = split(command)
        return told(words[0], sandbox.run(words, box, going=going), box) or "(It printed nothing.)"

    return replace(run_command, sandbox=box.level, stop=sandbox.stopper(going))


def split(command: str) -> list[str]:
    """The words of a command line.

    Raises:
        ToolError: it asks for a shell, or has no words.
    """
    bare = QUOTED.sub("", command)
    if found := OPERATOR.search(bare):
        raise ToolError(
            f"There is no shell here, so {found[0]!r} would not work: run one program at a time. "
            "In quotes it is an argument."
        )
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ToolError(f"The command cannot be read: {error}.") from error
    if not words or not words[0] or "\0" in command:
        raise ToolError("There is no program to run.")
    return words


def _clipboard(box: Box) -> tuple[Tool, Tool]:
    @tool(Effect.EXECUTE, seconds=10, preview=lambda: "Reads what is on the clipboard.")
    def read_clipboard() -> str | bytes:
        """Read the text on the clipboard."""
        words = _first(READERS)
        return told(words[0], sandbox.run(words, _shown(box)), box) or "(The clipboard is empty.)"

    @tool(Effect.WRITE, seconds=10, preview=lambda text: text)
    def write_clipboard(text: str) -> str:
        """Put text on the clipboard.

        Args:
            text: The text.
        """
        # Some of these programs live on to serve the clipboard, so they are not held in a box.
        try:
            subprocess.run(
                _first(WRITERS),
                input=text.encode(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=5,
                check=True,
                start_new_session=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise ToolError(f"The clipboard cannot be written: {error}.") from error
        return "It is on the clipboard."

    return read_clipboard, write_clipboard


def _first(commands: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    for words in commands:
        if shutil.which(words[0]):
            return words
    names = ", ".join(words[0] for words in commands)
    raise ToolError(f"There is no program for the clipboard here; it would be one of {names}.")


def _shown(box: Box) -> Box:
    """The box with what leads to the screen."""
    found = {name: os.environ[name] for name in DISPLAY if name in os.environ}
    return replace(box, environment=found, limits=replace(box.limits, seconds=5))
