"""What an isolated program must not see, reach or change outside of its working folder."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import xlam_local
from tests.fakes.tool_calls import needs_isolation
from tests.hostile.secrets import SECRET
from xlam_local.errors import ToolError
from xlam_local.tools.safe_paths import SafeFolder
from xlam_local.tools.sandbox import bubblewrap, seccomp, system_paths
from xlam_local.tools.sandbox.config import Isolation, Limits, SandboxConfig
from xlam_local.tools.sandbox.process import CompletedProcess, run
from xlam_local.tools.sandbox.sandbox_exec import profile
from xlam_local.types import Sandbox

SECURITY = Path(__file__).parents[2] / "SECURITY.md"
pytestmark = needs_isolation
needs_filter = pytest.mark.skipif(not seccomp.filter_bytes(), reason="no filter for this machine")


@pytest.fixture
def sandbox(tmp_path: Path) -> SandboxConfig:
    work = tmp_path / "work"
    work.mkdir()
    return SandboxConfig(work, Sandbox.ISOLATED, Limits(timeout=20))


def shell(sandbox: SandboxConfig, script: str) -> CompletedProcess:
    return run(["/bin/sh", "-c", script], sandbox)


def python(sandbox: SandboxConfig, code: str) -> CompletedProcess:
    return run([sys.executable, "-c", code], sandbox)


def documented() -> set[str]:
    """Return the names in backquotes in the list of what isolated programs see."""
    _, _, rest = SECURITY.read_text().partition("<!-- isolated view: start -->")
    section, _, _ = rest.partition("<!-- isolated view: end -->")
    return set(re.findall(r"`([^`]+)`", section))


def test_all_that_an_isolated_program_sees_is_documented(sandbox: SandboxConfig) -> None:
    listing = shell(sandbox, "cd /; ls -dA * etc/* dev/* run/* var/*").stdout.decode().split()
    seen = {f"/{name}" for name in listing if not name.endswith("*")}
    own = {f"/{part}" for path in (sandbox.cwd, Path.home()) for part in path.parts[1:2]}
    prefixes = {f"/{Path(sys.base_prefix).parts[1]}", f"/{Path(sys.prefix).parts[1]}"}
    devices = {name for name in seen if name.startswith("/dev/")}
    assert seen - own - prefixes - devices <= documented()
    assert {Path(name).name for name in devices} <= documented()
    for name in (*system_paths.ETC_ENTRIES, *system_paths.NETWORK_ENTRIES):
        assert f"/etc/{name}" in documented()
    assert {*system_paths.SYSTEM_FOLDERS, *bubblewrap.WRITABLE_FOLDERS} <= documented()


FILES = [
    *("/etc/shadow", "/etc/ssh", "/etc/fstab", "/etc/machine-id", "/etc/hostname", "/etc/cron.d"),
    *("/etc/pip.conf", "/etc/npmrc", "/etc/gitconfig", "/etc/environment", "/etc/sudoers"),
    *("/var/log", "/var/lib", "/var/spool", "/var/cache", "/boot", "/opt", "/srv", "/mnt"),
    *("/media", "/sys", "/lost+found", "/dev/sda", "/dev/vda", "/dev/kmsg", "/dev/mem"),
    *("/run/systemd", "/run/user", "/run/docker.sock", "/run/dbus", "/dev/shm/x", "/mnt/shared"),
]


@pytest.mark.parametrize("path", FILES)
def test_a_path_of_the_system_is_not_there(sandbox: SandboxConfig, path: str) -> None:
    assert shell(sandbox, f"test ! -e {path}").exit_code == 0


@pytest.mark.parametrize(
    "script",
    [
        "touch /x",
        "touch /run/x",
        "touch /dev/x",
        "touch /var/x",
        "touch /etc/x",
        "touch /usr/x",
        "echo x >> /etc/passwd",
        "mkdir /home/other",
        "test -w /proc/sys/kernel/core_pattern",
        "test -w /proc/sysrq-trigger",
        "cat /proc/kcore",
        "cat /proc/keys",
    ],
)
def test_the_system_cannot_be_changed(sandbox: SandboxConfig, script: str) -> None:
    assert shell(sandbox, script).exit_code != 0


@pytest.mark.parametrize("folder", ["/tmp", "/var/tmp", "/dev/shm", "$HOME"])
def test_folders_in_memory_count_as_memory(sandbox: SandboxConfig, folder: str) -> None:
    limited = replace(sandbox, limits=Limits(memory_bytes=256 << 20))
    completed = shell(
        limited, f"head -c 128M /dev/zero > {folder}/large; stat -c %s {folder}/large"
    )
    assert int(completed.stdout) <= 64 << 20
    assert shell(sandbox, f"echo x > {folder}/small").exit_code == 0


@pytest.fixture
def listening(sandbox: SandboxConfig) -> Iterator[Path]:
    """A socket in the working folder, as of a database or an agent."""
    path = sandbox.cwd / "agent.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield path


@pytest.mark.parametrize("network", [False, True])
def test_a_socket_in_the_working_folder_cannot_be_reached(
    sandbox: SandboxConfig, listening: Path, network: bool
) -> None:
    code = f"import socket; socket.socket(socket.AF_UNIX).connect({str(listening)!r})"
    assert python(replace(sandbox, network=network), code).exit_code != 0


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount")
def test_another_file_system_in_the_working_folder_is_covered(sandbox: SandboxConfig) -> None:
    disk = sandbox.cwd / "disk with space"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", disk], check=False)
    if mounted.returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        (disk / "secret").write_text(SECRET)
        script = "cat disk*/secret; touch disk*/new"
        assert SECRET.encode() not in shell(sandbox, script).stdout
        assert not (disk / "new").exists()
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_linked_home_folder_is_not_visible(
    sandbox: SandboxConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, link = tmp_path / "disk" / "user", tmp_path / "home"
    real.mkdir(parents=True)
    (real / "secret").write_text(SECRET)
    link.symlink_to(real)
    monkeypatch.setenv("HOME", str(link))
    completed = shell(sandbox, f"cat ~/secret {real}/secret {link}/secret; ls -A ~")
    assert SECRET.encode() not in completed.stdout
    assert completed.stdout.strip() == b""


CALLS = {
    "keyctl": "call(250, 0, -3, 0)",
    "add_key": "call(248, b'user', b'x', b'x', 1, -3)",
    "request_key": "call(249, b'user', b'x', None, -3)",
    "unshare a user namespace": "call(272, 0x10000000)",
    "clone a user namespace": "call(56, 0x10000000 | 17, 0, 0, 0, 0)",
    "mount": "call(165, b'none', b'/tmp', b'tmpfs', 0, None)",
    "open_tree": "call(428, -100, b'/', 1)",
    "fsopen": "call(430, b'tmpfs', 0)",
    "io_uring": "call(425, 1, ctypes.create_string_buffer(120))",
    "bpf": "call(321, 0, None, 0)",
    "userfaultfd": "call(323, 1)",
    "perf_event_open": "call(298, None, 0, -1, -1, 0)",
    "ptrace": "call(101, 0, 0, 0, 0)",
    "setns": "call(308, 0, 0)",
    "open_by_handle_at": "call(304, -100, None, 0)",
    "chroot": "call(161, b'/tmp')",
    "a VSOCK socket": "call(41, 40, 1, 0)",
    "a packet socket": "call(41, 17, 3, 0)",
    "an ALG socket": "call(41, 38, 5, 0)",
    "TIOCSTI": "call(16, 0, 0x5412, b'x')",
    "x32": "call(0x40000000 | 39)",
    "clone3": "call(435, None, 0)",
}


@needs_filter
@pytest.mark.skipif(sys.platform != "linux" or os.uname().machine != "x86_64", reason="numbers")
def test_unusual_system_calls_are_denied(sandbox: SandboxConfig) -> None:
    code = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    return libc.syscall(*(ctypes.c_long(one) if isinstance(one, int) else one for one in arguments))
for text in sys.argv[1:]:
    ctypes.set_errno(0)
    print(eval(text), ctypes.get_errno())
"""
    completed = run([sys.executable, "-c", code, *CALLS.values()], sandbox)
    results = dict(zip(CALLS, completed.stdout.decode().split("\n"), strict=False))
    missing = {"x32", "clone3"}
    assert results == {name: "-1 38" if name in missing else "-1 1" for name in CALLS}


