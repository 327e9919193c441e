"""Programs of tools must not stay running, however they hide and however this program ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fakes.proc import processes_with
from tests.fakes.tool_calls import CAN_ISOLATE
from xlam_local.tools.sandbox.config import Limits, SandboxConfig
from xlam_local.tools.sandbox.process import run
from xlam_local.types import Sandbox

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
LEVELS = [Sandbox.NONE, Sandbox.LIMITS, *([Sandbox.ISOLATED] if CAN_ISOLATE else [])]
HIDING = {
    "another session": "setsid sleep {mark} & sleep 0.2",
    "no environment": "setsid env -i /bin/sleep {mark} & sleep 0.2",
    "no environment, twice": "(setsid env -i setsid -f /bin/sleep {mark}) & sleep 0.2",
    "a large environment": "A=$(head -c 100000 /dev/zero | tr '\\0' x); export A B=$A C=$A; "
    "setsid sleep {mark} & sleep 0.2",
    "a daemon that ignores signals": "setsid env -i /bin/sh -c "
    "\"trap '' TERM HUP INT; while :; do sleep {mark}; done\" & sleep 0.2",
    "without pipes": "setsid env -i /bin/sleep {mark} > /dev/null 2>&1 < /dev/null & sleep 0.2",
    "another folder": "cd /; setsid env -i /bin/sleep {mark} & sleep 0.2",
    "a chain": 'setsid env -i /bin/sh -c \'/bin/sh -c "sleep {mark} & sleep {mark}" & '
    "sleep {mark}' & sleep 0.2",
}
ENDS = {
    "SIGTERM": signal.SIGTERM,
    "SIGHUP": signal.SIGHUP,
    "SIGKILL": signal.SIGKILL,
    "SIGINT": signal.SIGINT,
    "SIGQUIT": signal.SIGQUIT,
    "SIGABRT": signal.SIGABRT,
}
PROGRAM = """
import sys
from pathlib import Path
from xlam_local.tools.sandbox.config import SandboxConfig
from xlam_local.tools.sandbox.process import run
from xlam_local.types import Sandbox
run(["/bin/sh", "-c", sys.argv[3]], SandboxConfig(Path(sys.argv[1]), Sandbox(sys.argv[2])))
"""


def wait_for(mark: str, running: bool, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while bool(processes_with(mark)) is not running:
        assert time.monotonic() < deadline, processes_with(mark)
        time.sleep(0.02)


def new_mark(number: int) -> str:
    return f"{9000 + number}.{os.getpid()}"


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.value)
@pytest.mark.parametrize("name", HIDING)
def test_no_process_stays_after_its_program(tmp_path: Path, level: Sandbox, name: str) -> None:
    mark = new_mark(list(HIDING).index(name))
    script = HIDING[name].format(mark=mark)
    started = time.monotonic()
    run(["/bin/sh", "-c", script], SandboxConfig(tmp_path, level))
    assert time.monotonic() - started < 5
    wait_for(mark, running=False)


@pytest.mark.parametrize("name", HIDING)
def test_no_process_stays_after_a_timeout(tmp_path: Path, name: str) -> None:
    mark = new_mark(100 + list(HIDING).index(name))
    script = HIDING[name].format(mark=mark) + "; sleep 60"
    sandbox = SandboxConfig(tmp_path, limits=Limits(timeout=0.6))
    assert run(["/bin/sh", "-c", script], sandbox).stop_reason == "time"
    wait_for(mark, running=False)


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.value)
@pytest.mark.parametrize("name", ENDS)
def test_no_process_stays_when_this_program_ends(tmp_path: Path, level: Sandbox, name: str) -> None:
    mark = new_mark(200 + list(ENDS).index(name))
    script = f"setsid env -i /bin/sleep {mark} & sleep {mark}"
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), level.value, script]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as program:
        wait_for(mark, running=True)
        program.send_signal(ENDS[name])
        program.wait(20)
    wait_for(mark, running=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "attack",
    ["kill -9 $PPID", "kill -STOP $PPID", "kill -9 0", "kill -STOP $PPID; kill -9 $$"],
)
def test_a_program_that_attacks_its_supervisor_is_ended(tmp_path: Path, attack: str) -> None:
    mark = new_mark(300 + len(attack))
    script = f"setsid sleep {mark} & sleep 0.2; {attack}; sleep 60"
    run(["/bin/sh", "-c", script], SandboxConfig(tmp_path, limits=Limits(timeout=1)))
    wait_for(mark, running=False, seconds=5)
