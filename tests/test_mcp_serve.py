"""Our tools as another program meets them: `xlam-local tools serve`, called by our own client."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from xlam_local.cli import run_command
from xlam_local.errors import ToolError, UsageError
from xlam_local.tools.mcp import Servers
from xlam_local.types import Effect

from .servers import opened, source, tool

ROOT = Path(__file__).parent.parent


@contextmanager
def served(top: Path, *options: str) -> Iterator[Servers]:
    """Our own tools, served by one process to another."""
    folder = top / "folder"
    folder.mkdir(exist_ok=True)
    (folder / "a.txt").write_text("hello")
    env = {"XLAM_LOCAL_HOME": str(top / "home"), "PYTHONPATH": str(ROOT)}
    args = ["-m", "xlam_local", "tools", "serve", "--folder", str(folder), *options]
    entry = {"command": sys.executable, "args": args, "env": env}
    with opened(top, one=entry) as servers:
        servers.agree("one")
        yield servers


def call(servers: Servers, name: str, **arguments: Any) -> str:
    run = tool(servers, name).run
    assert run is not None
    return str(run(**arguments))


def test_what_only_reads_is_served(tmp_path: Path) -> None:
    with served(tmp_path) as servers:
        assert {"calculate", "read_file", "write_file"} <= {t.name for t in source(servers).tools}
        assert tool(servers, "read_file").effect is Effect.READ
        assert call(servers, "calculate", expression="2 + 3") == "5"
        assert "hello" in call(servers, "read_file", path="a.txt")
        with pytest.raises(ToolError, match="Reason: It reads"):
            call(servers, "read_file", path="/etc/passwd")


def test_what_asks_is_refused_and_says_how_it_would_run(tmp_path: Path) -> None:
    with (
        served(tmp_path) as servers,
        pytest.raises(ToolError, match=r"--allow write_file would let it run"),
    ):
        call(servers, "write_file", path="b.txt", text="x")
    assert not (tmp_path / "folder" / "b.txt").exists()


def test_what_is_allowed_runs(tmp_path: Path) -> None:
    with served(tmp_path, "--allow", "write_file") as servers:
        call(servers, "write_file", path="b.txt", text="x")
    assert (tmp_path / "folder" / "b.txt").read_text() == "x"


def test_what_was_read_is_not_carried_away_by_the_next_call(tmp_path: Path) -> None:
    assert run_command(["tools", "on", "fetch_page"]) == 0
    with served(tmp_path, "--allow", "fetch_page") as servers:
        with pytest.raises(ToolError, match=r"127\.0\.0\.1 is"):
            call(servers, "fetch_page", url="http://127.0.0.1:9/")
        call(servers, "read_file", path="a.txt")
        with pytest.raises(ToolError, match=r"read_file has read a\.txt.*tainted = true"):
            call(servers, "fetch_page", url="http://127.0.0.1:9/")


def test_the_users_policy_holds(tmp_path: Path) -> None:
    (tmp_path / "home" / "config").mkdir(parents=True)
    (tmp_path / "home" / "config" / "policy.toml").write_text(
        '[[rule]]\ndecision = "deny"\ntool = "calculate"\nwhy = "No sums."\n'
    )
    with served(tmp_path) as servers, pytest.raises(ToolError, match=r"No sums\."):
        call(servers, "calculate", expression="2 + 3")


def test_arguments_that_do_not_fit_are_told(tmp_path: Path) -> None:
    with served(tmp_path) as servers, pytest.raises(ToolError, match="do not fit"):
        call(servers, "calculate", expression=5)


def test_a_tool_that_is_not_there_cannot_be_allowed(tmp_path: Path) -> None:
    told = r"exit code 2; its last words are .*There is no tool 'nope' to allow"
    with pytest.raises(UsageError, match=told), served(tmp_path, "--allow", "nope"):
        pass
