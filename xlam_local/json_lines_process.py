"""A child process that reads and writes JSON objects, one per line."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, Self

Json = Mapping[str, Any]

MAX_LINE_BYTES = 64 << 20
EXIT_WAIT_S = 1.0
"""How long a process that has closed its output gets to exit before it is killed."""
EXIT_POLL_S = 0.01
READ_BYTES = 1 << 16

EXIT_REASONS = {
    -signal.SIGKILL: "was killed",
    -signal.SIGXCPU: "exceeded its CPU time limit",
    -signal.SIGXFSZ: "exceeded its file size limit",
}
CRASH_SIGNALS = {
    *(signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGSYS),
    signal.SIGTRAP,
}
PYTHON_PROGRAM = """
import importlib.util, sys
sys.path.append(sys.argv.pop(1))
file = sys.path[-1] + "/xlam_local/__init__.py"
spec = importlib.util.spec_from_file_location("xlam_local", file)
sys.modules["xlam_local"] = package = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
importlib.import_module(sys.argv.pop(1)).main()
"""
IMPORT_ROOT = Path(__file__).parents[1]
"""The folder that contains xlam_local."""
SIGNAL_NAMES = {number.value: number.name for number in signal.Signals}


def python_command(module: str, *arguments: str) -> tuple[str, ...]:
    """Return the command that runs `main()` of a module of this package.

    The process imports the same xlam_local as this one, even if another version is installed. The
    folder that contains it comes last: its other modules must not hide installed ones. Because of
    -P, those in the working folder are not imported at all.
    """
    return (sys.executable, "-P", "-c", PYTHON_PROGRAM, str(IMPORT_ROOT), module, *arguments)


class ProcessEnded(Exception):
    """The process has closed its input or output, and has ended; the message is `exit_reason`."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_reason(exit_code))
        self.exit_code = exit_code


class InvalidMessage(Exception):
    """The process has sent a line that is too long or is not a JSON object."""


