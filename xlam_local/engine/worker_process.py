"""The child process that runs llama.cpp, with its failures as EngineCrashed."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from queue import Empty, SimpleQueue
from signal import SIGKILL
from subprocess import DEVNULL
from typing import IO

import psutil

from ..atomic_file import open_private
from ..errors import EngineCrashed
from ..json_lines_process import InvalidMessage, JsonLinesProcess, ProcessEnded, exit_reason
from .worker_protocol import Json

POLL_S = 0.1
"""How long `receive` waits for a message."""
MAX_SILENCE_STEP_S = 1.0
"""The longest time without a message that counts at once.

More time has passed between two polls if this program was stopped, as by Ctrl-Z.
"""
READ_TIMEOUT_S = 3600.0
"""The longest wait for one read; it also ends when the process ends."""
SHUTDOWN_TIMEOUT_S = 5.0
"""How long the process may take to save the prompt cache and exit."""
MAX_LOG_BYTES = 1_000_000
"""A log file larger than this is overwritten."""

# -P: a module in the working folder must not be imported instead of a library.
COMMAND = (sys.executable, "-P", "-m", "xlam_local.engine.worker")


OPENMP_ENVIRONMENT = {"GOMP_SPINCOUNT": "5000"}
"""How long llama.cpp's threads spin until they sleep, if the user has not set it.

By default, OpenMP lets them spin for milliseconds, which makes two threads many times slower next
to one busy process on two cores. With 1000, an idle virtual machine sometimes had half the speed.
https://gcc.gnu.org/onlinedocs/libgomp/GOMP_005fSPINCOUNT.html
"""


class WorkerProcess:
    """A running `engine.worker`, whose stderr is appended to `log`.

    Several threads may have requests open at once: a thread of its own reads the answers, and
    sorts them by the numbers of their requests.
    """

    def __init__(self, log: Path | None) -> None:
        with _open_log(log) as stderr:
            self._process = JsonLinesProcess.start(
                COMMAND, stderr, environment=OPENMP_ENVIRONMENT | os.environ
            )
        self._lock = threading.Lock()
        self._answers: dict[int, SimpleQueue[Json | EngineCrashed]] = {}
        """What was received for each open request."""
        self._error: EngineCrashed | None = None
        """Why no more answers arrive."""
        self._closing_reason = ""
        self._silence_s = 0.0
        """How long nothing has arrived while somebody waited."""
        self._silence_measured = time.monotonic()
        threading.Thread(target=self._read, name="engine answers", daemon=True).start()

    @property
    def pid(self) -> int | None:
        """The process ID, or None if the process has ended."""
        return self._process.process.pid if self._process.alive() else None

    @property
    def memory(self) -> int:
        """Bytes of resident memory; 0 if the process has ended."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss) if self.pid else 0
        except psutil.Error:
            return 0

    def open(self, number: int) -> None:
        """Expect answers to a request.

        Raises:
            EngineCrashed: the process has ended.
        """
        with self._lock:
            if self._error is not None:
                raise copy(self._error)
            self._answers[number] = SimpleQueue()

    def forget(self, number: int) -> None:
        """Ignore further answers to a request."""
        with self._lock:
            self._answers.pop(number, None)

    def send(self, message: Json, hang_timeout_s: float) -> None:
        """Send a message; one thread at a time may do so.

        Raises:
            EngineCrashed: the process has ended, or did not read for `hang_timeout_s`.
        """
        self._silence_s = 0.0
        try:
            self._process.send(message, hang_timeout_s)
        except ProcessEnded as error:
            raise crash_error(error.exit_code) from error
        except TimeoutError as error:
            raise self._stop_hanging(hang_timeout_s) from error

    def receive(self, number: int, hang_timeout_s: float) -> Json | None:
        """Return the next answer to a request, or None if none arrives within POLL_S.

        Raises:
            EngineCrashed: the process has ended, sent an invalid message, or was silent for
                `hang_timeout_s`.
        """
        try:
            answer = self._answers[number].get(timeout=POLL_S)
        except Empty:
            if self._measure_silence() > hang_timeout_s:
                raise self._stop_hanging(hang_timeout_s) from None
            return None
        if isinstance(answer, EngineCrashed):
            raise copy(answer)
        return answer

    def close(self, wait_s: float, reason: str = "The model was unloaded.") -> None:
        """End the process; it has `wait_s` seconds to save the prompt cache.

        The reason is the error of requests that are still open.
        """
        self._closing_reason = self._closing_reason or reason
        self._process.close(wait_s)

    def _read(self) -> None:
        """Receive answers until the process ends, and then end all open requests."""
        error = None
        while error is None:
            try:
                message = self._process.receive(READ_TIMEOUT_S)
            except ProcessEnded as ended:
                error = crash_error(ended.exit_code)
            except InvalidMessage as invalid:
                error = EngineCrashed(f"llama.cpp's process sent an invalid message: {invalid}")
                self._process.close()
            else:
                if message is not None:
                    self._put(message)
        with self._lock:
            self._error = EngineCrashed(self._closing_reason) if self._closing_reason else error
            for answers in self._answers.values():
                answers.put(self._error)

    def _measure_silence(self) -> float:
        """Return the seconds of silence; threads that wait at once do not add to each other."""
        with self._lock:
            now = time.monotonic()
            self._silence_s += min(now - self._silence_measured, MAX_SILENCE_STEP_S)
            self._silence_measured = now
            return self._silence_s

    def _put(self, message: Json) -> None:
        with self._lock:
            self._silence_s = 0.0
            if answers := self._answers.get(message.get("number", -1)):
                answers.put(message)

    def _stop_hanging(self, hang_timeout_s: float) -> EngineCrashed:
        reason = (
            f"llama.cpp did not respond for {hang_timeout_s:.0f} seconds; its process was stopped."
        )
        self.close(0.0, reason)
        return EngineCrashed(reason)


def crash_error(exit_code: int) -> EngineCrashed:
    """Return the error for a process that ended with an exit code."""
    error = EngineCrashed(f"llama.cpp's process {exit_reason(exit_code)}.")
    error.killed = exit_code == -SIGKILL
    return error


@contextmanager
def _open_log(path: Path | None) -> Iterator[int | IO[bytes]]:
    """Open the file that stderr is appended to; DEVNULL without one, or if it is not writable."""
    if path is None:
        yield DEVNULL
        return
    try:
        full = path.exists() and path.stat().st_size > MAX_LOG_BYTES
        file = open_private(path, "wb" if full else "ab")
    except OSError:
        yield DEVNULL
        return
    with file:
        yield file
