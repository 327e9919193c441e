"""Record a session of the app in tmux as an asciinema cast, beginning with the first start.

python -m tests.scripts.app_recording [--to assets/session.cast]

Models and tools are real, and the input is typed letter by letter. The cast is not written if it
contains the machine's host name, user name or home folder.
"""

from __future__ import annotations

import argparse
import codecs
import getpass
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from tests.fakes.resources import fetch
from tests.fakes.terminal import Terminal
from xlam_local import config

ASSETS = Path(__file__).parents[2] / "assets"
SIZE = (100, 30)
TMUX = """
set -g status off
set -g escape-time 0
set -g default-terminal tmux-256color
set -ga terminal-overrides ",*:Tc"
"""
SHOWN_HOME = "/home/me/project"
"""Replaces the temporary folder in the cast."""
MAX_IDLE_S = 2.0
"""Players shorten longer pauses to this."""
EVENT_S = 0.05
"""Output within this time becomes one event."""
TIMEOUT_S = 900.0
"""A busy machine takes minutes for the first turn."""
TIME_REQUEST = "What time is it in Paris and in New York? Call the tools once, then answer briefly."
WRITE_REQUEST = "Write the file hello.txt with the text: Hello from xLAM."
REASON = "Use the path greeting.txt."


class Recorder:
    """Collects the output of a terminal as the events of a cast."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.events: list[tuple[float, str]] = []
        self._decode = codecs.getincrementaldecoder("utf-8")().decode

    def add(self, piece: bytes) -> None:
        """Add output, to the last event if that is recent."""
        now, text = time.monotonic() - self.started, self._decode(piece)
        if self.events and now - self.events[-1][0] < EVENT_S:
            last, before = self.events[-1]
            self.events[-1] = (last, before + text)
        else:
            self.events.append((now, text))

    def cast(self) -> str:
        """Return the recording in version 2 of asciinema's format."""
        head: dict[str, object] = {"version": 2, "width": SIZE[0], "height": SIZE[1]}
        head |= {
            "title": "xlam-local",
            "idle_time_limit": MAX_IDLE_S,
            "env": {"TERM": "xterm-256color"},
        }
        lines = [head, *([round(when, 3), "o", text] for when, text in self.events)]
        return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


class TmuxSession:
    """The app in tmux, and its user."""

    def __init__(self, terminal: Terminal, socket_: str) -> None:
        self.terminal = terminal
        self.socket = socket_
        self.screens = ""
        """The text of every screen that was waited for."""

    def screen(self) -> str:
        """Return the text on the screen."""
        command = ["tmux", "-L", self.socket, "capture-pane", "-p"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def pause(self, seconds: float) -> None:
        """Record output for some seconds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.terminal.read(0.02)

    def wait(self, pattern: str, seconds: float = 1.5) -> None:
        """Wait until the screen matches a pattern, and then for some seconds."""
        deadline = time.monotonic() + TIMEOUT_S
        while not re.search(pattern, " ".join((screen := self.screen()).split())):
            if time.monotonic() > deadline:
                raise SystemExit(f"The screen did not match {pattern!r}:\n{screen}")
            self.pause(0.2)
        self.pause(seconds)
        self.screens += self.screen()

    def press(self, keys: str, seconds: float = 1.0) -> None:
        """Press keys at once."""
        self.terminal.type(keys.encode())
        self.pause(seconds)

    def type(self, text: str) -> None:
        """Type a line and press Enter."""
        for letter in text:
            self.press(letter, 0.04)
        self.pause(0.5)
        self.press("\r", 0.3)


F2, ESCAPE, CTRL_Q, CTRL_R = "\x1bOQ", "\x1b", "\x11", "\x12"


def play(session: TmuxSession, environment: Mapping[str, str], model: Path) -> None:
    """Type the input of the session."""
    session.wait(r"\$", 0.5)
    session.type("xlam-local")
    session.wait("d downloads the demo", 3)
    session.press("d", 0.5)
    session.press(ESCAPE)
    session.wait("Ready")
    session.type("Say hello.")
    session.wait("tokens/s")
    command = [sys.executable, "-m", "xlam_local", "models", "import", str(model), "--name"]
    subprocess.run([*command, "coder-1.5b"], env=environment, capture_output=True, check=True)
    session.press(F2)
    session.wait("coder-1.5b.*Installed", 3)
    session.press("\r")
    session.wait("(?i)qwen.* Ready")
    session.type("/new")
    session.type(TIME_REQUEST)
    session.wait("Ready", 3)
    session.type(WRITE_REQUEST)
    session.wait("Run write_file")
    session.press("r")
    session.type(REASON)
    session.wait("Run write_file.*greeting|Ready", 3)
    if "Run write_file" in session.screen():
        session.press("y")
    session.wait("Ready", 3)
    session.type("/new")
    session.press(CTRL_R)
    for letter in "Paris":
        session.press(letter, 0.1)
    session.wait("Paris", 2)
    session.press("\r")
    session.type("/export paris.md")
    session.wait("Exported to", 3)
    session.press(CTRL_Q)


def machine_words(text: str) -> set[str]:
    """Return the names of this machine that a text contains."""
    words = {socket.gethostname(), getpass.getuser(), str(Path.home())}
    words.add(str(Path(__file__).parents[2]))
    return {word for word in words if re.search(rf"\b{re.escape(word)}\b", text)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=ASSETS / "session.cast")
    parser.add_argument("--threads", type=int, help="Fewer if the machine is busy.")
    arguments = parser.parse_args()
    to: Path = arguments.to
    recorder, name = Recorder(), f"recording-{os.getpid()}"
    with tempfile.TemporaryDirectory() as top:
        folder, model = Path(top, "notes"), Path(top, "coder-1.5b.gguf")
        folder.mkdir()
        model.symlink_to(fetch("qwen2.5-coder-1.5b"))
        Path(top, "tmux.conf").write_text(TMUX)
        if arguments.threads:
            config.save(Path(top, "home", "config", "config.toml"), "threads", arguments.threads)
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "XLAM_LOCAL_HOME": f"{top}/home",
            "HF_HOME": f"{top}/models",
            "HOME": top,
            "LANG": "C.UTF-8",
            "PS1": "$ ",
            "SHELL": "/bin/sh",
            "TMUX": "",
        }
        tmux = ["tmux", "-L", name, "-f", f"{top}/tmux.conf", "new-session", "-c", str(folder)]
        try:
            with Terminal([*tmux, "sh"], SIZE, environment, recorder.add) as terminal:
                session = TmuxSession(terminal, name)
                play(session, environment, model)
        finally:
            subprocess.run(["tmux", "-L", name, "kill-server"], check=False)
    # The replacement is as wide as the folder, so that the layout of the lines stays.
    cast = recorder.cast().replace(top, f"{SHOWN_HOME:_<{len(top)}}"[: len(top)])
    if words := machine_words(cast + session.screens):
        raise SystemExit(f"The cast names this machine: {', '.join(sorted(words))}.")
    to.write_text(cast, encoding="utf-8")
    sys.stdout.write(f"{to}: {len(cast) >> 10} KiB, {recorder.events[-1][0]:.0f} s\n")


if __name__ == "__main__":
    main()
