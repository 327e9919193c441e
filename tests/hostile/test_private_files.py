"""Files with the user's data: readable by their owner only, and nothing is left beside them."""

from __future__ import annotations

import logging
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from tests.fakes.command_line import run
from tests.fakes.tool_calls import run as run_tool
from xlam_local import atomic_file, config
from xlam_local.cli import log_file
from xlam_local.engine.prompt_cache import PromptCache
from xlam_local.history import Conversation, History
from xlam_local.models import Store, licenses
from xlam_local.permissions import Grant
from xlam_local.permissions.approver import save_grant
from xlam_local.tools.builtin.notes import note_tools
from xlam_local.tools.enabled import EnabledTools
from xlam_local.tools.mcp.trust import TrustedTools
from xlam_local.tools.python.worker import ToolCode, Worker
from xlam_local.tools.result_files import result_saver
from xlam_local.tools.safe_paths import SafeFolder
from xlam_local.tools.sandbox.config import SandboxConfig
from xlam_local.tools.trust import TrustStore
from xlam_local.tui import clipboard
from xlam_local.types import UserMessage


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    """Let every program create files that all can write, as on some shared machines."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def exposed(top: Path) -> list[str]:
    """Return the files and folders that others can read or change."""
    return [f"{path}: {mode(path):o}" for path in (top, *top.rglob("*")) if mode(path) & 0o077]


TOOL = """
from xlam_local import tool

@tool
def shout(text: str) -> str:
    print(text)
    return text
"""
"""A Python tool, whose output is logged."""


def write_history(top: Path) -> None:
    history = History(top / "data" / "history.db")
    Conversation(history).append(UserMessage("secret"))
    assert exposed(top) == []  # while it is open, with its log of changes
    history.close()


def write_log(top: Path) -> None:
    log = logging.getLogger("xlam_local")
    before = log.handlers, log.level, log.propagate
    log_file.start(top)
    handler = log.handlers[0]
    assert isinstance(handler, logging.handlers.RotatingFileHandler)
    log.info("secret")
    handler.doRollover()
    log.info("more")
    handler.close()
    log.handlers, log.level, log.propagate = before


def write_tool_log(top: Path) -> None:
    code = ToolCode("x.py", TOOL, "", "", "")
    worker = Worker(code, SandboxConfig(top), top / "logs" / "x.log")
    worker.tools()
    worker.close()


def write_notes(top: Path) -> None:
    run_tool(note_tools(top / "data" / "notes.jsonl")[0], text="secret")


def write_clipboard(top: Path) -> None:
    clipboard.copy("secret", lambda _text: None, top / "state", {"TERM": "dumb", "PATH": ""})


def write_prompt_cache(top: Path) -> None:
    cache = PromptCache(top / "cache" / "prompts", "key", "tiny", 1 << 20)
    cache.save([1], np.zeros(10, dtype=np.uint8))


WRITERS: dict[str, Callable[[Path], object]] = {
    "history": write_history,
    "log": write_log,
    "tool log": write_tool_log,
    "notes": write_notes,
    "copied text": write_clipboard,
    "prompt cache": write_prompt_cache,
    "result": lambda top: result_saver(top / "state" / "results")("tool", "secret"),
    "settings": lambda top: config.save(top / "config" / "config.toml", "theme", "nord"),
    "policy": lambda top: save_grant(top / "config" / "policy.toml", Grant("f")),
    "trust": lambda top: TrustStore(top / "data" / "trust.json").trust("0", "x.py"),
    "server trust": lambda top: TrustedTools(top / "data" / "m.json").trust("s", "x", {}),
    "enabled": lambda top: EnabledTools.load(top / "c" / "tools.json", ()).set("f", False),
    "licenses": lambda top: licenses.accept(
        [licenses.License("x", "", "", "")], Store.from_folders(top / "config", top / "data")
    ),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_is_created_for_its_owner_only(name: str, tmp_path: Path) -> None:
    top = tmp_path / "home"
    WRITERS[name](top)
    assert any(path.is_file() for path in top.rglob("*"))
    assert exposed(top) == []


@pytest.mark.slow
def test_commands_create_private_files_only(own_folders: Path, tmp_path: Path) -> None:
    (tmp_path / "shout.py").write_text(TOOL)
    (tmp_path / "talk.json").write_text('[{"role": "user", "content": "secret"}]')
    for words in (
        ["tools", "add", str(tmp_path / "shout.py"), "--trust"],
        ["tools", "test", "shout", '{"text": "secret"}'],
        ["tools", "enable", "add_note"],
        ["tools", "test", "add_note", '{"text": "secret"}'],
        ["history", "import", str(tmp_path / "talk.json")],
        ["history", "rename", "1", "secret"],
    ):
        done = run(*words)
        assert done.returncode == 0, done.stderr
    names = {path.name for path in own_folders.rglob("*") if path.is_file()}
    assert names >= {"shout.py", "shout.log", "trust.json", "tools.json", "notes.jsonl"}
    assert exposed(own_folders) == []


def test_a_file_keeps_the_mode_that_its_owner_gave_it(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.touch(0o640)
    save_grant(path, Grant("f"))
    assert mode(path) == 0o640
    for private in (0o600, 0o400):
        path.chmod(private)
        save_grant(path, Grant("g"))
        assert mode(path) == private


@pytest.mark.parametrize("kind", ["device", "named pipe", "folder"])
def test_what_is_no_file_is_never_replaced(kind: str, tmp_path: Path) -> None:
    target, path = tmp_path / "target", tmp_path / "config.toml"
    if kind == "device":
        target = Path("/dev/full")
    else:
        target.mkdir() if kind == "folder" else os.mkfifo(target)
    path.symlink_to(target)
    before = target.stat()
    with pytest.raises(OSError, match="not a regular file"):
        atomic_file.write_text(path, "x")
    assert os.path.samestat(target.stat(), before)
    assert {one.name for one in tmp_path.iterdir()} <= {"target", "config.toml"}


def test_a_log_on_a_full_disk_is_not_written_and_no_traceback(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "xlam-local.log").symlink_to("/dev/full")
    log = logging.getLogger("xlam_local")
    before = log.handlers, log.level, log.propagate
    log_file.start(tmp_path)
    log.warning("secret")
    handler = log.handlers[0]
    log.handlers, log.level, log.propagate = before
    with suppress(OSError):
        handler.close()
    assert capfd.readouterr() == ("", "")


def test_a_result_on_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    line = "import resource, signal, sys; from pathlib import Path; "
    line += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    line += "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); "
    line += "from xlam_local.tools.result_files import result_saver; "
    line += "assert result_saver(Path(sys.argv[1]))('f', 'x' * 1000) == ''"
    subprocess.run([sys.executable, "-c", line, str(tmp_path / "results")], check=True)
    assert list((tmp_path / "results").iterdir()) == []


# Temporary files: a kill at any step of a write leaves none after the next write.

KILLED_WRITE = """
import os, signal, sys
from pathlib import Path
from xlam_local import atomic_file

