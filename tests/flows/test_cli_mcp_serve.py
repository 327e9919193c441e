"""`xlam-local mcp serve`: once called by our own client, otherwise in this process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.command_line import run
from tests.fakes.mcp_servers import call, opened, source, tool
from xlam_local.cli.mcp import McpToolServer
from xlam_local.cli.toolbox_options import open_toolbox
from xlam_local.errors import ToolError
from xlam_local.tools import Toolbox
from xlam_local.types import Effect, ToolCall, ToolResult

ROOT = Path(__file__).parents[2]


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    """A working folder with a file."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.txt").write_text("hello")
    return folder


@pytest.mark.slow
def test_another_program_calls_our_tools(tmp_path: Path, cwd: Path) -> None:
    entry = {
        "command": sys.executable,
        "args": ["-m", "xlam_local", "mcp", "serve", "--cwd", str(cwd)],
        "env": {"XLAM_LOCAL_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)},
    }
    with opened(tmp_path, one=entry) as servers:
        servers.trust("one")
        names = {served.name for served in source(servers).tools}
        assert {"calculate", "read_file", "write_file"} <= names
        assert tool(servers, "read_file").effect is Effect.READ
        assert call(servers, "calculate", expression="2 + 3") == "5"
        with pytest.raises(ToolError, match="arguments are invalid"):
            call(servers, "calculate", expression=5)
        with pytest.raises(ToolError, match="use --allow write_file"):
            call(servers, "write_file", path="b.txt", text="x")
    assert not (cwd / "b.txt").exists()


@contextmanager
def serving(cwd: Path, *allow: str) -> Iterator[tuple[McpToolServer, Toolbox]]:
    with open_toolbox(cwd) as toolbox:
        yield McpToolServer(lambda: toolbox.tools, cwd, allow), toolbox


def served_call(served: tuple[McpToolServer, Toolbox], name: str, **arguments: Any) -> ToolResult:
    server, toolbox = served
    (found,) = (tool for tool in toolbox.tools if tool.name == name)
    return server.call(found, ToolCall("call_0", name, arguments))


def test_a_tool_that_reads_in_the_working_folder_runs(cwd: Path) -> None:
    with serving(cwd) as served:
        assert "hello" in served_call(served, "read_file", path="a.txt").output
        result = served_call(served, "read_file", path="/etc/passwd")
        assert result.refused
        assert "Reason: It reads" in result.output


def test_a_tool_that_is_allowed_runs(cwd: Path) -> None:
    with serving(cwd, "write_file") as served:
        assert served_call(served, "write_file", path="b.txt", text="x").ok
    assert (cwd / "b.txt").read_text() == "x"


def test_the_exfiltration_check_covers_all_calls_of_the_server(cwd: Path) -> None:
    assert run("tools", "enable", "fetch_page").returncode == 0
    with serving(cwd, "fetch_page") as served:
        result = served_call(served, "fetch_page", url="http://127.0.0.1:9/")
        assert "127.0.0.1 has the address" in result.output
        served_call(served, "read_file", path="a.txt")
        result = served_call(served, "fetch_page", url="http://127.0.0.1:9/")
        assert result.refused
        assert "read_file has read a.txt" in result.output
        assert "tainted = true" in result.output


def test_the_users_policy_applies(cwd: Path, own_folders: Path) -> None:
    (own_folders / "config").mkdir(parents=True)
    (own_folders / "config" / "policy.toml").write_text(
        '[[rule]]\ndecision = "deny"\ntool = "calculate"\nreason = "No sums."\n'
    )
    with serving(cwd) as served:
        assert "No sums." in served_call(served, "calculate", expression="2 + 3").output


def test_an_unknown_tool_cannot_be_allowed(cwd: Path) -> None:
    done = run("mcp", "serve", "--cwd", str(cwd), "--allow", "nope")
    assert done.returncode == 2
    assert "--allow: there is no tool 'nope'" in done.stderr
