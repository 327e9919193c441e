"""Stdio servers must not stay running, however this program ends; they are stopped gently."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fakes.mcp_servers import SERVER, entry, opened, running, source, written
from tests.fakes.proc import processes_with
from xlam_local.tools.mcp.stdio_transport import STOP_TIMEOUT_S

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
ENDS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
PROGRAM = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it in all that it starts
from xlam_local.tools.mcp import McpClients
top = Path(sys.argv[1])
with McpClients.open(top / "mcp.json", top / "state", top / "data") as servers:
    servers.start()
    servers.wait(30)
    print(servers.sources[0].state, flush=True)
    time.sleep(600)
"""


def wait_for_end(mark: str, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while left := processes_with(mark):
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def end_program(top: Path, end: signal.Signals, mode: str, mark: Path) -> None:
    """Run a program with a server, and send it a signal when the server has listed its tools."""
    written(top, one=entry(mode, str(mark)))
    command = [sys.executable, "-c", PROGRAM, str(top)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"untrusted\n"
        assert processes_with(str(mark))
        program.send_signal(end)
        try:
            program.wait(20)
        finally:
            program.kill()


def notes(mark: Path) -> dict[str, float]:
    """Return what the server has noted, and when."""
    lines = [line.split(" ", 1) for line in mark.read_text().splitlines()]
    return {text: float(moment) for moment, text in lines}


@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.name)
@pytest.mark.parametrize("mode", ["stubborn", "stubborn-child"])
def test_no_server_stays_when_this_program_ends(
    tmp_path: Path, mode: str, end: signal.Signals
) -> None:
    mark = tmp_path / "mark"
    end_program(tmp_path, end, mode, mark)
    wait_for_end(str(mark))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["stubborn", "stubborn-child", "stopping"])
def test_no_server_stays_after_its_stop(tmp_path: Path, mode: str) -> None:
    mark = str(tmp_path / "mark")
    with running(tmp_path, mode, mark) as servers:
        assert source(servers).state == "ready"
        assert processes_with(mark)
    wait_for_end(mark, 1)


@pytest.mark.slow
def test_a_server_has_time_to_end_when_this_program_is_killed(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    end_program(tmp_path, signal.SIGKILL, "orderly", mark)
    wait_for_end(str(mark))
    said = notes(mark)
    assert list(said) == ["end of input", "SIGTERM"]
    assert said["SIGTERM"] - said["end of input"] >= STOP_TIMEOUT_S * 0.9


@pytest.mark.slow
def test_a_server_has_time_to_end_when_it_is_stopped(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with running(tmp_path, "orderly", str(mark)) as servers:
        pipe = servers.clients["one"]._process
        assert pipe is not None
    said = notes(mark)
    assert list(said) == ["end of input", "SIGTERM"]
    assert said["SIGTERM"] - said["end of input"] >= STOP_TIMEOUT_S * 0.9
    assert pipe.process.returncode == 5


@pytest.mark.slow
def test_a_server_that_ends_with_its_input_is_not_kept_waiting(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    end_program(tmp_path, signal.SIGKILL, "good", mark)
    started = time.monotonic()
    wait_for_end(str(mark))
    assert time.monotonic() - started < STOP_TIMEOUT_S


def test_a_server_that_floods_is_killed_at_once(tmp_path: Path) -> None:
    mark = str(tmp_path / "mark")
    with opened(tmp_path, one=entry("yes", mark)) as servers:
        servers.start()
        servers.wait(30)
        wait_for_end(mark, STOP_TIMEOUT_S)
        assert "It is not an MCP server" in source(servers).detail


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("no-such-program", "'no-such-program' was not found."),
        ("/no/such/program", "'/no/such/program' was not found."),
        ("${HOME}", " cannot be run: it is not an executable file."),
        ("FOLDER/text", "text' cannot be run: it is not an executable file."),
        ("FOLDER/other", "It ended with exit code 126; the last line of its stderr is"),
    ],
)
def test_a_program_that_cannot_be_run_is_a_sentence(
    tmp_path: Path, command: str, told: str
) -> None:
    (tmp_path / "text").write_text("x")
    (tmp_path / "other").write_bytes(b"\x7fELF")
    (tmp_path / "other").chmod(0o755)
    program = command.replace("FOLDER", str(tmp_path))
    with opened(tmp_path, one={"command": program, "args": []}) as servers:
        servers.start()
        servers.wait(30)
        assert source(servers).state == "failed"
        assert told in source(servers).detail


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_the_signal_that_ended_a_server_is_told(tmp_path: Path, number: signal.Signals) -> None:
    mark = str(tmp_path / "mark")
    with running(tmp_path, "good", mark) as servers:
        server = next(
            pid for pid in processes_with(mark) if supervisor_of(pid) in processes_with(mark)
        )
        os.kill(server, number)
        deadline = time.monotonic() + 10
        while not (detail := source(servers).detail):  # the server's end is read before its cause
            assert time.monotonic() < deadline
            time.sleep(0.02)
        wait_for_end(mark)
        assert f"It was killed by {number.name}" in detail


def supervisor_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_server_is_found_on_its_own_path(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "my-server").symlink_to(sys.executable)
    own = {"command": "my-server", "args": [SERVER], "env": {"PATH": str(tmp_path / "bin")}}
    with opened(tmp_path, one=own) as servers:
        servers.start()
        servers.wait(30)
        assert source(servers).state == "untrusted"
