"""Where programs run: in a process group of their own, with limits, or cut off from the machine."""

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
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..errors import ToolError
from ..types import Sandbox
from .isolation import Walls, belongings, walled, why_not

KEPT = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "SHELL", "TMPDIR", "TZ", "USER")
"""What a program learns of its user's environment, besides PATH: no token is among these."""
MARK = "XLAM_LOCAL_RUN"
"""The variable by which what a program has left running is found again."""
PEEKS = hasattr(os, "waitid")
"""Whether one can see that a program has ended before it is waited for; not on older Macs."""
TICK = 0.05
"""Seconds between looks at a program that says nothing."""
LOOKS = 4
"""How often in a row nothing has to be found of a program that was ended."""
PATIENCE = 5.0
"""Seconds that what is left of a program is looked for."""
MOST_PROCESSES = 1024
"""Processes and threads of an isolated program; the system counts them in its namespace alone."""
STARTER = ThreadPoolExecutor(1, "starter")
"""Starts all programs: one that ends with its parent ends with the thread that has started it."""

Stopped = Literal["", "time", "output"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a program may use."""

    seconds: float = 30.0
    cpu_seconds: int = 30
    """0 sets no limit."""
    memory: int = 4 << 30
    """Bytes of address space of each of its processes."""
    file_size: int = 256 << 20
    """Bytes of each file that it writes."""
    output: int = 1 << 20
    """Bytes that it may say; one that says more is ended."""


def gibibytes(said: object) -> int:
    """A number of GiB, as somebody wrote it, in bytes.

    Raises:
        TypeError: it is not such a number.
    """
    if isinstance(said, bool) or not isinstance(said, (int, float)) or not 0 < said < 1 << 20:
        raise TypeError
    return int(said * (1 << 30))


@dataclass(frozen=True, slots=True)
class Box:
    """Where and how a program runs."""

    folder: Path
    level: Sandbox = Sandbox.LIMITS
    limits: Limits = Limits()
    network: bool = False
    """Whether it reaches the network; below `isolated` nothing keeps it from that."""
    hidden: tuple[Path, ...] = ()
    """What it does not see when it is isolated, though it may be under the folder."""
    readable: tuple[Path, ...] = ()
    """What it sees when it is isolated, though it may be at home."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of its own."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What came of a program."""

    code: int
    """Its exit code; the negative number of the signal that ended it."""
    out: bytes
    err: bytes
    stopped: Stopped = ""
    """Which limit it was ended for."""


def clean_environment(own: Mapping[str, str], level: Sandbox = Sandbox.LIMITS) -> dict[str, str]:
    """The variables of a program: a few of the user's that tell nothing, and its own."""
    if level is Sandbox.NONE:
        return {**os.environ, **own}
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    places = os.environ.get("PATH", os.defpath).split(os.pathsep)
    path = os.pathsep.join(place for place in places if Path(place).is_absolute())
    return {"PATH": path, "TERM": "dumb", **kept, **own}


@dataclass(frozen=True, slots=True)
class Running:
    """A program that runs; whoever started it has to end it."""

    process: subprocess.Popen[bytes]
    mark: str
    """What it and all that it starts bear in their environment."""

    def kill(self) -> None:
        """Kill its process group, while its number is surely its own."""
        if self.process.returncode is None or not PEEKS:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def end(self) -> None:
        """End it with all that it has started, and close its pipes."""
        self.kill()
        self.process.wait()
        sweep(self.mark, self.process.pid)
        LIVE.discard(self)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def over(self) -> bool:
        """Whether it has ended. It is not waited for, so that its group keeps its number."""
        if not PEEKS:
            return self.process.poll() is not None
        if self.process.returncode is not None:
            return True
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.process.pid, how) is not None


# bash calls the number of processes -u, other shells call it -p.
COUNTED = f'ulimit -u {MOST_PROCESSES} 2>/dev/null || ulimit -p {MOST_PROCESSES}; exec "$@"'
LIVE: set[Running] = set()
"""What runs now: none of it outlives this process."""


@atexit.register
def _end_all() -> None:
    for running in tuple(LIVE):
        running.kill()


def run(
    command: Sequence[str], box: Box, stdin: bytes = b"", going: set[Running] | None = None
) -> Finished:
    """Run a program to its end, or to its limits; nothing of it goes on running.

    While it runs it is among those `going`, where somebody may kill it.

    Raises:
        ToolError: there is no such program or folder, or no sandbox of the level demanded.
    """
    with tempfile.TemporaryFile() as given:
        given.write(stdin)
        given.seek(0)
        running = start(command, box, given, subprocess.PIPE, subprocess.PIPE)
        going = set() if going is None else going
        going.add(running)
        try:
            out, err, stopped = _heard(running, box.limits)
        finally:
            running.end()
            going.discard(running)
    return Finished(_code(running.process.returncode, box), out, err, stopped)


def start(
    command: Sequence[str], box: Box, stdin: Any, stdout: Any, stderr: Any, *fds: int
) -> Running:
    """Start a program in its box.

    Raises:
        ToolError: there is no such program or folder, or no sandbox of the level demanded.
    """
    mark = secrets.token_hex(16)
    environment = clean_environment({**box.environment, MARK: mark}, box.level)
    program = _program(command[0], environment["PATH"], box.folder)
    words = [program, *command[1:]]
    if box.level is Sandbox.ISOLATED:
        readable = (*belongings(Path(program)), *box.readable)
        words = ["/bin/sh", "-c", COUNTED, "sh", *words]
        words = walled(words, Walls(box.folder, box.network, box.hidden, readable))
    if box.level is not Sandbox.NONE:
        words = _limited(words, box.limits)
    try:
        process = STARTER.submit(
            subprocess.Popen[bytes],
            words,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=box.folder,
            env=environment,
            start_new_session=True,
            pass_fds=fds,
        ).result()
    except OSError as error:
        raise ToolError(f"{command[0]} cannot be started: {error.strerror}.") from error
    except ValueError as error:
        raise ToolError(f"{command[0]} cannot be started: {error}.") from error
    running = Running(process, mark)
    LIVE.add(running)
    return running


