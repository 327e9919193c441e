from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import venv
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.tool_calls import CAN_ISOLATE, needs_isolation
from xlam_local.errors import ToolError
from xlam_local.tools.sandbox import config, descendants, isolation, sandbox_exec
from xlam_local.tools.sandbox.config import Isolation, Limits, SandboxConfig
from xlam_local.tools.sandbox.process import run
from xlam_local.types import Sandbox

LEVELS = [Sandbox.LIMITS, *([Sandbox.ISOLATED] if CAN_ISOLATE else [])]
needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


@pytest.fixture(params=LEVELS, ids=lambda level: level.value)
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> SandboxConfig:
    folder = tmp_path / "work"
    folder.mkdir()
    return SandboxConfig(folder, request.param, Limits(timeout=10))


def processes_with(argument: str) -> list[str]:
    """Return the PIDs of the processes with some text in their command line."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if argument.encode() in path.read_bytes():
                pids.append(path.parent.name)
        except OSError:
            continue
    return pids


def test_input_output_and_exit_code_are_passed(sandbox: SandboxConfig) -> None:
    completed = run(["sh", "-c", "cat; echo err >&2; exit 3"], sandbox, b"in")
    assert (completed.exit_code, completed.stdout, completed.stderr) == (3, b"in", b"err\n")
    assert completed.stop_reason == ""


def test_a_program_runs_in_the_working_folder(sandbox: SandboxConfig) -> None:
    run(["sh", "-c", "echo x > file"], sandbox)
    assert (sandbox.cwd / "file").read_text() == "x\n"


def test_no_shell_reads_the_arguments(sandbox: SandboxConfig) -> None:
    completed = run(["printf", "%s|", "a b", "$HOME", "`id`", "; ls", "*", '"'], sandbox)
    assert completed.stdout == b'a b|$HOME|`id`|; ls|*|"|'


def test_a_program_inherits_only_a_few_variables(
    sandbox: SandboxConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "HF_TOKEN", "SSH_AUTH_SOCK", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("PATH", f".:relative:{os.environ['PATH']}")
    output = run(["env"], replace(sandbox, env={"OWN": "1"})).stdout.decode()
    assert "secret" not in output
    assert "OWN=1" in output
    names = {line.partition("=")[0] for line in output.splitlines()}
    allowed = {"PATH", "TERM", "OWN", "PWD", descendants.RUN_ID_VARIABLE}
    assert names <= {*config.INHERITED_VARIABLES, *allowed}
    assert ".:" not in output


def test_without_a_sandbox_a_program_inherits_all_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert b"secret" in run(["env"], SandboxConfig(tmp_path, Sandbox.NONE)).stdout


def test_a_program_that_hangs_is_killed(sandbox: SandboxConfig) -> None:
    start = time.monotonic()
    limits = Limits(timeout=0.3)
    assert run(["sleep", "100"], replace(sandbox, limits=limits)).stop_reason == "time"
    assert time.monotonic() - start < 2


def test_a_program_that_closes_its_pipes_and_hangs_is_killed(sandbox: SandboxConfig) -> None:
    command = ["sh", "-c", "exec >&- 2>&-; sleep 100"]
    limits = Limits(timeout=0.3)
    assert run(command, replace(sandbox, limits=limits)).stop_reason == "time"


def test_output_is_limited(sandbox: SandboxConfig) -> None:
    completed = run(["yes"], replace(sandbox, limits=Limits(output_bytes=10_000)))
    assert completed.stop_reason == "output"
    assert len(completed.stdout) == 10_000


@pytest.mark.slow
def test_cpu_time_is_limited(sandbox: SandboxConfig) -> None:
    command = [sys.executable, "-c", "while True: pass"]
    completed = run(command, replace(sandbox, limits=Limits(cpu_seconds=1)))
    assert completed.exit_code == -24


def test_memory_is_limited(sandbox: SandboxConfig) -> None:
    command = [sys.executable, "-c", "bytearray(600 << 20)"]
    completed = run(command, replace(sandbox, limits=Limits(memory_bytes=512 << 20)))
    assert b"MemoryError" in completed.stderr


def test_the_size_of_files_is_limited(sandbox: SandboxConfig) -> None:
    limits = Limits(file_bytes=100_000)
    completed = run(["sh", "-c", "yes > large"], replace(sandbox, limits=limits))
    assert completed.exit_code != 0
    assert (sandbox.cwd / "large").stat().st_size <= 100_000


@needs_proc
def test_no_descendant_stays_running(sandbox: SandboxConfig) -> None:
    start = time.monotonic()
    for command in (
        "sleep 7654 &",
        "setsid sleep 7654 & sleep 0.1",
        "(sleep 7654 &) ; exec sh -c :",
    ):
        run(["sh", "-c", command], sandbox)
    assert time.monotonic() - start < 5
    assert not processes_with("7654")


@pytest.mark.slow
def test_no_program_outlives_this_process(tmp_path: Path) -> None:
    code = """
