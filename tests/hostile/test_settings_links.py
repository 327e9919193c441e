"""Attempts to reach settings that are links, by where they really lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from xlam_local.errors import ToolError
from xlam_local.tools.builtin.catalog import all_builtin_tools
from xlam_local.tools.safe_paths import link_chain
from xlam_local.tools.sources import ToolPaths


@pytest.fixture
def paths(tmp_path: Path) -> ToolPaths:
    """A working folder in which the settings really lie; the usual places only lead there."""
    work, home = tmp_path / "work", tmp_path / "home"
    for folder in (work / "dotfiles" / "tools", work / "sub", home / "config", home / "data"):
        folder.mkdir(parents=True)
    for name in ("policy.toml", "mcp.json", "config.toml"):
        (work / "dotfiles" / name).write_text("")
    (home / "config" / "policy.toml").symlink_to(work / "dotfiles" / "policy.toml")
    (work / "step").symlink_to(work / "dotfiles" / "mcp.json")
    (home / "config" / "mcp.json").symlink_to(work / "step")
    (home / "config" / "config.toml").symlink_to("../../work/dotfiles/config.toml")
    (home / "config" / "tools").symlink_to(work / "dotfiles" / "tools")
    (home / "config" / "models.toml").symlink_to(work / "sub" / "new.toml")
    return ToolPaths(home / "config", home / "data", home / "state", work)


@pytest.mark.parametrize(
    "path",
    [
        "dotfiles/policy.toml",
        "dotfiles/mcp.json",
        "dotfiles/config.toml",
        "dotfiles/tools/new.py",
        "sub/new.toml",
        "step",
        "DOTFILES/policy.toml",
        "sub/../dotfiles/policy.toml",
    ],
)
@pytest.mark.parametrize("tool", ["read_file", "write_file", "edit_file"])
def test_what_a_settings_link_leads_to_is_protected(paths: ToolPaths, path: str, tool: str) -> None:
    if path.startswith("DOTFILES"):
        (paths.cwd / "DOTFILES").symlink_to(paths.cwd / "dotfiles")
    (run,) = (one.run for one in all_builtin_tools(paths) if one.name == tool)
    arguments = {
        "read_file": {"path": path},
        "write_file": {"path": path, "text": "x"},
        "edit_file": {"path": path, "old": "a", "new": "b"},
    }[tool]
    assert run is not None
    with pytest.raises(ToolError, match="protected"):
        run(**arguments)


def test_a_linked_configuration_folder_is_protected_where_it_lies(tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "real").mkdir(parents=True)
    (work / "a").symlink_to("b")
    (work / "b").symlink_to("real")
    paths = ToolPaths(work / "a", tmp_path / "data", tmp_path / "state", work)
    (write,) = (one.run for one in all_builtin_tools(paths) if one.name == "write_file")
    assert write is not None
    for path in ("real/policy.toml", "a/policy.toml", "b/tools/x.py"):
        with pytest.raises(ToolError, match="protected"):
            write(path=path, text="x")
    assert (work / "real").iterdir()


def test_each_link_on_the_way_is_part_of_the_chain(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("")
    (tmp_path / "b").symlink_to("c")
    (tmp_path / "a").symlink_to(tmp_path / "b")
    assert link_chain(tmp_path / "a") == [tmp_path / "a", tmp_path / "b", tmp_path / "c"]
    (tmp_path / "loop").symlink_to("loop")
    assert tmp_path / "loop" in link_chain(tmp_path / "loop")
    (tmp_path / "folder").mkdir()
    (tmp_path / "linked").symlink_to("folder")
    assert link_chain(tmp_path / "linked" / "x") == [
        tmp_path / "linked",
        tmp_path / "folder" / "x",
    ]
