"""Run programs under a supervisor, with limits, and isolated if required."""

from __future__ import annotations

import atexit
import os
import resource
import secrets
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ...errors import ToolError
from ...json_lines_process import has_exited
from ...types import Sandbox
from . import supervisor
from .config import Isolation, Limits, SandboxConfig, program_environment
from .descendants import RUN_ID_VARIABLE, kill_descendants
from .executed_guard import ExecutedGuard
from .isolation import check_folder, isolated_command, required_paths

HAS_WAITID = hasattr(os, "waitid")
"""Whether an exit can be seen before the process is reaped; False on macOS before Python 3.13."""
POLL_S = 0.05
"""How long to wait for output before the limits are checked again."""
EXIT_POLL_S = 0.0025
"""The same for a program that has closed its output."""
SUPERVISOR_TIMEOUT_S = supervisor.KILL_TIMEOUT_S + 1
"""How long a supervisor may take to kill what a program has started."""
MAX_PROCESSES = 1024
"""Processes and threads of an isolated program. The system counts them for its namespace alone."""
# bash calls the number of processes -u, other shells call it -p.
PROCESS_LIMIT_SCRIPT = (
    f'ulimit -u {MAX_PROCESSES} 2>/dev/null || ulimit -p {MAX_PROCESSES}; exec "$@"'
)
# bubblewrap kills a program when the thread that started it exits, so one thread, which lives as
# long as this process, starts all programs.
START_THREAD = ThreadPoolExecutor(1, "program-starter")

StopReason = Literal["", "time", "output"]
"""The limit for which a program was killed; empty if it exited by itself."""


@dataclass(frozen=True, slots=True)
class CompletedProcess:
    """The result of a program."""

    exit_code: int
    """A negative code is the number of the signal that killed it."""
    stdout: bytes
    stderr: bytes
    stop_reason: StopReason = ""


@dataclass(frozen=True, slots=True)
class RunningProcess:
    """A program that was started. The caller of `start` must call `end`."""

    popen: subprocess.Popen[bytes]
    run_id: str
    """The value of RUN_ID_VARIABLE in its environment."""
    supervised: bool = True
    """Whether the process is a supervisor; SIGTERM then kills all that the program has started."""
    guard: ExecutedGuard | None = None
    """Protects files that other programs execute, if the program is isolated."""

    def kill(self) -> None:
        """Kill the program and what it has started. Any thread may call this."""
        self._signal(signal.SIGTERM if self.supervised else signal.SIGKILL)

    def end(self) -> None:
        """Kill the program and its descendants, reap it, and close its pipes."""
        self.kill()
        try:
            self.popen.wait(SUPERVISOR_TIMEOUT_S if self.supervised else None)
        except subprocess.TimeoutExpired:  # the program has stopped its supervisor
            self._signal(signal.SIGKILL)
            self.popen.wait()
        if not self.supervised or self.popen.returncode == -signal.SIGKILL:
            kill_descendants(self.run_id, self.popen.pid)
        RUNNING.discard(self)
        for pipe in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def end_and_block(self) -> None:
        """End the program, and rename new files that other programs execute."""
        self.end()
        self.block_new_executed_files()

    def block_new_executed_files(self) -> list[str]:
        """Rename new files that other programs execute, after the end; return their names."""
        return self.guard.block_new() if self.guard is not None else []

    def has_exited(self) -> bool:
        """Return whether the program has exited."""
        return has_exited(self.popen)

    def _signal(self, number: signal.Signals) -> None:
        # After the process is reaped, another group could have its ID.
        if self.popen.returncode is None or not HAS_WAITID:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.popen.pid, number)


BLOCKED_MESSAGE = (
    "\nOther programs would execute these new files, so they were renamed to NAME.blocked: {}.\n"
)
RUNNING: set[RunningProcess] = set()
"""All programs that run now."""


