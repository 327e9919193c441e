"""Several instances that write the same files at once, and a policy file that goes away."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from tests.fakes.fake_user import FakeUser, call_results, scripted_call
from xlam_local import atomic_file, config
from xlam_local.models import Store, licenses
from xlam_local.permissions import Grant
from xlam_local.permissions.approver import Approver, save_grant
from xlam_local.tools.builtin.notes import note_tools
from xlam_local.tools.enabled import EnabledTools
from xlam_local.tools.mcp.trust import TrustedTools
from xlam_local.tools.trust import TrustStore
from xlam_local.types import AllowOnce, Effect, Tool

WRITERS = ("a", "b", "c")
WRITES = 12
SETTING_OF = {"a": "system", "b": "max_steps", "c": "context"}


def write_grants(folder: Path, writer: str) -> None:
    for number in range(WRITES):
        save_grant(folder / "policy.toml", Grant(f"{writer}{number}"))


def read_grants(folder: Path) -> set[str]:
    return {grant["tool"] for grant in tomllib.loads((folder / "policy.toml").read_text())["grant"]}


def write_trust(folder: Path, writer: str) -> None:
    store = TrustStore(folder / "trust.json")
    for number in range(WRITES):
        store.trust(f"{writer}{number}", "x.py")


def read_trust(folder: Path) -> set[str]:
    return set(json.loads((folder / "trust.json").read_text()))


def write_server_trust(folder: Path, writer: str) -> None:
    store = TrustedTools(folder / "mcp-trust.json")
    for number in range(WRITES):
        store.trust(f"{writer}{number}", "launch", {})


def read_server_trust(folder: Path) -> set[str]:
    return set(json.loads((folder / "mcp-trust.json").read_text()))


def write_choices(folder: Path, writer: str) -> None:
    enabled = EnabledTools.load(folder / "tools.json", ())
    for number in range(WRITES):
        enabled.set(f"{writer}{number}", False)


def read_choices(folder: Path) -> set[str]:
    return set(EnabledTools.load(folder / "tools.json", ()).overrides)


def write_notes(folder: Path, writer: str) -> None:
    add, _ = note_tools(folder / "notes.jsonl")
    assert add.run is not None
    for number in range(WRITES):
        add.run(text=f"{writer}{number}")


def read_notes(folder: Path) -> set[str]:
    lines = (folder / "notes.jsonl").read_text().splitlines()
    return {json.loads(line)["text"] for line in lines}


def write_settings(folder: Path, writer: str) -> None:
    for number in range(WRITES):
        value: object = f"{number}" if writer == "a" else 1000 + number
        config.save(folder / "config.toml", SETTING_OF[writer], value)


def read_settings(folder: Path) -> set[str]:
    last = {"system": f"{WRITES - 1}", "max_steps": 999 + WRITES, "context": 999 + WRITES}
    assert tomllib.loads((folder / "config.toml").read_text()) == last
    return {f"{writer}{number}" for writer in WRITERS for number in range(WRITES)}


def write_licenses(folder: Path, writer: str) -> None:
    store = Store.from_folders(folder, folder)
    for number in range(WRITES):
        licenses.accept([licenses.License(f"{writer}{number}", "", "", "")], store)


def read_licenses(folder: Path) -> set[str]:
    return set(json.loads((folder / "licenses.json").read_text()))


FILES: dict[str, tuple[Callable[[Path, str], None], Callable[[Path], set[str]]]] = {
    "policy": (write_grants, read_grants),
    "trust": (write_trust, read_trust),
    "trust in servers": (write_server_trust, read_server_trust),
    "enabled tools": (write_choices, read_choices),
    "notes": (write_notes, read_notes),
    "settings": (write_settings, read_settings),
    "licenses": (write_licenses, read_licenses),
}


@pytest.fixture(scope="module")
def instances() -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(WRITERS), context) as pool:
        yield pool


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_instances_that_write_at_once_lose_nothing(
    name: str, tmp_path: Path, instances: ProcessPoolExecutor
) -> None:
    write, read = FILES[name]
    for done in [instances.submit(write, tmp_path, writer) for writer in WRITERS]:
        done.result()
    assert read(tmp_path) == {f"{writer}{n}" for writer in WRITERS for n in range(WRITES)}
    assert len(list(tmp_path.iterdir())) == 1


KILLED = """
import sys
from pathlib import Path
from xlam_local.atomic_file import exclusive
with exclusive(Path(sys.argv[1])) as replace:
    replace("first")
    sys.stdout.write("locked\\n")
    sys.stdout.flush()
    sys.stdin.read()