class JsonLinesProcess:
    """The parent's end of a process that exchanges JSON lines.

    One thread at a time may send, and one receive; any may close.

    `output` is the file descriptor that messages are read from; `close` closes it. `kill` sends
    SIGKILL to the process and everything it has started, `end` does so and waits for the exit.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        output: int,
        kill: Callable[[], object],
        end: Callable[[], object],
        max_line_bytes: int = MAX_LINE_BYTES,
    ) -> None:
        assert process.stdin is not None
        os.set_blocking(process.stdin.fileno(), False)
        self.process = process
        self.kill = kill
        """Kill the process. Any thread may call this."""
        self._input = process.stdin
        self._output = output
        self._end = end
        self._max_line_bytes = max_line_bytes
        self._buffer = bytearray()
        self._searched = 0
        """How many bytes of the buffer are known to contain no line break."""
        self._closed = False
        self._close_lock = threading.Lock()
        self._receive_lock = threading.RLock()
        """Held while output is read, so that it is not closed at the same time."""

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        stderr: int | IO[bytes],
        max_line_bytes: int = MAX_LINE_BYTES,
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """Start a command as the leader of a new process group; None is our environment.

        Ctrl-C in the terminal does not reach a process in another group.
        """
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment,
            start_new_session=True,
        )
        assert process.stdout is not None
        output = os.dup(process.stdout.fileno())
        process.stdout.close()
        kill, end = partial(kill_group, process), partial(end_group, process)
        return cls(process, output, kill, end, max_line_bytes)

    def alive(self) -> bool:
        """Return whether the process is running."""
        return not has_exited(self.process)

    def send(self, message: Json, timeout_s: float) -> None:
        """Send a message.

        Raises:
            ProcessEnded: the process no longer reads its input.
            TimeoutError: the process did not read the whole message in time, so that no other
                message can follow.
        """
        deadline = time.monotonic() + timeout_s
        data = memoryview(json.dumps(message).encode() + b"\n")
        with selectors.DefaultSelector() as selector:
            try:
                selector.register(self._input, selectors.EVENT_WRITE)
                while data:
                    if not selector.select(max(deadline - time.monotonic(), 0)):
                        raise TimeoutError
                    data = data[os.write(self._input.fileno(), data) :]
            except (BrokenPipeError, ValueError) as error:  # ValueError: the pipe was closed
                raise self._ended() from error

    def receive(self, timeout_s: float) -> Json | None:
        """Return the next message, or None if no whole message arrives in time.

        Raises:
            ProcessEnded: the process closed its output.
            InvalidMessage: a line is too long or is not a JSON object.
        """
        deadline = time.monotonic() + timeout_s
        with self._receive_lock:
            if self._closed:
                raise ProcessEnded(self.process.wait())
            while (line := self._take_line()) is None:
                if not self._read(deadline):
                    return None
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InvalidMessage("The line is not JSON.") from error
        if not isinstance(message, dict):
            raise InvalidMessage("The line is not a JSON object.")
        return message

    def request(self, message: Json, timeout_s: float) -> Json:
        """Send a message to a process that answers with exactly one, and return the answer.

        Raises:
            ProcessEnded: the process ended.
            TimeoutError: the answer did not arrive in time.
            InvalidMessage: the answer is not a JSON object, or more output follows it.
        """
        deadline = time.monotonic() + timeout_s
        self.send(message, timeout_s)
        answer = self.receive(max(deadline - time.monotonic(), 0.0))
        if answer is None:
            raise TimeoutError
        if self._buffer:
            raise InvalidMessage("There is output after the answer.")
        return answer

    def close(self, wait_s: float = 0.0) -> None:
        """Close the process's input, wait for it to exit, and kill it if it does not."""
        with self._close_lock:
            if self._closed:
                return
            self._closed = True
        with suppress(OSError):
            self._input.close()
        self._wait_for_exit(wait_s)
        self._end()  # This also ends a `receive` of another thread.
        with self._receive_lock:
            os.close(self._output)

    def _take_line(self) -> bytes | None:
        """Remove the first line from the buffer and return it, or None if there is none."""
        end = self._buffer.find(b"\n", self._searched)
        if (len(self._buffer) if end < 0 else end) > self._max_line_bytes:
            raise InvalidMessage(f"The line is longer than {self._max_line_bytes:,} bytes.")
        if end < 0:
            self._searched = len(self._buffer)
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        return line

    def _read(self, deadline: float) -> bool:
        """Append output to the buffer; return False if none arrives before the deadline."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ)
            if not selector.select(max(deadline - time.monotonic(), 0)):
                return False
        data = os.read(self._output, READ_BYTES)
        if not data:
            raise self._ended()
        self._buffer += data
        return True

    def _ended(self) -> ProcessEnded:
        self._wait_for_exit(EXIT_WAIT_S)
        self.close()
        return ProcessEnded(self.process.wait())

    def _wait_for_exit(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not has_exited(self.process) and time.monotonic() < deadline:
            time.sleep(EXIT_POLL_S)


def exit_reason(exit_code: int) -> str:
    """Return why a process ended, as a verb phrase; a negative code is a signal's number."""
    if exit_code >= 0:
        return f"exited with code {exit_code}"
    name = SIGNAL_NAMES.get(-exit_code, f"signal {-exit_code}")
    reason = f"crashed ({name})" if -exit_code in CRASH_SIGNALS else f"was ended by {name}"
    return EXIT_REASONS.get(exit_code, reason)


def has_exited(process: subprocess.Popen[bytes]) -> bool:
    """Return whether a process has exited.

    Where the system allows it, the process is not reaped, so that its process group ID stays
    reserved and `kill_group` cannot hit another group.
    """
    if process.returncode is not None:
        return True
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return process.poll() is not None
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    try:
        return os.waitid(os.P_PID, process.pid, flags) is not None
    except ChildProcessError:  # Another thread has just reaped it.
        return True


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the process group that a process leads, unless the process has been reaped."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process group and wait for its leader."""
    kill_group(process)
    process.wait()