def kill_all(active: Collection[RunningProcess]) -> None:
    """Kill some programs. Any thread may call this."""
    for running in tuple(active):
        running.kill()


atexit.register(kill_all, RUNNING)


def run(
    command: Sequence[str],
    config: SandboxConfig,
    stdin: bytes = b"",
    active: set[RunningProcess] | None = None,
) -> CompletedProcess:
    """Run a program until it exits or exceeds a limit; none of its processes stays running.

    While the program runs, it is in the set `active`, so that another thread can kill it.

    Raises:
        ToolError: the program or the folder does not exist, or the sandbox level is not available.
    """
    active = set() if active is None else active
    with tempfile.TemporaryFile() as stdin_file:
        stdin_file.write(stdin)
        stdin_file.seek(0)
        running = start(command, config, stdin_file, subprocess.PIPE, subprocess.PIPE)
        active.add(running)
        try:
            stdout, stderr, stop_reason = _read_output(running, config.limits)
        finally:
            running.end()
            active.discard(running)
    exit_code = _exit_code(running.popen.returncode, config.level)
    if blocked := running.block_new_executed_files():
        stderr += BLOCKED_MESSAGE.format(", ".join(blocked)).encode()
    return CompletedProcess(exit_code, stdout, stderr, stop_reason)


def start(
    command: Sequence[str], config: SandboxConfig, stdin: Any, stdout: Any, stderr: Any, *fds: int
) -> RunningProcess:
    """Start a program that inherits the file descriptors `fds`.

    Raises:
        ToolError: the program or the folder does not exist, or the sandbox level is not available.
    """
    run_id = secrets.token_hex(16)
    environment = program_environment({**config.env, RUN_ID_VARIABLE: run_id}, config.level)
    program = _find_program(command[0], environment["PATH"], config.cwd)
    guard = None
    if config.level is Sandbox.ISOLATED:
        guard = ExecutedGuard(check_folder(config.cwd))
    sandboxed, own_fds = _sandboxed_command(program, command[1:], config, guard)
    try:
        popen = START_THREAD.submit(
            subprocess.Popen[bytes],
            sandboxed,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=config.cwd,
            env=environment,
            start_new_session=True,
            pass_fds=(*fds, *own_fds),
        ).result()
    except OSError as error:
        raise ToolError(f"{command[0]} cannot be started: {error.strerror}.") from error
    except ValueError as error:
        raise ToolError(f"{command[0]} cannot be started: {error}.") from error
    finally:
        for descriptor in own_fds:
            os.close(descriptor)
    running = RunningProcess(popen, run_id, _is_supervised(config.level), guard)
    RUNNING.add(running)
    return running


def _find_program(name: str, path: str, cwd: Path) -> str:
    """Return the file of a program: on the PATH, or relative to `cwd` if the name has a slash."""
    found = shutil.which(str(cwd / name) if "/" in name else name, path=path)
    if found is None:
        raise ToolError(f"There is no program {name!r} on this machine.")
    return found


def _sandboxed_command(
    program: str, arguments: Sequence[str], config: SandboxConfig, guard: ExecutedGuard | None
) -> tuple[Sequence[str], tuple[int, ...]]:
    """Return the command that applies the sandbox level, and the descriptors that it inherits."""
    command = [program, *arguments]
    if config.level is Sandbox.NONE:
        return supervisor.command_line(os.getpid(), command), ()
    descriptors: tuple[int, ...] = ()
    if config.level is Sandbox.ISOLATED:
        readable = (*required_paths(Path(program)), *config.readable)
        read_only = tuple(guard.read_only) if guard is not None else ()
        isolation = Isolation(
            cwd=config.cwd,
            network=config.network,
            hidden=config.hidden,
            readable=readable,
            read_only=read_only,
            memory_bytes=config.limits.memory_bytes,
        )
        command = ["/bin/sh", "-c", PROCESS_LIMIT_SCRIPT, "sh", *command]
        command, descriptors = isolated_command(command, isolation)
    command = [*_limited_command(command, config.limits)]
    if _is_supervised(config.level):
        command = supervisor.command_line(os.getpid(), command)
    return command, descriptors


