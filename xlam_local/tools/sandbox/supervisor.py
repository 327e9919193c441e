"""A program that runs a command and leaves none of its processes running.

usage: python -I -S supervisor.py PARENT GRACE COMMAND [ARGUMENT]...

It ends with the exit status of the command, and first kills all processes that the command has
left. It stops the command on SIGTERM, and when the process PARENT has ended, even by SIGKILL: at
once if GRACE is 0. Otherwise a command whose parent has ended, and which therefore reads the end of
its input, has GRACE seconds to end; then its group receives SIGTERM and has GRACE seconds again.
SIGQUIT kills at once. On Linux the supervisor is the subreaper of all these processes, so that none
can leave it, whatever its session or its environment. It imports nothing else of the package, as it
starts with each program.
"""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import sys
import time
from contextlib import suppress

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
KILL_TIMEOUT_S = 5.0
"""How long to keep killing new processes."""
KILL_POLL_S = 0.002
PARENT_POLL_MS = 250
"""How often to look for the parent where it cannot be waited for."""
CANNOT_START = 126
RESTORED_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that Python ignores; the command must not."""


def command_line(parent: int, command: list[str], grace_s: float = 0) -> list[str]:
    """Return the command line that runs a command under a supervisor."""
    options = ["-I", "-S", "-X", "utf8"]
    return [sys.executable, *options, __file__, str(parent), str(grace_s), *command]


class Supervisor:
    """The command's process and its status."""

    def __init__(self, parent: int, grace_s: float, command: list[str]) -> None:
        self.parent = parent
        self.grace_s = grace_s
        self.stopped = False
        """Whether the command must end."""
        self.status: int | None = None
        """The command's exit status, as `os.waitpid` returns it."""
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        self.program = _start(command)
        _close_files()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def run(self) -> int:
        """Wait until the command has ended or must end, kill what is left, return the status."""
        poller, wait_ms = self._poller()
        while self._is_running() and not self.stopped and os.getppid() == self.parent:
            poller.poll(wait_ms)
            self._clear_wake_up()
        if not self.stopped:
            self._wait(self.grace_s)  # the parent has ended, and with it the command's input
        if self._is_running() and self.grace_s:
            self._signal_group(signal.SIGTERM)
            self._wait(self.grace_s)
        self.kill()
        return signal.SIGKILL if self.status is None else self.status

    def reap(self) -> bool:
        """Reap the processes that have ended; return whether there are others."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.program:
                self.status = status

    def kill(self) -> None:
        """Kill all processes of the command, including those that start during the call."""
        deadline = time.monotonic() + KILL_TIMEOUT_S
        self._signal_group(signal.SIGKILL)
        while self.reap() and time.monotonic() < deadline:
            for pid in _descendants():
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(KILL_POLL_S)

    def _is_running(self) -> bool:
        return self.reap() and self.status is None

    def _wait(self, seconds: float) -> None:
        """Wait until the command has ended, at most some seconds."""
        deadline = time.monotonic() + seconds
        while self._is_running() and self.grace_s and (left := deadline - time.monotonic()) > 0:
            select.select([self.wake_read], [], [], left)
            self._clear_wake_up()

    def _signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the command's group; once it is reaped, another could have its ID."""
        if self.status is None:
            with suppress(OSError):
                os.killpg(self.program, number)

    def _clear_wake_up(self) -> None:
        with suppress(BlockingIOError):
            os.read(self.wake_read, 4096)

    def _stop(self, number: int, _: object) -> None:
        self.stopped = True
        if number == signal.SIGQUIT:
            self.grace_s = 0

    def _poller(self) -> tuple[select.poll, int | None]:
        """Return what becomes readable on a signal or at the parent's end, and the timeout."""
        poller = select.poll()
        self.wake_read, self.wake_write = os.pipe()
        os.set_blocking(self.wake_write, False)
        signal.set_wakeup_fd(self.wake_write, warn_on_full_buffer=False)
        os.set_blocking(self.wake_read, False)
        poller.register(self.wake_read, select.POLLIN)
        try:
            poller.register(os.pidfd_open(self.parent), select.POLLIN)
        except (AttributeError, OSError):
            return poller, PARENT_POLL_MS
        return poller, None


def _start(command: list[str]) -> int:
    """Start the command in a session of its own, so that it does not signal this process."""
    supervisor = os.getpid()
    if program := os.fork():
        return program
    try:
        os.setsid()
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for number in RESTORED_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        if os.getppid() == supervisor:
            os.execv(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]} cannot be started: {error.strerror}.\n".encode())
    os._exit(CANNOT_START)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _close_files() -> None:
    """Close the command's files here, so that their other ends see when the command closes them."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 -- pathlib is slow to import
        if int(name) > 2:
            with suppress(OSError):
                os.close(int(name))
    os.chdir("/")


def _descendants() -> list[int]:
    """Return the processes below this one; nothing without /proc."""
    parents: dict[int, int] = {}
    with suppress(FileNotFoundError):
        for name in os.listdir("/proc"):  # noqa: PTH208
            if name.isdigit():
                parents[int(name)] = _parent(name)
    found: list[int] = []
    wanted = {os.getpid()}
    while new := [pid for pid, parent in parents.items() if parent in wanted]:
        found += new
        wanted = set(new)
    return found


def _parent(pid: str) -> int:
    """Return the parent of a process, or 0 if it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def main() -> None:
    """Run the command and end as it has ended."""
    status = Supervisor(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]).run()
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