"""


def test_the_lock_of_a_killed_instance_is_free(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    command = [sys.executable, "-c", KILLED, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as holder:  # type: ignore[call-overload]
        assert holder.stdout.readline() == "locked\n"
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        atomic_file.write_text(path, "second")
    assert path.read_text() == "second"


def test_an_instance_that_never_releases_its_lock_is_an_error(tmp_path: Path) -> None:
    holder, other = (os.open(tmp_path, os.O_RDONLY) for _ in range(2))
    atomic_file.lock(holder)
    with pytest.raises(OSError, match="another program has locked its folder"):
        atomic_file.lock(other, timeout_s=0.05)
    os.close(holder)
    atomic_file.lock(other, timeout_s=0.05)
    os.close(other)


def test_a_write_that_is_interrupted_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_file.exclusive(path):
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


# A policy whose file goes away while the program runs.

DENY = '[[rule]]\ndecision = "deny"\ntool = "save"\n'
ASK = '[[rule]]\ndecision = "ask"\ntool = "look"\n'
ALLOW = '[[rule]]\ndecision = "allow"\ntool = "write"\n'
POLICY = DENY + ASK + ALLOW


def tool(name: str, effect: Effect) -> Tool:
    return Tool(name, "", {"type": "object"}, effect, lambda **_given: "ran")


TOOLS = (tool("save", Effect.WRITE), tool("look", Effect.READ), tool("write", Effect.WRITE))


def to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def to_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def to_dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def to_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def to_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def without_its_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))


def behind_a_file(path: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))
    path.parent.touch()


WAYS_TO_GO: dict[str, Callable[[Path], object]] = {
    "deleted": Path.unlink,
    "renamed": lambda path: path.rename(path.with_name("old.toml")),
    "its folder renamed": without_its_folder,
    "its folder a file": behind_a_file,
    "a folder": to_folder,
    "a loop of links": to_loop,
    "a dangling link": to_dangling,
    "not UTF-8": lambda path: path.write_bytes(b"\xff\xfe"),
    "not TOML": lambda path: path.write_text("[[rule"),
    "not a policy": lambda path: path.write_text("[[rule]]\ndecision = 3\n"),
    "a named pipe": to_pipe,
    "a device": to_device,
}


@pytest.mark.parametrize("way", WAYS_TO_GO)
def test_a_policy_that_goes_away_keeps_its_denies(way: str, tmp_path: Path) -> None:
    path = tmp_path / "config" / "policy.toml"
    path.parent.mkdir()
    path.write_text(POLICY)
    approver = Approver.open(path, tmp_path)
    WAYS_TO_GO[way](path)
    user = FakeUser(AllowOnce(), AllowOnce(), AllowOnce(), AllowOnce())
    calls = [scripted_call(name) for name in ("save", "look", "write")]
    results = [
        result for _ in range(2) for result in call_results(approver, user, *calls, tools=TOOLS)
    ]
    asked = [request.tool.name for request in user.requests]
    assert [result.refused for result in results if result.call.name == "save"] == [True, True]
    assert "save" not in asked
    for name in ("look", "write"):
        refused = [result.refused for result in results if result.call.name == name]
        assert refused == [True, True] or asked.count(name) == 2


def test_a_policy_that_comes_back_applies_again(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    approver = Approver.open(path, tmp_path)
    user = FakeUser(AllowOnce())
    for text in (None, ALLOW):
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)
        call_results(approver, user, scripted_call("write"), tools=TOOLS)
    (result,) = call_results(approver, user, scripted_call("write"), tools=TOOLS)
    assert (result.output, len(user.requests)) == ("ran", 1)
