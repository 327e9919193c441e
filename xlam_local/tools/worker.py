"""A process that holds a file of Python tools and runs its calls, one after the other."""

from __future__ import annotations

import base64
import json
import os
import selectors
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import IO, Any

from .. import wire
from ..errors import ToolError, ToolFileError
from ..types import Effect, Tool
from . import packages, sandbox
from .sandbox import Box, Limits, Running

PACKAGES = Path(__file__).parent.parent.parent
PROGRAM = (
    "import sys; sys.path.append(sys.argv.pop(1)); from xlam_local.tools.inside import main; main()"
)
LIMITS = Limits(cpu_seconds=0)
"""The process lives long, so it limits the CPU time of each call itself."""
START_SECONDS = 30.0
GRACE = 0.25
"""Seconds beyond a tool's own time, for the answer to come."""


@dataclass(frozen=True, slots=True)
class Code:
    """The Python that a worker runs: the text itself, so that no change to its file matters."""

    name: str
    text: str
    module: str = ""
    """The module that it is in an installed package; nothing for a file."""
    attribute: str = ""
    """The one tool that is wanted of it; nothing for all."""
    package: str = ""
    """What its package was known by when it was agreed to."""


class Worker:
    """The process of one file of tools; it is started when it is needed.

    After a call that hung, flooded or died, the next one gets a new process.
    """

    def __init__(self, code: Code, box: Box, log: Path | None = None) -> None:
        self.code = code
        self.log = log
        """Where what it prints goes; nowhere when not set."""
        self.box = replace(box, limits=replace(LIMITS, memory=box.limits.memory))
        self._running: Running | None = None
        self._answers = -1
        self._lock = threading.Lock()

    def tools(self) -> tuple[Tool, ...]:
        """The tools of the file, for which it is run.

        Raises:
            ToolFileError: the file cannot be run, or has no tools.
        """
        try:
            with self._lock:
                told = self._started()
            return tuple(self._tool(item, f"/{number}") for number, item in enumerate(told))
        except ToolError as error:
            raise ToolFileError(f"{self.code.name}: {error}") from error
        except (KeyError, TypeError, ValueError) as error:
            self.close()
            raise ToolFileError(f"{self.code.name}: It tells of what is no tool.") from error

    def close(self) -> None:
        """End the process with all that it has started."""
        with self._lock:
            self._end()

    def stop(self) -> None:
        """End the call that is going on, and the process with it."""
        if running := self._running:
            running.kill()

    def _tool(self, item: Mapping[str, Any], at: str) -> Tool:
        made = wire.tool(item, at)
        seconds = float(item["seconds"])

        def run(**arguments: object) -> object:
            return self._ask({"call": made.name, "arguments": arguments}, seconds)

        def preview(**arguments: object) -> str:
            return str(self._ask({"preview": made.name, "arguments": arguments}, seconds))

        return replace(
            made,
            effect=Effect(item["effect"]),
            run=run,
            preview=preview if item["preview"] else None,
            sandbox=self.box.level,
            seconds=seconds,
            stop=self.stop,
        )

    def _ask(self, question: Mapping[str, object], seconds: float) -> object:
        """What the process answers.

        Raises:
            ToolError: in its words, or because it hung or died.
        """
        with self._lock:
            if self._running is None or self._running.over():
                self._started()
            answer = self._answer(question, seconds)
        if "error" in answer:
            raise ToolError(str(answer["error"]))
        if "binary" in answer:
            return base64.b64decode(answer["binary"])
        return answer.get("value")

    def _started(self) -> list[Any]:
        """Start the process anew; what it tells of its tools."""
        self._end()
        made, module = self.code, self.code.module
        if module and packages.known_by(Path(made.name), module) != made.package:
            raise ToolError("The package has changed since it was agreed to.")
        read, write = os.pipe()
        box = replace(self.box, readable=(*self.box.readable, *_readable()))
        words = (sys.executable, "-P", "-c", PROGRAM, str(PACKAGES), str(write))
        try:
            with self._noise() as noise:
                self._running = sandbox.start(words, box, PIPE, noise, noise, write)
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(write)
        self._answers = read
        wanted = {"name": made.name, "text": made.text, "module": module}
        answer = self._answer({**wanted, "attribute": made.attribute}, START_SECONDS)
        if "error" in answer:
            self._end()
            raise ToolError(str(answer["error"]))
        tools = answer.get("tools")
        if not isinstance(tools, list):
            raise ToolError("Its process does not tell its tools.")
        return tools

    @contextmanager
    def _noise(self) -> Iterator[int | IO[bytes]]:
        """Where what the process says besides its answers goes."""
        if self.log is None:
            yield DEVNULL
            return
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            file = self.log.open("wb")
        except OSError as error:
            raise ToolError(f"{self.log} cannot be written: {error.strerror}.") from error
        with file:
            yield file

    def _answer(self, question: Mapping[str, object], seconds: float) -> dict[str, Any]:
        assert self._running is not None
        assert self._running.process.stdin is not None
        try:
            self._running.process.stdin.write(json.dumps(question).encode() + b"\n")
            self._running.process.stdin.flush()
            line = self._line(time.monotonic() + seconds + GRACE)
            answer = json.loads(line)
            assert isinstance(answer, dict)
        except (BrokenPipeError, EOFError) as error:
            how = self._death()
            raise ToolError(f"Its process ended in the middle of the call{how}.") from error
        except TimeoutError as error:
            self._end()
            raise ToolError(
                f"It did not end within {seconds:g} seconds and was stopped."
            ) from error
        except (ValueError, RecursionError, AssertionError) as error:
            self._end()
            raise ToolError("Its process gave an answer that cannot be read.") from error
        return answer

    def _line(self, deadline: float) -> bytes:
        said = bytearray()
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._answers, selectors.EVENT_READ)
            while not said.endswith(b"\n"):
                if not waiting.select(max(deadline - time.monotonic(), 0)):
                    raise TimeoutError
                piece = os.read(self._answers, 1 << 16)
                if not piece:
                    raise EOFError
                said += piece
                # JSON writes a character as six bytes at most.
                if len(said) > 6 * self.box.limits.output + 1024:
                    raise ValueError
        return bytes(said)

    def _death(self) -> str:
        """How the process ended, as part of a sentence."""
        running = self._running
        self._end()
        code = running.process.returncode if running else 0
        return ENDINGS.get(code, f" (exit code {code})")

    def _end(self) -> None:
        if self._running is not None:
            self._running.end()
            self._running = None
        if self._answers >= 0:
            with suppress(OSError):
                os.close(self._answers)
            self._answers = -1


ENDINGS = {
    -9: ": it was killed",
    -11: ": it crashed",
    -24: ": it used more CPU time than it may",
    -25: ": it wrote a larger file than it may",
}


def _readable() -> tuple[Path, ...]:
    """What Python needs to see of itself, wherever it is installed."""
    places = {Path(sys.prefix), Path(sys.base_prefix), Path(sys.base_prefix).resolve(), PACKAGES}
    return tuple(sorted(places))
