"""llama.cpp in a process of its own: what goes wrong there costs a turn, not the program."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import errors, gbnf, prompt
from ..errors import EngineStopped, OutOfMemory, XlamError
from ..types import End, Loading, Note, Prefill, Prompt, Sampling, Tick, Usage
from .rules import RulesText
from .settings import Settings

TICK = 0.1
"""Seconds without news after which there is a Tick."""
PATIENCE = 300.0
"""Seconds without news after which the process is taken to hang."""
FAREWELL = 5.0
"""Seconds that the process has to keep a prefix and end."""
LOG_BYTES = 1_000_000

NAMES = {number.value: number.name for number in signal.Signals}
Json = Mapping[str, Any]
Generation = Generator[Prefill | str | Note | Tick | End, bool | None, None]


class EngineProcess:
    """A model that is loaded in a process of its own. Used by one thread at a time.

    It has what `local.Engine` has. A process that dies while nothing was written yet is started
    again at once, and the next reply starts one that died before.
    """

    def __init__(
        self, path: Path, settings: Settings, log: Path | None = None, patience: float = PATIENCE
    ) -> None:
        self.where = ""
        """Where it computes, in words, as whoever made the plan says."""
        self._path = path
        self._settings = settings
        self._log = log
        self._patience = patience
        self._rules = RulesText(settings.executor)
        self._line: _Line | None = None
        self._number = 0
        self._sent: str | None = None
        """The grammar that the process has."""
        self._about: Json = {}
        self._untold: list[Note] = []
        self._spoken = False
        """Whether any text of the reply has gone out."""

    @classmethod
    def load(
        cls, path: Path, settings: Settings = Settings(), log: Path | None = None
    ) -> EngineProcess:
        """Load a GGUF file and wait for it; errors as `local.Engine.load`."""
        engine = cls(path, settings, log)
        for _ in engine.start():
            pass
        return engine

    def start(self) -> Generator[Loading, None, None]:
        """Start the process and load the model; to cancel, stop consuming.

        Raises:
            EngineStopped: the process ended.
            XlamError: as `local.Engine.load`.
        """
        self._line = _Line(self._log, self._patience)
        self._sent = None
        settings = asdict(self._settings)
        settings["prefixes"] = str(settings["prefixes"]) if settings["prefixes"] else None
        done = 0.0
        try:
            self._line.send({"load": str(self._path), "settings": settings})
            while not self._about_in(message := self._line.receive(TICK)):
                done = message["loading"] if message else done
                yield Loading(done)
        except EngineStopped as error:
            self.close()
            if error.killed:
                told = f"{error} Loading may have taken more memory than there is."
                raise OutOfMemory(told) from error
            raise
        except BaseException:
            self.close(wait=0.0)
            raise

    def _about_in(self, message: Json | None) -> bool:
        if message is None:
            return False
        _raise(message)
        self._about = message.get("loaded", self._about)
        return "loaded" in message

    def close(self, wait: float = FAREWELL) -> None:
        """End the process and give its memory back; it has `wait` seconds to keep its prefix."""
        if self._line is not None:
            self._line.close(wait)
            self._line = None

    def __del__(self) -> None:
        """Leave no process behind an engine that nobody closed."""
        self.close()

    @property
    def name(self) -> str:
        """The model's name, as its file says it."""
        return str(self._about["name"])

    @property
    def size(self) -> int:
        """Tokens of context."""
        return int(self._about["size"])

    @property
    def format(self) -> prompt.Format:
        """How this model's prompts are written."""
        return read_format(self._about["format"])

    @property
    def pid(self) -> int | None:
        """The process's number, while it lives."""
        return self._line.process.pid if self._line and self._line.alive() else None

    @property
    def memory(self) -> int:
        """Bytes of memory that the process has."""
        import psutil

        try:
            return int(psutil.Process(self.pid).memory_info().rss) if self.pid else 0
        except psutil.Error:
            return 0

    def count(self, prompts: Sequence[Prompt]) -> list[int]:
        """How many tokens each prompt has; a process that has ended is started again."""
        for _ in self._alive():
            pass
        asked = {"count": [_pieces(one) for one in prompts]}
        try:
            return self._counts(asked)
        except EngineStopped as error:
            for _ in self._again(error):
                pass
            return self._counts(asked)

    def _counts(self, asked: Json) -> list[int]:
        number = self._send(asked)
        message = next(message for message in self._messages(number) if message is not None)
        return list(message["counts"])

    def generate(
        self, prompt: Prompt, grammar: gbnf.Grammar | None, sampling: Sampling
    ) -> Generation:
        """Write on after `prompt`, within `grammar`, as `local.Engine.generate` does.

        Besides, a Tick comes where there is nothing new, and a Note when the process had to be
        started again.

        Raises:
            EngineStopped: the process ended in the middle of the reply, or twice before it.
        """
        rules = self._rules.of(grammar) if grammar else None
        yield from self._alive()
        self._spoken = False
        try:
            yield from self._notes()
            yield from self._reply(prompt, rules, sampling)
        except EngineStopped as error:
            if self._spoken:
                self.close(wait=0.0)
                raise
            yield from self._again(error)
            yield from self._notes()
            yield from self._reply(prompt, rules, sampling)

    def _alive(self) -> Iterator[Tick]:
        """Start the process again if it has ended."""
        if self.pid is None:
            yield from self._again("llama.cpp had stopped.")

    def _again(self, why: object) -> Iterator[Tick]:
        """Start the process again, and note it for whoever follows the next reply."""
        self.close(wait=0.0)
        self._untold.append(Note(f"{why} It is started again."))
        for _ in self.start():
            yield Tick()

    def _notes(self) -> Iterator[Note]:
        while self._untold:
            yield self._untold.pop(0)

    def _reply(self, prompt: Prompt, rules: str | None, sampling: Sampling) -> Generation:
        same = rules is not None and rules == self._sent
        number = self._send(
            {
                "generate": _pieces(prompt),
                "rules": True if same else rules,
                "sampling": asdict(sampling),
            }
        )
        self._sent = rules or self._sent
        over = stopped = False
        try:
            for message in self._messages(number):
                item = _item(message)
                over = isinstance(item, End)
                if isinstance(item, str):
                    self._spoken = True
                if stopped and not over:
                    continue
                if (yield item):
                    stopped = True
                    self._tell({"finish": number})
                if over:
                    return
        finally:
            if not over:
                self._tell({"cancel": number})

    def _send(self, message: Json) -> int:
        """Send a request; its number, which all that comes of it bears."""
        self._number += 1
        assert self._line is not None
        self._line.send({**message, "number": self._number})
        return self._number

    def _tell(self, message: Json) -> None:
        """Send word to a process that may have ended."""
        if self._line is not None:
            with contextlib.suppress(EngineStopped):
                self._line.send(message)

    def _messages(self, number: int) -> Iterator[Json | None]:
        """What comes of a request; None where there is nothing for a moment."""
        while self._line is not None:
            message = self._line.receive(TICK)
            if message is None or message.get("number") == number:
                _raise(message or {})
                yield message
        raise EngineStopped("The model was unloaded.")


