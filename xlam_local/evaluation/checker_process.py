"""A program with original code of a benchmark, isolated where the system can isolate."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import DEVNULL, PIPE
from threading import Event
from typing import Any, Self

from ..errors import Cancelled, XlamError
from ..json_lines_process import InvalidMessage, JsonLinesProcess, ProcessEnded
from ..tools.sandbox import isolation, process
from ..tools.sandbox.config import Limits, SandboxConfig

Json = Mapping[str, Any]

POLL_S = 0.2
"""How long to wait for an answer before `stop` is checked again."""


class CheckerError(XlamError):
    """The process with the original code failed."""


class CheckerStopped(CheckerError):
    """The process ended, hung or wrote nonsense in one case; the next case gets a new process."""


class CheckerProcess:
    """A Python program that answers JSON lines. One thread at a time may use it.

    It imports packages from `folders` only, and starts at the first request.
    """

    def __init__(
        self,
        program: Path,
        folders: Sequence[Path],
        timeout_s: float,
        network: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._program = program
        self._folders = [folder.resolve() for folder in folders]
        self._timeout_s = timeout_s
        self._network = network
        self._env = dict(env or {})
        self._scratch = tempfile.TemporaryDirectory(prefix="xlam-eval-")
        self._process: JsonLinesProcess | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._stop()
        self._scratch.cleanup()

    @property
    def running(self) -> bool:
        """Whether the process was started and has not been stopped."""
        return self._process is not None

    def request(self, request: Json, stop: Event | None = None) -> Json:
        """Return the answer to a request.

        Raises:
            CheckerStopped: the process ended or hung, or its answer is invalid.
            CheckerError: the original code cannot run.
            Cancelled: `stop` was set.
        """
        self._process = self._process or self._start()
        try:
            answer = self._exchange(self._process, request, stop)
        except BaseException as error:
            self._stop()
            match error:
                case ProcessEnded():
                    reason = f"The process of the checker {error}."
                case TimeoutError():
                    reason = f"The checker did not answer in {self._timeout_s:g} seconds."
                case InvalidMessage():
                    reason = f"The checker's answer is invalid: {error}"
                case _:
                    raise
            raise CheckerStopped(reason) from error
        if "fatal" in answer:
            raise CheckerError(f"The original checker cannot run: {answer['fatal']}.")
        return answer

    def _exchange(self, running: JsonLinesProcess, request: Json, stop: Event | None) -> Json:
        if stop is None:
            return running.request(request, self._timeout_s)
        deadline = time.monotonic() + self._timeout_s
        running.send(request, self._timeout_s)
        while (answer := running.receive(POLL_S)) is None:
            if stop.is_set():
                raise Cancelled("The evaluation was stopped.")
            if time.monotonic() > deadline:
                raise TimeoutError
        return answer

    def _start(self) -> JsonLinesProcess:
        config = SandboxConfig(
            cwd=Path(self._scratch.name),
            level=isolation.best_available(),
            limits=Limits(cpu_seconds=0),
            network=self._network,
            readable=(*self._folders, self._program.parent),
            env=self._env,
        )
        command = [sys.executable, "-I", "-S", "-B", str(self._program), *map(str, self._folders)]
        running = process.start(command, config, PIPE, PIPE, DEVNULL)
        assert running.popen.stdout is not None
        output = os.dup(running.popen.stdout.fileno())
        return JsonLinesProcess(running.popen, output, running.kill, running.end)

    def _stop(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None