def _is_supervised(level: Sandbox) -> bool:
    """Return whether a program needs a supervisor; bubblewrap ends its namespace by itself."""
    return level is not Sandbox.ISOLATED or sys.platform == "darwin"


def _limited_command(command: Sequence[str], limits: Limits) -> Sequence[str]:
    """Return a shell command that sets the limits and then replaces itself with `command`.

    The script is fixed and `command` is passed as its arguments, so the shell interprets nothing
    of it. Python could set limits only between fork and exec, which is unsafe with threads.
    """
    wanted = [
        ("-c", resource.RLIMIT_CORE, 0, 1),
        ("-f", resource.RLIMIT_FSIZE, limits.file_bytes, 512),
    ]
    if sys.platform != "darwin":  # macOS does not support a limit on the address space
        wanted.append(("-v", resource.RLIMIT_AS, limits.memory_bytes, 1024))
    script = [
        f"ulimit {flag} {_below_hard_limit(kind, limit) // unit}"
        for flag, kind, limit, unit in wanted
    ]
    if limits.cpu_seconds:
        cpu_s = _below_hard_limit(resource.RLIMIT_CPU, limits.cpu_seconds + 1)
        # The soft limit is a second lower: its signal, SIGXCPU, names the limit; SIGKILL does not.
        script += [f"ulimit -S -t {max(cpu_s - 1, 1)}", f"ulimit -H -t {cpu_s}"]
    return ["/bin/sh", "-c", "; ".join(["set -e", *script, 'exec "$@"']), "sh", *command]


def _below_hard_limit(kind: int, limit: int) -> int:
    """Return the limit, or this process's own hard limit if that is lower."""
    hard = resource.getrlimit(kind)[1]
    return limit if hard == resource.RLIM_INFINITY else min(limit, hard)


def _read_output(running: RunningProcess, limits: Limits) -> tuple[bytes, bytes, StopReason]:
    """Read stdout and stderr until the program exits or exceeds a limit."""
    deadline = time.monotonic() + limits.timeout
    stdout, stderr = running.popen.stdout, running.popen.stderr
    assert stdout is not None
    assert stderr is not None
    output: dict[Any, bytearray] = {stdout: bytearray(), stderr: bytearray()}
    stop_reason: StopReason = ""
    with selectors.DefaultSelector() as selector:
        for pipe in output:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map() and not stop_reason:
            if running.has_exited():  # descendants could hold the pipes open
                running.kill()
                kill_descendants(running.run_id, running.popen.pid)
            _read_available(selector, output)
            stop_reason = _exceeded_limit(output, limits, deadline)
    while not stop_reason and not running.has_exited():
        time.sleep(EXIT_POLL_S)
        stop_reason = _exceeded_limit(output, limits, deadline)
    out, err = (bytes(data[: limits.output_bytes]) for data in output.values())
    return out, err, stop_reason


def _read_available(selector: selectors.BaseSelector, output: Mapping[Any, bytearray]) -> None:
    """Read once from each pipe that has data, so that the limits are checked in between."""
    for key, _ in selector.select(POLL_S):
        data = os.read(key.fd, 1 << 16)
        output[key.fileobj].extend(data)
        if not data:
            selector.unregister(key.fileobj)


def _exceeded_limit(output: Mapping[Any, bytearray], limits: Limits, deadline: float) -> StopReason:
    if sum(map(len, output.values())) > limits.output_bytes:
        return "output"
    return "time" if time.monotonic() > deadline else ""


def _exit_code(code: int, level: Sandbox) -> int:
    """Return the exit code; bubblewrap reports a signal as 128 plus its number, as shells do."""
    return 128 - code if level is Sandbox.ISOLATED and code > 128 else code
