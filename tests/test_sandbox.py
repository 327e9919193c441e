from __future__ import annotations

import os
import socket
import sys
import time
import venv
from pathlib import Path

import pytest

from xlam_local.errors import ToolError
from xlam_local.tools import isolation, sandbox
from xlam_local.tools.isolation import Walls, profile
from xlam_local.tools.sandbox import Box, Limits, run
from xlam_local.types import Sandbox

LEVELS = [Sandbox.LIMITS]
if not sandbox.available(Sandbox.ISOLATED):
    LEVELS.append(Sandbox.ISOLATED)
isolated = pytest.mark.skipif(len(LEVELS) == 1, reason="programs cannot be isolated here")
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of other processes")


@pytest.fixture(params=LEVELS, ids=lambda level: level.value)
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Box:
    folder = tmp_path / "work"
    folder.mkdir()
    return Box(folder, request.param, Limits(seconds=10))


def limited(box: Box, **limits: float) -> Box:
    return Box(box.folder, box.level, Limits(**limits))  # type: ignore[arg-type]


def bearing(word: str) -> list[str]:
    """The processes with a word in their command line."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in place.read_bytes():
                found.append(place.parent.name)
        except OSError:
            continue
    return found


def test_what_a_program_says_comes_back(box: Box) -> None:
    done = run(["sh", "-c", "cat; echo err >&2; exit 3"], box, b"in")
    assert (done.code, done.out, done.err, done.stopped) == (3, b"in", b"err\n", "")


def test_it_runs_in_its_folder(box: Box) -> None:
    run(["sh", "-c", "echo x > file"], box)
    assert (box.folder / "file").read_text() == "x\n"


def test_no_word_of_a_command_is_read_by_a_shell(box: Box) -> None:
    done = run(["printf", "%s|", "a b", "$HOME", "`id`", "; ls", "*", '"'], box)
    assert done.out == b'a b|$HOME|`id`|; ls|*|"|'


def test_only_a_few_variables_reach_a_program(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "HF_TOKEN", "SSH_AUTH_SOCK", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("PATH", f".:relative:{os.environ['PATH']}")
    said = run(["env"], Box(box.folder, box.level, environment={"OWN": "1"})).out.decode()
    assert "secret" not in said
    assert "OWN=1" in said
    names = {line.partition("=")[0] for line in said.splitlines()}
    assert names <= {*sandbox.KEPT, "PATH", "TERM", "OWN", "PWD", sandbox.MARK}
    assert ".:" not in said


def test_without_a_sandbox_a_program_sees_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert b"secret" in run(["env"], Box(tmp_path, Sandbox.NONE)).out


def test_a_program_that_hangs_is_ended(box: Box) -> None:
    began = time.monotonic()
    assert run(["sleep", "100"], limited(box, seconds=0.3)).stopped == "time"
    assert time.monotonic() - began < 2


def test_a_program_that_closes_its_pipes_and_hangs_is_ended(box: Box) -> None:
    command = ["sh", "-c", "exec >&- 2>&-; sleep 100"]
    assert run(command, limited(box, seconds=0.3)).stopped == "time"


def test_a_program_that_floods_is_ended(box: Box) -> None:
    done = run(["yes"], limited(box, output=10_000))
    assert done.stopped == "output"
    assert len(done.out) == 10_000


def test_cpu_time_is_limited(box: Box) -> None:
    done = run([sys.executable, "-c", "while True: pass"], limited(box, cpu_seconds=1))
    assert done.code == -24


def test_memory_is_limited(box: Box) -> None:
    command = [sys.executable, "-c", "bytearray(600 << 20)"]
    assert b"MemoryError" in run(command, limited(box, memory=512 << 20)).err


def test_files_are_limited(box: Box) -> None:
    done = run(["sh", "-c", "yes > large"], limited(box, file_size=100_000))
    assert done.code != 0
    assert (box.folder / "large").stat().st_size <= 100_000


@linux
def test_nothing_of_a_program_goes_on(box: Box) -> None:
    began = time.monotonic()
    for command in (
        "sleep 7654 &",
        "setsid sleep 7654 & sleep 0.1",
        "(sleep 7654 &) ; exec sh -c :",
    ):
        run(["sh", "-c", command], box)
    assert time.monotonic() - began < 5
    assert not bearing("7654")


LEAF = 'exec sh -c "sleep 60; :" $0'
BOMBS = {
    "in its group": f"test $1 -gt 0 || {LEAF}; sh $0 $(($1 - 1)) & sh $0 $(($1 - 1)) & wait",
    "in groups of their own": f"test $1 -gt 0 || {LEAF}; "
    "setsid sh $0 $(($1 - 1)) & setsid sh $0 $(($1 - 1)) & wait",
    "one after the other": "test $1 -lt 2000 || exit 0; "
    "setsid sh $0 $(($1 + 1)) > /dev/null 2>&1 &",
}


@linux
@pytest.mark.parametrize("name", BOMBS)
def test_a_program_that_forks_and_forks_is_ended(box: Box, name: str) -> None:
    bomb = box.folder / "bomb"
    bomb.write_text(BOMBS[name])
    began = time.monotonic()
    run(["sh", str(bomb), "6"], limited(box, seconds=0.5))
    assert time.monotonic() - began < 6
    assert not bearing(str(bomb))
    time.sleep(0.3)
    assert not bearing(str(bomb))


@isolated
@pytest.mark.skipif(os.getuid() == 0, reason="root's processes are not counted")
def test_the_processes_of_an_isolated_program_are_counted(tmp_path: Path) -> None:
    code = "import os, time\nfor number in range(3000):\n  if not os.fork(): time.sleep(60)\n"
    done = run([sys.executable, "-c", code], Box(tmp_path, Sandbox.ISOLATED))
    assert b"BlockingIOError" in done.err


def test_a_program_has_no_terminal(box: Box) -> None:
    assert run(["sh", "-c", "echo x > /dev/tty"], box).code != 0


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("no-such-program", "There is no program 'no-such-program'"),
        ("./there", "There is no program"),
        ("a\0b", "There is no program|cannot be started"),
    ],
)
def test_what_cannot_be_started_is_told(box: Box, command: str, told: str) -> None:
    with pytest.raises(ToolError, match=told):
        run([command], box)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="cannot be started"):
        run(["true"], Box(tmp_path / "nope"))


@isolated
def test_an_isolated_program_sees_only_its_folder(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "secret").write_text("s3cr3t")
    (work / "hidden").mkdir()
    (work / "hidden" / "policy").write_text("p0l1cy")
    (work / "token").write_text("t0k3n")
    box = Box(work, Sandbox.ISOLATED, hidden=(work / "hidden", work / "token", work / "nope"))
    said = run(["sh", "-c", "cat ../secret hidden/* token; ls -A /tmp /run ~"], box)
    text = (said.out + said.err).decode()
    assert not any(word in text for word in ("s3cr3t", "p0l1cy", "t0k3n"))
    assert run(["sh", "-c", "touch /usr/x /etc/x || touch x"], box).code == 0
    assert (work / "x").exists()
    assert not Path("/usr/x").exists()


@isolated
def test_an_isolated_program_sees_itself_and_its_libraries(tmp_path: Path) -> None:
    venv.create(tmp_path / "prefix", symlinks=True)
    (tmp_path / "prefix" / "share").mkdir()
    (tmp_path / "prefix" / "share" / "secret").write_text("s3cr3t")
    work = tmp_path / "work"
    work.mkdir()
    python = str(tmp_path / "prefix" / "bin" / "python3")
    box = Box(work, Sandbox.ISOLATED)
    done = run([python, "-c", "import sys; print(sys.prefix)"], box)
    assert done.out.decode().strip() == str(tmp_path / "prefix"), done.err
    assert run([python, "-c", f"open('{tmp_path}/prefix/share/secret')"], box).code == 1
    assert not isolation.belongings(Path("/usr/bin/env"))


@isolated
def test_an_isolated_script_finds_the_python_of_its_environment(tmp_path: Path) -> None:
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
    done = run([str(tmp_path / "script")], Box(work, Sandbox.ISOLATED))
    assert b" ran " in done.out, done.err


@isolated
def test_an_isolated_program_has_no_network(tmp_path: Path) -> None:
    listing = [sys.executable, "-c", "import socket; print(len(socket.if_nameindex()))"]
    assert run(listing, Box(tmp_path, Sandbox.ISOLATED)).out.strip() == b"1"
    outside = len(socket.if_nameindex())
    said = run(listing, Box(tmp_path, Sandbox.ISOLATED, network=True)).out
    assert int(said) == outside


@isolated
def test_the_whole_system_is_no_folder_to_be_isolated_in() -> None:
    with pytest.raises(ToolError, match="whole system"):
        run(["true"], Box(Path("/"), Sandbox.ISOLATED))


@isolated
def test_an_isolated_program_sees_no_other_process(tmp_path: Path) -> None:
    assert (
        run(["sh", "-c", "ls /proc | grep -c '^[0-9]'"], Box(tmp_path, Sandbox.ISOLATED)).out < b"6"
    )


def test_the_strongest_level_is_one_that_there_is() -> None:
    assert sandbox.available(sandbox.strongest()) == ""
    assert sandbox.available(Sandbox.LIMITS) == ""


def test_a_mac_is_told_the_same() -> None:
    walls = Walls(Path("/work"), hidden=(Path("/work/x"),), readable=(Path("/opt/python"),))
    told = profile(walls)
    assert "(deny network*)" in told
    assert '(deny file* (subpath "/work/x"))' in told
    assert "(deny network*)" not in profile(Walls(Path("/work"), network=True))


def test_isolation_that_is_missing_is_told_in_a_sentence() -> None:
    why = isolation.why_not()
    assert why == "" or why.endswith(".")
