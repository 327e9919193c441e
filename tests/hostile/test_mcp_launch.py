"""A working folder that means no good gives a server neither code nor settings."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.mcp_servers import SERVER, call, source, written
from xlam_local.tools.mcp import McpClients, launch
from xlam_local.tools.mcp.config import parse_server

EVIL = "import pathlib\npathlib.Path({mark!r}).write_text('ran')\n"
MODULE = "mcp_server_of_the_user"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A working folder whose files would leave a mark if they ran."""
    top = tmp_path / "project"
    top.mkdir()
    mark = str(tmp_path / "mark")
    for name in (MODULE, "json", "sitecustomize", "usercustomize", "encodings"):
        (top / f"{name}.py").write_text(EVIL.format(mark=mark))
    programs = top / "node_modules" / ".bin"
    programs.mkdir(parents=True)
    for name in ("serve-mcp", Path(sys.executable).name):
        (programs / name).write_text(f"#!/bin/sh\ntouch {mark}\n")
        (programs / name).chmod(0o755)
    return top


def clients(top: Path, project: Path, **entries: Any) -> McpClients:
    return McpClients.open(written(top, **entries), top / "state", top / "data", project)


def library(top: Path) -> Path:
    """A folder with the module that the user means."""
    folder = top / "library"
    folder.mkdir()
    (folder / f"{MODULE}.py").write_text(Path(SERVER).read_text())
    return folder


def test_a_module_of_the_working_folder_does_not_run_as_the_server(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    item = {
        "command": sys.executable,
        "args": ["-m", MODULE],
        "env": {"PYTHONPATH": str(library(tmp_path))},
    }
    with clients(tmp_path, project, one=item) as servers:
        servers.trust("one")
        assert call(servers, text="hi") == "hi"
    assert not (tmp_path / "mark").exists()


def test_a_program_of_the_working_folder_comes_last(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    path = ["node_modules/.bin", "", ".", str(project / "node_modules" / ".bin")]
    python = Path(sys.executable)
    monkeypatch.setenv("PATH", os.pathsep.join([*path, str(python.parent), os.environ["PATH"]]))
    with clients(tmp_path, project, one={"command": python.name, "args": [SERVER]}) as servers:
        servers.trust("one")
        assert call(servers, text="hi") == "hi"
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("cwd", ["", "${HOME}"])
def test_a_server_does_not_start_in_the_working_folder(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch, cwd: str
) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setenv("HOME", str(tmp_path))
    code = "import os; os.environ['FOLDER'] = os.getcwd(); exec(open(os.sys.argv[1]).read())"
    item = {
        "command": sys.executable,
        "args": ["-c", code, SERVER],
        **({"cwd": cwd} if cwd else {}),
    }
    with clients(tmp_path, project, one=item) as servers:
        servers.trust("one")
        folder = Path(json.loads(str(call(servers, "environment")))["FOLDER"])
    expected = tmp_path if cwd else tmp_path / "data" / "mcp-servers" / "one"
    assert folder.resolve() == expected.resolve()


@pytest.mark.parametrize("path", ["", ".", "bin", "./bin", "../bin", "node_modules/.bin:.:", "::"])
def test_relative_folders_of_path_are_not_searched(project: Path, path: str) -> None:
    assert launch.search_path(f"{path}{os.pathsep}/usr/bin", project) == "/usr/bin"


def test_folders_within_the_working_folder_are_searched_last(project: Path) -> None:
    (project.parent / "link").symlink_to(project)
    inside = [str(project / ".venv" / "bin"), str(project.parent / "link" / "bin"), str(project)]
    path = os.pathsep.join([*inside, "/usr/bin", "/bin"])
    assert launch.search_path(path, project) == os.pathsep.join(["/usr/bin", "/bin", *inside])


BEFORE: dict[str, Any] = {"command": "x", "args": ["a b"], "env": {"A": "1"}}


@pytest.mark.parametrize(
    "change",
    [
        {"args": ["a", "b"]},
        {"command": "x a", "args": ["b"]},
        {"env": {"A": "2"}},
        {"env": {"A": "1", "LD_PRELOAD": "/tmp/evil.so"}},
        {"env": {}},
        {"cwd": "/tmp"},
        {"cwd": "."},
        {"args": ["a b", "server.py"]},
        {"args": ["a b", "./run"]},
        {"command": "./x"},
    ],
)
def test_whatever_changes_in_the_launch_has_to_be_trusted(project: Path, change: Any) -> None:
    before, now = parse_server("s", BEFORE), parse_server("s", {**BEFORE, **change})
    assert launch.trusted_launch(before, project) != launch.trusted_launch(now, project)


@pytest.mark.parametrize("change", [{"headers": {"A": "2"}}, {"url": "https://y.org"}])
def test_whatever_changes_in_an_address_has_to_be_trusted(project: Path, change: Any) -> None:
    item = {"url": "https://x.org", "headers": {"A": "1"}}
    before, now = parse_server("s", item), parse_server("s", {**item, **change})
    assert launch.trusted_launch(before, project) != launch.trusted_launch(now, project)


@pytest.mark.parametrize("word", ["server.py", "./server.py", "dist/index.js", ".", "../x"])
def test_a_file_of_another_working_folder_has_to_be_trusted(
    tmp_path: Path, project: Path, word: str
) -> None:
    other = tmp_path / "other"
    for folder in (project, other):
        (folder / "dist").mkdir(parents=True)
        (folder / "server.py").touch()
        (folder / "dist" / "index.js").touch()
    config = parse_server("s", {"command": "x", "args": [word]})
    (tmp_path / "deep").mkdir()
    assert launch.trusted_launch(config, project) != launch.trusted_launch(config, other / "dist")


@pytest.mark.parametrize("word", ["@scope/server", "serve", "-y", "node_modules", "dist/pkg"])
def test_the_name_of_a_package_is_no_path(project: Path, word: str) -> None:
    (project / "@scope" / "server").mkdir(parents=True)
    (project / "serve").touch()
    (project / "dist" / "pkg").mkdir(parents=True)
    config = parse_server("s", {"command": "npx", "args": [word]})
    assert launch.command(config, project) == ("npx", word)


def test_a_changed_environment_makes_a_trusted_server_untrusted(
    tmp_path: Path, project: Path
) -> None:
    item: dict[str, Any] = {"command": sys.executable, "args": [SERVER]}
    with clients(tmp_path, project, one=item) as servers:
        servers.trust("one")
        assert source(servers).state == "ready"
    with clients(tmp_path, project, one={**item, "env": {"NODE_OPTIONS": "-r evil"}}) as servers:
        assert source(servers).state == "untrusted"
        servers.start()
        servers.wait(30)
        assert "Variable: NODE_OPTIONS=-r evil" in source(servers).detail


def test_the_user_sees_what_runs_but_no_secret(project: Path) -> None:
    item = {**BEFORE, "args": ["server.py"], "env": {"API_KEY": "s3cret", "PORT": "1", "T": "${T}"}}
    (project / "server.py").touch()
    shown = "\n".join(launch.describe(parse_server("s", item), project))
    assert f"Command: x {project.resolve()}/server.py" in shown
    assert "an empty folder of its own" in shown
    assert "PORT=1" in shown
    assert "T=${T}" in shown
    assert "s3cret" not in shown
