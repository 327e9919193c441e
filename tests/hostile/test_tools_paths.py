"""Paths that lead out of the working folder: no tool accepts one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.tool_calls import CAN_ISOLATE, run
from tests.hostile.secrets import SECRET
from xlam_local.errors import ToolError
from xlam_local.tools.builtin.catalog import all_builtin_tools
from xlam_local.tools.declarative.loader import load_tools
from xlam_local.tools.sandbox.config import SandboxConfig
from xlam_local.tools.sources import ToolPaths
from xlam_local.types import Tool

PATHS = [
    "../secret",
    "sub/../../secret",
    "/etc/passwd",
    "//etc/passwd",
    "/proc/self/environ",
    "proc/environ",
    "/dev/zero",
    "/sys/kernel",
    "out/secret",
    "chain/secret",
    "sub/up/secret",
    "file",
    "dangling",
    "loop",
    "./././../work/../secret",
    "../workshop/secret",
    "config/policy.toml",
    "settings/policy.toml",
    "sub/../config/policy.toml",
    "config/tools/new.py",
    "CONFIG/policy.toml",
    "Config/tools/new.py",
    "\uff43onfig/policy.toml",
    "..",
    "",
    "a\0b",
    "x" * 5000,
    "sub/" * 2000,
    "..\\secret/../../secret",
    "file/",
]
ARGUMENTS: dict[str, dict[str, str]] = {
    "read_file": {},
    "write_file": {"text": "x"},
    "edit_file": {"old": SECRET, "new": "x"},
}
"""The other arguments of each tool that takes a path."""


def short(text: str) -> str:
    """Return a test ID that fits a line."""
    return repr(text[:30])


@pytest.mark.parametrize("path", PATHS, ids=short)
def test_file_tools_refuse_paths_outside_the_folder(
    hostile_tools: dict[str, Tool], hostile_paths: ToolPaths, tmp_path: Path, path: str
) -> None:
    for name, arguments in ARGUMENTS.items():
        tool = hostile_tools[name]
        for call in (tool.run, tool.preview):
            if call is not None:
                with pytest.raises(ToolError) as error:
                    call(path=path, **arguments)
                assert SECRET not in str(error.value)
    assert (tmp_path / "secret").read_text() == SECRET
    assert (hostile_paths.config / "policy.toml").read_text() == SECRET
    assert not (tmp_path / "new").exists()
    assert not (hostile_paths.config / "tools" / "new.py").exists()


# An empty path, and one that is normalized to `sub`, are folders that may be listed.
@pytest.mark.parametrize("path", [path for path in PATHS if len(path) not in (0, 8000)], ids=short)
def test_folders_outside_are_not_listed(hostile_tools: dict[str, Tool], path: str) -> None:
    with pytest.raises(ToolError):
        run(hostile_tools["list_files"], folder=path)


def test_a_search_does_not_find_secrets(hostile_tools: dict[str, Tool]) -> None:
    for names in ("*", "../*", "/etc/*", "config/*", "out/*"):
        result = run(hostile_tools["search_files"], text=SECRET, names=names)
        assert result.startswith("No file matches")


@pytest.mark.parametrize("path", [p for p in PATHS if p and "config" not in p], ids=short)
def test_command_arguments_refuse_paths_outside_the_folder(
    hostile_paths: ToolPaths, path: str
) -> None:
    parameters = {"p": {"type": "string", "format": "path"}}
    table = {"name": "show", "command": ["cat", "{p}"], "parameters": parameters}
    sandbox = SandboxConfig(hostile_paths.cwd, hidden=hostile_paths.protected)
    (show,) = load_tools({"tool": [table]}, sandbox)
    try:
        output = str(run(show, p=path))
    except ToolError as error:
        output = str(error)
    assert SECRET not in output
    assert "root:" not in output


CREDENTIALS = [
    *(".ssh/id_rsa", ".aws/credentials", ".netrc", ".config/gh/hosts.yml", ".docker/config.json")
]


@pytest.mark.parametrize("path", CREDENTIALS)
def test_credentials_are_protected_if_home_is_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    home = tmp_path / "home"
    (home / path).parent.mkdir(parents=True)
    (home / path).write_text(SECRET)
    (home / "link").symlink_to(home / path)
    monkeypatch.setenv("HOME", str(home))
    paths = ToolPaths(tmp_path / "config", tmp_path / "data", tmp_path / "state", home)
    tools = {tool.name: tool for tool in all_builtin_tools(paths)}
    for name in (path, "link"):
        with pytest.raises(ToolError, match="is protected"):
            run(tools["read_file"], path=name)
    assert "No file matches" in run(tools["search_files"], text=SECRET)
    if CAN_ISOLATE:
        with pytest.raises(ToolError):
            assert SECRET not in run(tools["run_command"], command=f"grep -r {SECRET} . {path}")