def stopper(going: Collection[Running]) -> Callable[[], None]:
    """What kills all that is going on."""

    def stop() -> None:
        for running in tuple(going):
            running.kill()

    return stop


def available(level: Sandbox) -> str:
    """Why there is no sandbox of this level here, as a sentence; nothing if there is."""
    return why_not() if level is Sandbox.ISOLATED else ""


def strongest() -> Sandbox:
    """The strongest level that there is on this machine."""
    return Sandbox.LIMITS if why_not() else Sandbox.ISOLATED


def _program(name: str, path: str, folder: Path) -> str:
    """The file that `name` is: on the PATH, or relative to the folder where it has a slash."""
    place = str(folder / name) if "/" in name else name
    found = shutil.which(place, path=path)
    if found is None:
        raise ToolError(f"There is no program {name!r} on this machine.")
    return found


def _limited(words: Sequence[str], limits: Limits) -> list[str]:
    """The command behind a shell that sets its limits and becomes it.

    The shell's text is fixed and the command comes as its arguments, so no word of the command is
    read by it. Python could set limits only between fork and exec, where threads make that unsafe.
    """
    wanted = [
        ("-c", resource.RLIMIT_CORE, 0, 1),
        ("-f", resource.RLIMIT_FSIZE, limits.file_size, 512),
    ]
    if sys.platform != "darwin":  # a Mac takes no limit on the address space
        wanted.append(("-v", resource.RLIMIT_AS, limits.memory, 1024))
    script = [f"ulimit {flag} {_lower(kind, most) // unit}" for flag, kind, most, unit in wanted]
    if limits.cpu_seconds:
        cpu = _lower(resource.RLIMIT_CPU, limits.cpu_seconds + 1)
        # A second apart, so that the signal tells which limit it was.
        script += [f"ulimit -S -t {max(cpu - 1, 1)}", f"ulimit -H -t {cpu}"]
    return ["/bin/sh", "-c", "; ".join(["set -e", *script, 'exec "$@"']), "sh", *words]


def _lower(kind: int, wanted: int) -> int:
    """The limit wanted, or the one that holds already where that is lower."""
    hard = resource.getrlimit(kind)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def _heard(running: Running, limits: Limits) -> tuple[bytes, bytes, Stopped]:
    """What a program says until it ends, and why it had to be stopped."""
    deadline = time.monotonic() + limits.seconds
    process = running.process
    assert process.stdout is not None
    assert process.stderr is not None
    said: dict[Any, bytearray] = {process.stdout: bytearray(), process.stderr: bytearray()}
    stopped: Stopped = ""
    with selectors.DefaultSelector() as waiting:
        for pipe in said:
            waiting.register(pipe, selectors.EVENT_READ)
        while waiting.get_map() and not stopped:
            if running.over():  # what it has left running would hold the pipes open
                running.kill()
                sweep(running.mark, running.process.pid)
            _take(waiting, said)
            stopped = _exceeded(said, limits, deadline)
    while not stopped and not running.over():
        time.sleep(TICK / 20)
        stopped = _exceeded(said, limits, deadline)
    out, err = (bytes(text[: limits.output]) for text in said.values())
    return out, err, stopped


def _take(waiting: selectors.BaseSelector, said: Mapping[Any, bytearray]) -> None:
    """Read what has come: once from each pipe, so that a flood is noticed."""
    for key, _ in waiting.select(TICK):
        piece = os.read(key.fd, 1 << 16)
        said[key.fileobj].extend(piece)
        if not piece:
            waiting.unregister(key.fileobj)


def _exceeded(said: Mapping[Any, bytearray], limits: Limits, deadline: float) -> Stopped:
    if sum(map(len, said.values())) > limits.output:
        return "output"
    return "time" if time.monotonic() > deadline else ""


def _code(code: int, box: Box) -> int:
    """An exit code; bubblewrap tells of a signal as shells do."""
    return 128 - code if box.level is Sandbox.ISOLATED and code > 128 else code


def sweep(mark: str, first: int) -> None:
    """Kill what a program has left outside its process group; Linux tells of that.

    `mark` is what it all bears, `first` the number of the program. What forks again and again may
    do so between a look and a kill, so what is younger than the program is looked at some times.
    """
    if not Path("/proc/self/environ").exists():
        return
    until = time.monotonic() + PATIENCE
    _killed(mark, 0)
    clean = 0
    while clean < LOOKS and time.monotonic() < until:
        clean = 0 if _killed(mark, first) else clean + 1


def _killed(mark: str, after: int) -> bool:
    """Whether there was a process with the mark, and a number after another; it is killed."""
    wanted = f"{MARK}={mark}".encode()
    numbers = (int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208
    # The youngest first: it may be gone the soonest.
    found = [
        number
        for number in sorted(numbers, reverse=True)
        if number > after and wanted in _bytes(f"/proc/{number}/environ") and _kill(number)
    ]
    return bool(found)


def _kill(number: int) -> bool:
    with suppress(OSError):
        os.kill(number, signal.SIGKILL)
    return True


def _bytes(path: str) -> bytes:
    try:
        # A Path for each of hundreds would take longer than all else here.
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            return file.read(1 << 17)
    except OSError:
        return b""
