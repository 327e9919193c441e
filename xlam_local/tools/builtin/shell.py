"""The built-in tools that run programs: a command, and the clipboard."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from ...errors import ToolError
from ...types import Effect, Sandbox, Tool
from ..python.decorator import tool
from ..sandbox import process
from ..sandbox.config import Limits, SandboxConfig
from ..sandbox.isolation import best_available
from ..sandbox.output import output_or_error
from ..sandbox.process import RunningProcess
from ..sources import ToolPaths

COMMAND_TIMEOUT_S = 60.0
EXTRA_TIMEOUT_S = 5.0
"""How much longer than the program a call may take, so that the program's timeout comes first."""
CLIPBOARD_TIMEOUT_S = 5.0
QUOTED = re.compile(r"""'[^']*'|"(?:\\.|[^"\\])*"|\\.""", re.DOTALL)
SHELL_OPERATOR = re.compile(r"[|&;<>`]|\$\(")
DISPLAY_VARIABLES = ("DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "XAUTHORITY")
CLIPBOARD_READERS = (
    *(("wl-paste", "-n"), ("xclip", "-o", "-sel", "c"), ("xsel", "-ob"), ("pbpaste",)),
)
CLIPBOARD_WRITERS = (*(("wl-copy",), ("xclip", "-i", "-sel", "c"), ("xsel", "-ib"), ("pbcopy",)),)


def shell_tools(paths: ToolPaths) -> tuple[Tool, ...]:
    """Return the tools that run programs in the working folder, isolated if possible."""
    limits = Limits(timeout=COMMAND_TIMEOUT_S, cpu_seconds=int(COMMAND_TIMEOUT_S))
    sandbox = SandboxConfig(paths.cwd.resolve(), best_available(), limits, hidden=paths.hidden)
    # The clipboard is reached through a socket or the network, which isolation would block.
    return _run_command(sandbox), *_clipboard_tools(replace(sandbox, level=Sandbox.LIMITS))


def _run_command(sandbox: SandboxConfig) -> Tool:
    active: set[RunningProcess] = set()

    def preview(command: str) -> str:
        network = "without network" if sandbox.level is Sandbox.ISOLATED else "with network"
        line = shlex.join(split_command(command))
        return f"{line}\nin {sandbox.cwd}, sandbox: {sandbox.level.value}, {network}"

    @tool(Effect.EXECUTE, timeout=COMMAND_TIMEOUT_S + EXTRA_TIMEOUT_S, preview=preview)
    def run_command(command: str) -> str | bytes:
        """Run a program and read what it prints.

        Args:
            command: The program and its arguments, for example: ls -l docs. There is no shell.
        """
        words = split_command(command)
        completed = process.run(words, sandbox, active=active)
        return output_or_error(words[0], completed, sandbox.limits) or "(The output is empty.)"

    return replace(run_command, sandbox=sandbox.level, cancel=partial(process.kill_all, active))


def split_command(command: str) -> list[str]:
    """Split a command line into words as a shell does, without interpreting anything else.

    Raises:
        ToolError: the command line needs a shell, has an open quote, or has no words.
    """
    if operator := SHELL_OPERATOR.search(QUOTED.sub("", command)):
        raise ToolError(
            f"Commands run without a shell, so {operator[0]!r} is not supported: run one program "
            f"at a time. Quote {operator[0]!r} to pass it as an argument."
        )
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ToolError(f"The command cannot be parsed: {error}.") from error
    if not words or not words[0] or "\0" in command:
        raise ToolError("The command must begin with the name of a program.")
    return words


def _clipboard_tools(sandbox: SandboxConfig) -> tuple[Tool, Tool]:
    timeout = CLIPBOARD_TIMEOUT_S + EXTRA_TIMEOUT_S

    @tool(Effect.EXECUTE, timeout=timeout, preview=lambda: "Reads the clipboard.")
    def read_clipboard() -> str | bytes:
        """Read the text on the clipboard."""
        words = _first_installed(CLIPBOARD_READERS)
        config = _with_display(sandbox)
        completed = process.run(words, config)
        return output_or_error(words[0], completed, config.limits) or "(The clipboard is empty.)"

    @tool(Effect.WRITE, timeout=timeout, preview=lambda text: text)
    def write_clipboard(text: str) -> str:
        """Put text on the clipboard.

        Args:
            text: The text.
        """
        # Some of these programs keep running to serve the clipboard, so the sandbox, which kills
        # all descendants, is not used.
        try:
            subprocess.run(
                _first_installed(CLIPBOARD_WRITERS),
                input=text.encode(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=CLIPBOARD_TIMEOUT_S,
                check=True,
                start_new_session=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise ToolError(f"The clipboard cannot be written: {error}.") from error
        return "The text is on the clipboard."

    return read_clipboard, write_clipboard


def _first_installed(commands: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    for words in commands:
        if shutil.which(words[0]):
            return words
    names = ", ".join(words[0] for words in commands)
    raise ToolError(f"No clipboard program is installed; install one of {names}.")


def _with_display(sandbox: SandboxConfig) -> SandboxConfig:
    """Return the sandbox with the variables that a program needs to reach the desktop session."""
    env = {name: os.environ[name] for name in DISPLAY_VARIABLES if name in os.environ}
    return replace(sandbox, env=env, limits=replace(sandbox.limits, timeout=CLIPBOARD_TIMEOUT_S))
