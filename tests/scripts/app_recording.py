"""Records a session of the app in tmux, from the first start on, as an asciinema cast.

python -m tests.recording [--to assets/session.cast]

Models and tools are real; what is typed is typed letter by letter. The cast fails to be written
where it would tell of the machine that it was made on.
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

from xlam_local import config

from .resources import get
from .terminal import Terminal

ASSETS = Path(__file__).parent.parent / "assets"
SIZE = (100, 30)
TMUX = """
set -g status off
set -g escape-time 0
set -g default-terminal tmux-256color
set -ga terminal-overrides ",*:Tc"
"""
HOME = "/home/me/project"
"""What the folder of the recording is called in it."""
IDLE = 2.0
"""Seconds that a player waits at most where nothing happens."""
FRAME = 0.05
"""Seconds of output that become one event."""
PATIENCE = 300.0
TIMES = "What time is it in Paris and in New York? Call the tools once, then answer briefly."
WRITE = "Write the file hello.txt with the text: Hello from xLAM."
WHY = "Use the path greeting.txt."


class Recorder:
    """What a terminal shows, as the events of a cast."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.events: list[tuple[float, str]] = []
        self._decode = codecs.getincrementaldecoder("utf-8")().decode

    def take(self, piece: bytes) -> None:
        now, text = time.monotonic() - self.began, self._decode(piece)
        if self.events and now - self.events[-1][0] < FRAME:
            then, before = self.events[-1]
            self.events[-1] = (then, before + text)
        else:
            self.events.append((now, text))

    def cast(self) -> str:
        """The whole recording as asciinema's second format has it."""
        head: dict[str, object] = {"version": 2, "width": SIZE[0], "height": SIZE[1]}
        head |= {"title": "xlam-local", "idle_time_limit": IDLE, "env": {"TERM": "xterm-256color"}}
        lines = [head, *([round(when, 3), "o", text] for when, text in self.events)]
        return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


class Stage:
    """The app in tmux, and whoever sits before it."""

    def __init__(self, terminal: Terminal, socket_: str) -> None:
        self.terminal = terminal
        self.socket = socket_
        self.screens = ""
        """Every screen that was waited for."""

    def screen(self) -> str:
        """What stands on the screen."""
        command = ["tmux", "-L", self.socket, "capture-pane", "-p"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def rest(self, seconds: float) -> None:
        """Look at it for a while."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.terminal.read(0.02)

    def wait(self, text: str, seconds: float = 1.5) -> None:
        """Wait until a text is there, and look at it."""
        until = time.monotonic() + PATIENCE
        while not re.search(text, " ".join((screen := self.screen()).split())):
            if time.monotonic() > until:
                raise SystemExit(f"{text!r} never came:\n{screen}")
            self.rest(0.2)
        self.rest(seconds)
        self.screens += self.screen()

    def press(self, keys: str, seconds: float = 1.0) -> None:
        """Press a key, or several together."""
        self.terminal.type(keys.encode())
        self.rest(seconds)

    def type(self, text: str) -> None:
        """Type a line and send it."""
        for letter in text:
            self.press(letter, 0.04)
        self.rest(0.5)
        self.press("\r", 0.3)


F2, ESCAPE, CTRL_Q, CTRL_R = "\x1bOQ", "\x1b", "\x11", "\x12"


def play(stage: Stage, environment: Mapping[str, str], model: Path) -> None:
    """The session."""
    stage.wait(r"\$", 0.5)
    stage.type("xlam-local")
    stage.wait("d fetches the demo", 3)
    stage.press("d", 0.5)
    stage.press(ESCAPE)
    stage.wait("Ready")
    stage.type("Say hello.")
    stage.wait("tokens/s")
    command = [sys.executable, "-m", "xlam_local", "models", "import", str(model), "--name"]
    subprocess.run([*command, "coder-1.5b"], env=environment, capture_output=True, check=True)
    stage.press(F2)
    stage.wait("coder-1.5b.*Installed", 3)
    stage.press("\r")
    stage.wait("(?i)qwen.* Ready")
    stage.type("/new")
    stage.type(TIMES)
    stage.wait("Ready", 3)
    stage.type(WRITE)
    stage.wait("Run write_file")
    stage.press("r")
    stage.type(WHY)
    stage.wait("Run write_file.*greeting|Ready", 3)
    if "Run write_file" in stage.screen():
        stage.press("y")
    stage.wait("Ready", 3)
    stage.type("/new")
    stage.press(CTRL_R)
    for letter in "Paris":
        stage.press(letter, 0.1)
    stage.wait("Paris", 2)
    stage.press("\r")
    stage.press("\r")
    stage.type("/export paris.md")
    stage.wait("Written to", 3)
    stage.press(CTRL_Q)


def telling(text: str) -> set[str]:
    """Words of this machine that a text tells."""
    words = {socket.gethostname(), getpass.getuser(), str(Path.home())}
    words.add(str(Path(__file__).parent.parent))
    return {word for word in words if re.search(rf"\b{re.escape(word)}\b", text)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=ASSETS / "session.cast")
    parser.add_argument("--threads", type=int, help="Fewer, where others compute as well.")
    wanted = parser.parse_args()
    to: Path = wanted.to
    recorder, name = Recorder(), f"recording-{os.getpid()}"
    with tempfile.TemporaryDirectory() as top:
        folder, model = Path(top, "notes"), Path(top, "coder-1.5b.gguf")
        folder.mkdir()
        model.symlink_to(get("qwen2.5-coder-1.5b"))
        Path(top, "tmux.conf").write_text(TMUX)
        if wanted.threads:
            config.save(Path(top, "home", "config", "config.toml"), "threads", wanted.threads)
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
            with Terminal([*tmux, "sh"], SIZE, environment, recorder.take) as terminal:
                stage = Stage(terminal, name)
                play(stage, environment, model)
        finally:
            subprocess.run(["tmux", "-L", name, "kill-server"], check=False)
    # As wide as what it stands for, so that no line moves.
    cast = recorder.cast().replace(top, f"{HOME:_<{len(top)}}"[: len(top)])
    if told := telling(cast + stage.screens):
        raise SystemExit(f"It tells of this machine: {', '.join(sorted(told))}.")
    to.write_text(cast, encoding="utf-8")
    sys.stdout.write(f"{to}: {len(cast) >> 10} KiB, {recorder.events[-1][0]:.0f} s\n")


if __name__ == "__main__":
    main()
