"""Tool files that change after the user has trusted them: no other code runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.tool_calls import run
from xlam_local.errors import ToolError, UsageError
from xlam_local.tools.builtin.catalog import all_builtin_tools
from xlam_local.tools.sources import ToolPaths
from xlam_local.tools.toolbox import Toolbox

PYTHON = "from xlam_local import Effect, tool\n@tool(Effect.READ)\ndef f() -> str: return 'good'\n"


def change(path: Path) -> None:
    path.write_text(PYTHON.replace("good", "evil"))


def change_and_restore_time(path: Path) -> None:
    before = path.stat()
    change(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    other = path.with_suffix(".new")
    change(other)
    other.rename(path)


def replace_by_link(path: Path) -> None:
    other = path.parent.parent / "evil.py"
    change(other)
    path.unlink()
    path.symlink_to(other)


def append(path: Path) -> None:
    path.write_text(PYTHON + "\ndef _(): ...\nf = type(f)('f', 'evil', {}, run=lambda: 'evil')\n")


def shadow_imports(path: Path) -> None:
    """Put modules that the file imports beside it."""
    for name in ("xlam_local", "json", "os", "dataclasses", "typing", "enum"):
        (path.parent / f"{name}.py").write_text("raise SystemExit('evil')")


CHANGES = [change, change_and_restore_time, replace, replace_by_link, append, shadow_imports]


@pytest.mark.slow
@pytest.mark.parametrize("modify", CHANGES)
@pytest.mark.parametrize("refreshed", [False, True], ids=["before refresh", "after refresh"])
def test_no_file_runs_that_changed_after_it_was_trusted(
    hostile_paths: ToolPaths, modify: Callable[[Path], None], refreshed: bool
) -> None:
    path = hostile_paths.config / "tools" / "mine.py"
    path.write_text(PYTHON)
    with Toolbox.open(hostile_paths) as toolbox:
        toolbox.trust("mine")
        modify(path)
        if refreshed:
            toolbox.refresh()
        results = [run(tool) for tool in toolbox.tools if tool.name == "f"]
    assert set(results) <= {"good"}
    with Toolbox.open(hostile_paths) as toolbox:
        results = [run(tool) for tool in toolbox.tools if tool.name == "f"]
    assert set(results) <= {"good"}


def test_no_content_is_trusted_that_was_not_shown(hostile_paths: ToolPaths) -> None:
    path = hostile_paths.config / "tools" / "mine.py"
    path.write_text(PYTHON)
    with Toolbox.open(hostile_paths) as toolbox:
        shown = next(source for source in toolbox.sources if source.name == "mine")
        change(path)
        toolbox.refresh()
        with pytest.raises(UsageError, match="has changed since it was shown"):
            toolbox.trust("mine", shown.content_hash)
        assert "f" not in {tool.name for tool in toolbox.tools}


def test_no_tool_writes_the_files_that_store_trust(hostile_paths: ToolPaths) -> None:
    cwd = hostile_paths.cwd
    paths = ToolPaths(cwd / "c", cwd / "d", cwd / "s", cwd)
    (write_file,) = [tool for tool in all_builtin_tools(paths) if tool.name == "write_file"]
    for path in ("c/tools/x.py", "c/tools.json", "c/mcp.json", "d/trust.json", "s/x"):
        with pytest.raises(ToolError, match="is protected"):
            run(write_file, path=path, text="x")
