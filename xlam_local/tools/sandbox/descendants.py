"""Find and kill the processes of a program by their environment, where no supervisor does."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

RUN_ID_VARIABLE = "XLAM_LOCAL_RUN"
"""The environment variable that marks a program and all processes that it starts."""
QUIET_SCANS = 4
"""How many scans in a row must find nothing."""
SCAN_TIMEOUT_S = 5.0
"""How long to keep scanning for new processes."""
MAX_ENVIRONMENT_BYTES = 1 << 17


def kill_descendants(run_id: str, program_pid: int) -> None:
    """Kill all processes whose environment has the run ID. Works only if there is a /proc.

    A program that forks all the time can do so between a scan and a kill, so newer processes than
    the program are scanned for repeatedly.
    """
    if not Path("/proc/self/environ").exists():
        return
    deadline = time.monotonic() + SCAN_TIMEOUT_S
    _kill_marked(run_id, 0)
    quiet_scans = 0
    while quiet_scans < QUIET_SCANS and time.monotonic() < deadline:
        quiet_scans = 0 if _kill_marked(run_id, program_pid) else quiet_scans + 1


def _kill_marked(run_id: str, after_pid: int) -> bool:
    """Kill the processes with the run ID and a PID above `after_pid`; return if there were any."""
    marker = f"{RUN_ID_VARIABLE}={run_id}".encode()
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208
    # The newest first: it may exit the soonest.
    killed = [
        pid
        for pid in sorted(pids, reverse=True)
        if pid > after_pid and marker in _environment(pid) and _kill(pid)
    ]
    return bool(killed)


def _kill(pid: int) -> bool:
    with suppress(OSError):
        os.kill(pid, signal.SIGKILL)
    return True


def _environment(pid: int) -> bytes:
    """Return the raw environment of a process, or nothing if it cannot be read."""
    try:
        # Building a Path for each of hundreds of processes would take longer than reading.
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:  # noqa: PTH123
            return file.read(MAX_ENVIRONMENT_BYTES)
    except OSError:
        return b""