@needs_filter
def test_common_programs_work_within_the_filter(sandbox: SandboxConfig) -> None:
    code = """
import socket, subprocess, threading, tempfile, multiprocessing.dummy, ssl, pwd, os
socket.socketpair(); socket.socket(); socket.create_server(("127.0.0.1", 0))
ssl.create_default_context()
threading.Thread(target=print).start(); subprocess.run(["true"], check=True)
print(pwd.getpwuid(os.getuid()).pw_dir, socket.gethostbyname("localhost"), tempfile.gettempdir())
"""
    completed = python(sandbox, code)
    assert completed.exit_code == 0, completed.stderr
    assert b"127.0.0.1 /tmp" in completed.stdout


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "riscv64"])
def test_the_filter_of_each_machine_is_within_the_limits_of_the_kernel(machine: str) -> None:
    program = seccomp.filter_bytes(machine)
    assert len(program) % 8 == 0
    assert len(program) // 8 <= 4096
    assert bool(program) is (machine in seccomp.NUMBERS)


@pytest.mark.slow
def test_the_package_and_its_environment_are_read_only(tmp_path: Path) -> None:
    """The program is copied into the working folder and run from there."""
    work = tmp_path / "project"
    package = work / "xlam_local"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(xlam_local.__file__).parent, package, ignore=ignore)
    code = """
import sys
from pathlib import Path
from xlam_local.tools.sandbox.config import SandboxConfig
from xlam_local.tools.sandbox.process import run
from xlam_local.types import Sandbox
sandbox = SandboxConfig(Path(sys.argv[1]), Sandbox.ISOLATED)
for script in (
    "echo x > xlam_local/__init__.py", "echo x >> xlam_local/tools/toolbox.py",
    "rm xlam_local/errors.py", "echo x > xlam_local/new.py", "mv xlam_local other",
    "mkdir xlam_local/__pycache__; echo x > xlam_local/__pycache__/x.pyc", "echo x > allowed",
):
    print(run(["/bin/sh", "-c", script], sandbox).exit_code)
"""
    environment = {**os.environ, "PYTHONPATH": str(work), "PYTHONDONTWRITEBYTECODE": "1"}
    completed = subprocess.run(
        [sys.executable, "-c", code, str(work)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [int(line) > 0 for line in completed.stdout.split()] == [True] * 6 + [False]
    assert not (package / "new.py").exists()


@pytest.mark.parametrize(
    "name", ["__init__.py", "errors.py", "tools/toolbox.py", "new.py", "Errors.PY", "x/new.py"]
)
def test_no_tool_writes_code_of_this_program(name: str) -> None:
    package = Path(xlam_local.__file__).parent
    for root in (package.parent, package):
        path = str((package / name).relative_to(root))
        with pytest.raises(ToolError, match="must not change it"):
            SafeFolder.from_path(root).write(path, b"")


@pytest.mark.parametrize("folder", ["/", "/etc", "/usr", "/var", "/home", "/opt"])
def test_no_program_is_isolated_in_a_folder_of_the_system(folder: str) -> None:
    with pytest.raises(ToolError, match="as its working folder"):
        run(["/bin/true"], SandboxConfig(Path(folder), Sandbox.ISOLATED))


@pytest.mark.parametrize(
    "rule",
    [
        '(deny file-read* (subpath "/Users"))',
        '(deny file-read* (subpath "/Volumes"))',
        '(deny file-read* (subpath "/private/tmp"))',
        '(deny file-write* (subpath "/work/.git"))',
        '(deny file* (subpath "/work/.netrc"))',
        "(deny network*)",
        "(deny appleevent-send)",
        "(deny job-creation)",
        "(deny signal (target others))",
        '(deny mach-lookup (global-name "com.apple.pasteboard.1"))',
    ],
)
def test_the_profile_for_macos_has_a_rule(rule: str) -> None:
    cwd = Path("/work")
    isolation = Isolation(cwd, hidden=(cwd / ".netrc",), read_only=(cwd / ".git",))
    lines = profile(isolation, cwd).splitlines()
    assert rule in lines
    if "/work" in rule:
        assert lines.index(rule) > lines.index('(allow file-read* (subpath "/work"))')


def test_the_profile_for_macos_keeps_unix_sockets_denied_with_the_network() -> None:
    lines = profile(Isolation(Path("/work"), network=True), Path("/work")).splitlines()
    assert "(deny network* (local unix-socket) (remote unix-socket))" in lines
    assert "(deny network*)" not in lines