def kill(*_given):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(sys.modules[sys.argv[2]], sys.argv[3], kill)
atomic_file.write_text(Path(sys.argv[1]), "new" * 10_000)
"""


@pytest.mark.parametrize(
    ("module", "function"),
    [("os", "fdopen"), ("os", "fchmod"), ("os", "fsync"), ("fcntl", "flock")],
)
def test_a_killed_write_leaves_nothing_after_the_next(
    module: str, function: str, tmp_path: Path
) -> None:
    path = tmp_path / "config.toml"
    path.write_text("theme = 'nord'\n")
    command = [sys.executable, "-c", KILLED_WRITE, str(path), module, function]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert path.read_text() == "theme = 'nord'\n"
    config.save(path, "context", 1024)
    assert list(tmp_path.iterdir()) == [path]
    assert config.load(path).theme == "nord"


def test_a_killed_write_of_a_tool_leaves_nothing_after_the_next(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from xlam_local.tools.safe_paths import SafeFolder\n"
        "os.replace = lambda *_a, **_k: os.kill(os.getpid(), signal.SIGKILL)\n"
        "SafeFolder.from_path(Path(sys.argv[1])).write('a.txt', b'new')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    SafeFolder.from_path(tmp_path).write("a.txt", b"second")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("left", ["file", "link to a file", "dangling link"])
def test_what_lies_at_the_name_of_a_temporary_file_is_not_written_to(
    left: str, tmp_path: Path
) -> None:
    victim, path = tmp_path / "victim", tmp_path / "config" / "policy.toml"
    path.parent.mkdir()
    temporary = path.with_name(".policy.toml.new")
    if left == "file":
        temporary.write_text("old")
    else:
        temporary.symlink_to(victim)
    if left == "link to a file":
        victim.write_text("precious")
    atomic_file.write_text(path, "new")
    assert path.read_text() == "new"
    assert not path.is_symlink()
    assert not victim.exists() or victim.read_text() == "precious"
    assert [one.name for one in path.parent.iterdir()] == ["policy.toml"]


@pytest.mark.parametrize("fault", ["full disk", "no such character", "interrupt"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(fault: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("old")
    if fault == "full disk":
        # A file size limit fails as a full disk does.
        line = "import resource, signal, sys; from pathlib import Path; "
        line += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        line += "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); "
        line += "from xlam_local import atomic_file; "
        line += "atomic_file.write_text(Path(sys.argv[1]), 'x' * 1000)"
        done = subprocess.run(
            [sys.executable, "-c", line, str(path)], check=False, capture_output=True
        )
        assert b"File too large" in done.stderr
    elif fault == "no such character":
        with pytest.raises(OSError, match="half of a surrogate pair"):
            atomic_file.write_text(path, "\ud800")
    else:
        with pytest.raises(KeyboardInterrupt), atomic_file.exclusive(path):
            raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
