"""Attempts of a program at each sandbox level; SECURITY.md says which are held."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.tool_calls import CAN_ISOLATE
from tests.hostile.secrets import SECRET
from xlam_local.tools.sandbox.config import Limits, SandboxConfig
from xlam_local.tools.sandbox.process import CompletedProcess, run
from xlam_local.types import Sandbox

PAGE = (Path(__file__).parents[2] / "SECURITY.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (?P<attempt>[^|]+) \| (\S+) \| (\S+) \| (\S+) \|$", re.MULTILINE)
SECTION = PAGE.partition("### What each level holds")[2].partition("\n## ")[0]
TABLE = {
    row["attempt"]: [word.strip("*") for word in row.groups()[1:]]
    for row in ROW.finditer(SECTION)
    if row[2] in ("held", "**through**")
}
"""The cells of the table by attempt: `held` or `through` for each level."""
LIMITS = Limits(timeout=8, output_bytes=100_000)
Attempt = Callable[[SandboxConfig], bool]
"""Runs a program and returns whether it got through."""


def sh(sandbox: SandboxConfig, script: str) -> CompletedProcess:
    return run(["/bin/sh", "-c", script], sandbox)


def python(sandbox: SandboxConfig, code: str) -> CompletedProcess:
    return run([sys.executable, "-S", "-c", code], sandbox)


def prints_secret(script: str) -> Attempt:
    return lambda sandbox: SECRET.encode() in sh(sandbox, script).stdout


def leaves(name: str, script: str, text: str = "evil") -> Attempt:
    """Return an attempt that is through if a file holds a text afterwards."""

    def attempt(sandbox: SandboxConfig) -> bool:
        sh(sandbox, script)
        path = sandbox.cwd / name
        return path.is_file() and text in path.read_text()

    return attempt


def reach_port(sandbox: SandboxConfig) -> bool:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"import socket; socket.create_connection(('127.0.0.1', {port}), 3); print('yes')"
        return b"yes" in python(sandbox, code).stdout


def reach_socket(sandbox: SandboxConfig) -> bool:
    path = sandbox.cwd.parent / "s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        code = f"import socket; socket.socket(socket.AF_UNIX).connect({str(path)!r}); print('yes')"
        return b"yes" in python(sandbox, code).stdout


def see_process(sandbox: SandboxConfig) -> bool:
    shown = sh(sandbox, f"cat /proc/{os.getpid()}/cmdline").stdout
    return shown == Path("/proc/self/cmdline").read_bytes()


def end_process(sandbox: SandboxConfig) -> bool:
    with subprocess.Popen(["/bin/sleep", "30"]) as other:
        sh(sandbox, f"kill -9 {other.pid}")
        time.sleep(0.1)
        ended = other.poll() is not None
        other.kill()
    return ended


def use_memory(sandbox: SandboxConfig) -> bool:
    # Address space without memory behind it: the machine of a test may not have as much.
    reserve = "flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000"  # MAP_NORESERVE
    code = f"import mmap; mmap.mmap(-1, 5 << 30, {reserve}); print('yes')"
    return b"yes" in python(sandbox, code).stdout


def write_large_file(sandbox: SandboxConfig) -> bool:
    sh(sandbox, "truncate -s 300M large")
    path = sandbox.cwd / "large"
    return path.exists() and path.stat().st_size > 256 << 20


def print_without_end(sandbox: SandboxConfig) -> bool:
    return len(sh(sandbox, "yes").stdout) > LIMITS.output_bytes


def run_too_long(sandbox: SandboxConfig) -> bool:
    started = time.monotonic()
    sh(sandbox, "sleep 60")
    return time.monotonic() - started > LIMITS.timeout + 10


def leave_process(sandbox: SandboxConfig) -> bool:
    marker = f"30.{os.getpid()}"
    sh(sandbox, f"setsid sleep {marker} >/dev/null 2>&1 & exit 0")
    found = [path for path in Path("/proc").glob("[0-9]*/cmdline") if _has(path, marker)]
    return bool(found)


def _has(path: Path, text: str) -> bool:
    try:
        return text.encode() in path.read_bytes()
    except OSError:
        return False


ATTEMPTS: dict[str, Attempt] = {
    "read a file in another folder of yours": prints_secret("cat ../other/secret"),
    "read it through a link in the working folder": prints_secret("cat link/secret"),
    "change a file in another folder of yours": leaves("../other/f", "echo evil > ../other/f"),
    "change it through a link in the working folder": leaves("link/f", "echo evil > link/f"),
    "read xlam-local's settings in the working folder": prints_secret("cat config/policy.toml"),
    "change xlam-local's settings in the working folder": leaves(
        "config/policy.toml", "echo evil > config/policy.toml"
    ),
    "add a tool file to xlam-local's settings": leaves(
        "config/tools/x.py", "mkdir -p config/tools; echo evil > config/tools/x.py"
    ),
    "read your environment variables": prints_secret("env"),
    "connect to a port of this machine": reach_port,
    "connect to a Unix socket of yours": reach_socket,
    "change `.git/config`": leaves(".git/config", "echo evil > .git/config"),
    "add a Git hook": leaves(".git/hooks/post-commit", "echo evil > .git/hooks/post-commit"),
    "leave a new `Makefile` or `.envrc`": leaves("Makefile", "echo evil > Makefile"),
    "change other files in the working folder": leaves("sub/f", "echo evil > sub/f"),
    "run the programs of the system": leaves("sub/f", "cat /bin/sh > /dev/null; echo evil >sub/f"),
    "see your other processes": see_process,
    "end your other processes": end_process,
    "use more memory than 4 GiB in one process": use_memory,
    "write a file larger than 256 MiB": write_large_file,
    "print without end": print_without_end,
    "run longer than the timeout": run_too_long,
    "leave a process behind": leave_process,
}
LEVELS = [Sandbox.NONE, Sandbox.LIMITS, *([Sandbox.ISOLATED] if CAN_ISOLATE else [])]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with settings, a repository and a link to another folder."""
    top = tmp_path / "work"
    for name in ("work/.git/hooks", "work/config", "work/sub", "other"):
        (tmp_path / name).mkdir(parents=True)
    (top / ".git" / "config").write_text("[core]\n")
    (top / "config" / "policy.toml").write_text(SECRET)
    (tmp_path / "other" / "secret").write_text(SECRET)
    (top / "link").symlink_to("../other")
    monkeypatch.setenv("HF_TOKEN", SECRET)
    return top


def test_the_table_has_every_attempt() -> None:
    assert list(TABLE) == list(ATTEMPTS)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the table is about Linux")
@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.value)
@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_level_holds_what_the_table_says(work: Path, attempt: str, level: Sandbox) -> None:
    sandbox = SandboxConfig(work, level, LIMITS, hidden=(work / "config",))
    through = ATTEMPTS[attempt](sandbox)
    expected = TABLE[attempt][list(Sandbox).index(level)]
    assert ("through" if through else "held") == expected