import sys, threading, time
from pathlib import Path
from xlam_local.tools.sandbox import process
from xlam_local.tools.sandbox.config import SandboxConfig
sandbox = SandboxConfig(Path(sys.argv[1]))
threading.Thread(target=process.run, args=(["sleep", "6543"], sandbox), daemon=True).start()
while not process.RUNNING: time.sleep(0.01)
print(next(iter(process.RUNNING)).popen.pid)
"""
    completed = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.kill(int(completed.stdout), 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("The program is still running.")


LEAF = 'exec sh -c "sleep 60; :" $0'
FORK_BOMBS = {
    "in its group": f"test $1 -gt 0 || {LEAF}; sh $0 $(($1 - 1)) & sh $0 $(($1 - 1)) & wait",
    "in groups of their own": f"test $1 -gt 0 || {LEAF}; "
    "setsid sh $0 $(($1 - 1)) & setsid sh $0 $(($1 - 1)) & wait",
    "one after the other": "test $1 -lt 2000 || exit 0; "
    "setsid sh $0 $(($1 + 1)) > /dev/null 2>&1 &",
}


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("name", FORK_BOMBS)
def test_a_fork_bomb_is_killed(sandbox: SandboxConfig, name: str) -> None:
    bomb = sandbox.cwd / "bomb"
    bomb.write_text(FORK_BOMBS[name])
    start = time.monotonic()
    run(["sh", str(bomb), "6"], replace(sandbox, limits=Limits(timeout=0.5)))
    assert time.monotonic() - start < 6
    assert not processes_with(str(bomb))
    time.sleep(0.3)
    assert not processes_with(str(bomb))


@needs_isolation
@pytest.mark.skipif(os.getuid() == 0, reason="the processes of root are not limited")
def test_the_processes_of_an_isolated_program_are_limited(tmp_path: Path) -> None:
    code = "import os, time\nfor number in range(3000):\n  if not os.fork(): time.sleep(60)\n"
    completed = run([sys.executable, "-c", code], SandboxConfig(tmp_path, Sandbox.ISOLATED))
    assert b"BlockingIOError" in completed.stderr


def test_a_program_has_no_terminal(sandbox: SandboxConfig) -> None:
    assert run(["sh", "-c", "echo x > /dev/tty"], sandbox).exit_code != 0


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("no-such-program", "There is no program 'no-such-program'"),
        ("./there", "There is no program"),
        ("a\0b", "There is no program|cannot be started"),
    ],
)
def test_a_program_that_cannot_be_started_raises_an_error(
    sandbox: SandboxConfig, command: str, message: str
) -> None:
    with pytest.raises(ToolError, match=message):
        run([command], sandbox)


def test_a_missing_working_folder_raises_an_error(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="cannot be started"):
        run(["true"], SandboxConfig(tmp_path / "nope"))


@needs_isolation
def test_an_isolated_program_sees_only_its_folder(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "secret").write_text("s3cr3t")
    (work / "hidden").mkdir()
    (work / "hidden" / "policy").write_text("p0l1cy")
    (work / "token").write_text("t0k3n")
    hidden = (work / "hidden", work / "token", work / "nope")
    sandbox = SandboxConfig(work, Sandbox.ISOLATED, hidden=hidden)
    completed = run(["sh", "-c", "cat ../secret hidden/* token; ls -A /tmp /run ~"], sandbox)
    output = (completed.stdout + completed.stderr).decode()
    assert not any(word in output for word in ("s3cr3t", "p0l1cy", "t0k3n"))
    assert run(["sh", "-c", "touch /usr/x /etc/x || touch x"], sandbox).exit_code == 0
    assert (work / "x").exists()
    assert not Path("/usr/x").exists()


@needs_isolation
def test_an_isolated_program_can_read_itself_and_its_libraries(tmp_path: Path) -> None:
    venv.create(tmp_path / "prefix", symlinks=True)
    (tmp_path / "prefix" / "share").mkdir()
    (tmp_path / "prefix" / "share" / "secret").write_text("s3cr3t")
    work = tmp_path / "work"
    work.mkdir()
    python = str(tmp_path / "prefix" / "bin" / "python3")
    sandbox = SandboxConfig(work, Sandbox.ISOLATED)
    completed = run([python, "-c", "import sys; print(sys.prefix)"], sandbox)
    assert completed.stdout.decode().strip() == str(tmp_path / "prefix"), completed.stderr
    read_secret = [python, "-c", f"open('{tmp_path}/prefix/share/secret')"]
    assert run(read_secret, sandbox).exit_code == 1
    assert not isolation.required_paths(Path("/usr/bin/env"))


@needs_isolation
def test_an_isolated_script_can_read_the_python_of_its_environment(tmp_path: Path) -> None:
    base, environment = tmp_path / "base" / "bin", tmp_path / "environment"
    base.mkdir(parents=True)
    (base / "python").write_text("#!/bin/sh\necho $0 ran $1\n")
    (base / "python").chmod(0o755)
    (environment / "bin").mkdir(parents=True)
    (environment / "pyvenv.cfg").write_text(f"home = {base}\n")
    (environment / "bin" / "python").symlink_to(base / "python")
    script = environment / "bin" / "script"
    script.write_text(f"#!{environment}/bin/python\n")
    script.chmod(0o755)
    (tmp_path / "script").symlink_to(script)
    work = tmp_path / "work"
    work.mkdir()
    completed = run([str(tmp_path / "script")], SandboxConfig(work, Sandbox.ISOLATED))
    assert b" ran " in completed.stdout, completed.stderr


@needs_isolation
def test_an_isolated_program_has_no_network(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import socket; print(len(socket.if_nameindex()))"]
    sandbox = SandboxConfig(tmp_path, Sandbox.ISOLATED)
    assert run(command, sandbox).stdout.strip() == b"1"
    with_network = run(command, replace(sandbox, network=True)).stdout
    assert int(with_network) == len(socket.if_nameindex())


@needs_isolation
def test_the_root_folder_cannot_be_the_folder_of_an_isolated_program() -> None:
    with pytest.raises(ToolError, match="with / as its working folder"):
        run(["true"], SandboxConfig(Path("/"), Sandbox.ISOLATED))


@needs_isolation
def test_an_isolated_program_sees_no_other_processes(tmp_path: Path) -> None:
    command = ["sh", "-c", "ls /proc | grep -c '^[0-9]'"]
    assert run(command, SandboxConfig(tmp_path, Sandbox.ISOLATED)).stdout < b"6"


def test_the_best_available_level_is_available() -> None:
    assert isolation.unavailable_reason(isolation.best_available()) == ""
    assert isolation.unavailable_reason(Sandbox.LIMITS) == ""


def test_the_profile_for_macos_has_the_same_rules() -> None:
    rules = Isolation(Path("/work"), hidden=(Path("/work/x"),), readable=(Path("/opt/python"),))
    profile = sandbox_exec.profile(rules, rules.cwd)
    assert "(deny network*)" in profile
    assert '(deny file* (subpath "/work/x"))' in profile
    assert "(deny network*)" not in sandbox_exec.profile(
        Isolation(Path("/work"), network=True), Path("/work")
    )


def test_the_reason_why_isolation_is_missing_is_a_sentence() -> None:
    reason = isolation.unavailable_reason(Sandbox.ISOLATED)
    assert reason == "" or reason.endswith(".")