class _Line:
    """The process, and the JSON lines that go to it and come from it."""

    def __init__(self, log: Path | None, patience: float) -> None:
        self._patience = patience
        self._heard = time.monotonic()
        self._buffer = b""
        self._lines: list[bytes] = []
        with _opened(log) as stderr:
            self.process = subprocess.Popen(
                # -P: no module of the working folder is imported, whose files are nobody's choice.
                [sys.executable, "-P", "-m", "xlam_local.engine.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                # A Ctrl-C in the terminal is for the program, which then cancels.
                start_new_session=True,
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._in, self._out = self.process.stdin, self.process.stdout
        self._news = selectors.DefaultSelector()
        self._news.register(self._out, selectors.EVENT_READ)

    def alive(self) -> bool:
        return self.process.poll() is None

    def send(self, message: Json) -> None:
        self._heard = time.monotonic()
        try:
            self._in.write(json.dumps(message).encode() + b"\n")
            self._in.flush()
        except (OSError, ValueError) as error:
            raise self._ended() from error

    def receive(self, seconds: float) -> Json | None:
        """The next message; None where none comes for some seconds."""
        if not self._lines:
            self._fill(seconds)
        if not self._lines:
            return None
        message: Json = json.loads(self._lines.pop(0))
        return message

    def _fill(self, seconds: float) -> None:
        if not self._news.select(seconds):
            if time.monotonic() - self._heard > self._patience:
                self.close(0.0)
                raise EngineStopped(
                    f"llama.cpp said nothing for {self._patience:.0f} seconds and was ended."
                )
            return
        data = os.read(self._out.fileno(), 1 << 16)
        if not data:
            raise self._ended()
        self._heard = time.monotonic()
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        self._lines.extend(lines)

    def _ended(self) -> EngineStopped:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1.0)
        return stopped(self.process.returncode)

    def close(self, wait: float) -> None:
        """End the process: it sees that its input ends, or is killed."""
        with contextlib.suppress(OSError):
            self._in.close()
        try:
            self.process.wait(wait)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._news.close()
        self._out.close()


def stopped(code: int | None) -> EngineStopped:
    """Why a process ended with `code`, as an error."""
    if code is not None and code < 0:
        name = NAMES.get(-code, f"signal {-code}")
        why = "was killed" if -code == signal.SIGKILL else f"crashed ({name})"
        error = EngineStopped(f"The process of llama.cpp {why}.")
        error.killed = -code == signal.SIGKILL
        return error
    return EngineStopped(f"The process of llama.cpp ended with code {code}.")


@contextlib.contextmanager
def _opened(log: Path | None) -> Iterator[Any]:
    """The file that a process's stderr goes to; nowhere where it cannot be written."""
    try:
        if log is None:
            raise OSError
        log.parent.mkdir(parents=True, exist_ok=True)
        full = log.exists() and log.stat().st_size > LOG_BYTES
        file = log.open("wb" if full else "ab")
    except OSError:
        yield subprocess.DEVNULL
        return
    with file:
        yield file


def _pieces(written: Prompt) -> list[tuple[str, bool]]:
    return [(piece.text, piece.special) for piece in written]


def _item(message: Json | None) -> Prefill | str | Note | Tick | End:
    if message is None:
        return Tick()
    if "text" in message:
        return str(message["text"])
    if "prefill" in message:
        return Prefill(*message["prefill"])
    if "note" in message:
        return Note(message["note"])
    return End(message["cut"], Usage(**message["usage"]))


def _raise(message: Json) -> None:
    """Raise the error that a message tells of."""
    if "bug" in message:
        raise RuntimeError(f"A bug in the process of llama.cpp:\n{message['bug']}")
    if "error" in message:
        kind = getattr(errors, message["error"], XlamError)
        raise kind(message["message"])


def write_format(written: prompt.Format) -> Json:
    """A format as JSON."""
    if isinstance(written, prompt.Family):
        return {"family": written.name}
    return {"template": asdict(written)}


def read_format(told: Json) -> prompt.Format:
    """The format that `write_format` told of."""
    if "family" in told:
        return prompt.FAMILIES[told["family"]]
    template = told["template"]
    return prompt.Template(**{**template, "specials": tuple(template["specials"])})
