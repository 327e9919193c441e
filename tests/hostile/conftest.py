"""Fixtures of the hostile tests."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.hostile_calls import make_project
from tests.hostile.report import report_lines
from tests.hostile.secrets import SECRET
from xlam_local.tools.builtin.catalog import all_builtin_tools
from xlam_local.tools.sources import ToolPaths
from xlam_local.types import Tool

OUTCOMES: dict[str, str] = {}
"""The outcome of each hostile test of this run, by its id."""


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note the outcome of a hostile test; a failure in its setup counts."""
    if not report.nodeid.startswith("tests/hostile/") or "/test_report.py" in report.nodeid:
        return
    if report.when == "call" or report.outcome != "passed":
        OUTCOMES[report.nodeid] = report.outcome


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the report on the hostile tests if any ran."""
    if OUTCOMES:
        terminalreporter.section("attempts of the hostile tests")
        for line in report_lines(OUTCOMES):
            terminalreporter.line(line)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with links that lead out of it and into other folders."""
    top = make_project(tmp_path / "work")
    monkeypatch.chdir(top)
    return top


@pytest.fixture
def hostile_paths(tmp_path: Path) -> ToolPaths:
    """A working folder with links to a secret outside it, and with the settings inside it."""
    work = tmp_path / "work"
    (work / "sub").mkdir(parents=True)
    (work / "config" / "tools").mkdir(parents=True)
    (work / "config" / "policy.toml").write_text(SECRET)
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "workshop").mkdir()
    (tmp_path / "workshop" / "secret").write_text(SECRET)
    (work / "out").symlink_to(tmp_path)
    (work / "file").symlink_to(tmp_path / "secret")
    (work / "chain").symlink_to("out")
    (work / "loop").symlink_to("loop")
    (work / "dangling").symlink_to(tmp_path / "new")
    (work / "sub" / "up").symlink_to("../..")
    (work / "proc").symlink_to("/proc/self")
    (work / "settings").symlink_to("config")
    return ToolPaths(work / "config", tmp_path / "data", tmp_path / "state", work)


@pytest.fixture
def hostile_tools(hostile_paths: ToolPaths) -> dict[str, Tool]:
    """All built-in tools in that working folder."""
    return {tool.name: tool for tool in all_builtin_tools(hostile_paths)}


@pytest.fixture
def private_port() -> Iterator[int]:
    """A port of this machine that no tool may reach."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]
