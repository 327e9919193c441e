"""The number of attempts, and their report."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.report import CATEGORIES, MIN_ATTEMPTS, category, report_lines

FOLDER = Path(__file__).parent


def test_there_are_enough_attempts_in_all(request: pytest.FixtureRequest) -> None:
    files = {path for path in FOLDER.glob("test_*.py") if path.stem != "test_report"}
    tests = [item for item in request.session.items if item.path in files]
    if {item.path for item in tests} != files:
        pytest.skip("not all files were collected")
    assert len(tests) >= MIN_ATTEMPTS


def test_no_category_is_for_a_file_that_is_gone() -> None:
    # A new file is its own category until the table has it.
    names = {path.stem.removeprefix("test_") for path in FOLDER.glob("test_*.py")}
    assert set(CATEGORIES) <= names


def test_the_report_counts_by_category() -> None:
    name = "tests/hostile/test_mcp_servers.py::test_a[x/y::z]"
    assert category(name) == "MCP servers"
    outcomes = {name: "passed", f"{name}2": "failed", "tests/hostile/test_new.py::t": "skipped"}
    lines = [line.split() for line in report_lines(outcomes)]
    assert lines[1:] == [
        ["MCP", "servers", "2", "1", "1", "0"],
        ["new", "1", "0", "0", "1"],
        ["all", "3", "1", "1", "1"],
    ]
