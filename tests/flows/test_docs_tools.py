"""The page about tools and its examples."""

from __future__ import annotations

import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.doc_pages import ROOT, code_blocks, names_in, table_rows
from tests.fakes.http_host import http_host, respond
from tests.fakes.tool_calls import needs_isolation, preview, run
from xlam_local.errors import ToolError
from xlam_local.tools import entry_points, load_schemas
from xlam_local.tools.builtin.catalog import DISABLED_BY_DEFAULT, all_builtin_tools
from xlam_local.tools.declarative.command import COMMAND_KEYS
from xlam_local.tools.declarative.http import HTTP_KEYS
from xlam_local.tools.declarative.loader import COMMON_KEYS
from xlam_local.tools.lint import find_problems
from xlam_local.tools.python.source_scan import SETTINGS
from xlam_local.tools.sources import ToolPaths
from xlam_local.tools.toolbox import Toolbox
from xlam_local.types import Effect, Sandbox, Tool

PAGE = ROOT / "docs" / "tools.md"
EXAMPLES = ROOT / "docs" / "examples"
TOOL_FILES = [EXAMPLES / name for name in ("weather.py", "commands.toml", "http.toml")]


@pytest.fixture
def paths(tmp_path: Path) -> ToolPaths:
    work = tmp_path / "work"
    work.mkdir()
    return ToolPaths(tmp_path / "config", tmp_path / "data", tmp_path / "state", work)


@pytest.fixture
def tools(paths: ToolPaths) -> Iterator[dict[str, Tool]]:
    """The tools of the examples, trusted, in a repository with one commit."""
    git = ["git", "-C", str(paths.cwd), "-c", "user.name=A", "-c", "user.email=a@b.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "Begin"], check=True)
    with Toolbox.open(paths, TOOL_FILES, trusted=True, only_files=True) as toolbox:
        yield {tool.name: tool for tool in toolbox.tools}


def test_the_table_of_built_in_tools_is_complete(paths: ToolPaths) -> None:
    rows = {names_in(row[0])[0]: row[1:3] for row in table_rows(PAGE, "Tool")}
    assert rows == {
        tool.name: [tool.effect.value, "no" if tool.name in DISABLED_BY_DEFAULT else "yes"]
        for tool in all_builtin_tools(paths)
    }


@pytest.mark.parametrize(
    ("first_header", "names"),
    [
        ("Effect", {effect.value for effect in Effect}),
        ("Level", {level.value for level in Sandbox}),
        ("Key", COMMON_KEYS | COMMAND_KEYS),
        ("Key of `http`", HTTP_KEYS),
        ("Constant", set(SETTINGS)),
    ],
)
def test_the_tables_name_every_key(first_header: str, names: set[str]) -> None:
    assert {names_in(row[0])[0] for row in table_rows(PAGE, first_header)} == names


def test_the_examples_have_no_problems(tools: dict[str, Tool]) -> None:
    assert list(find_problems(list(tools.values()))) == []
    assert list(find_problems(load_schemas(EXAMPLES / "weather.json"))) == []


def test_the_python_example_computes(tools: dict[str, Tool], paths: ToolPaths) -> None:
    feels_like, log_weather = tools["feels_like"], tools["log_weather"]
    # The published tables have -18 for -10 Celsius at 20 km/h, and -2 for 15 Fahrenheit at 20 mph.
    assert run(feels_like, temperature=-10, wind_speed=20) == "-17.9 degrees celsius"
    fahrenheit = run(feels_like, temperature=15, wind_speed=32.19, unit="fahrenheit")
    assert round(float(fahrenheit.split()[0])) == -2
    with pytest.raises(ToolError, match="Wind chill is defined up to 10 degrees"):
        run(feels_like, temperature=20, wind_speed=20)
    assert preview(log_weather, text="Snow") == "Append to weather.log: Snow"
    assert run(log_weather, text="Snow") == "Added to weather.log."
    assert (paths.cwd / "weather.log").read_text().endswith(" Snow\n")
    assert (feels_like.effect, log_weather.effect) == (Effect.READ, Effect.WRITE)


def test_the_command_example_counts_lines(tools: dict[str, Tool], paths: ToolPaths) -> None:
    (paths.cwd / "a b").write_text("1\n2\n")
    (paths.cwd / "-l").write_text("1\n")
    lines = run(tools["count_lines"], files=["a b", "-l"]).splitlines()
    assert [line.split()[0] for line in lines] == ["2", "1", "3"]
    with pytest.raises(ToolError, match="outside the working folder"):
        run(tools["count_lines"], files=["../x"])


@needs_isolation
def test_the_command_example_finds_commits(tools: dict[str, Tool]) -> None:
    assert run(tools["find_commits"], words="Begin").endswith(" Begin\n")
    assert run(tools["find_commits"], words="nothing", count=2) == ""


SIGNED_COMMIT = """tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904
author A <a@b.org> 1 +0000
committer A <a@b.org> 1 +0000
gpgsig -----BEGIN PGP SIGNATURE-----
 -----END PGP SIGNATURE-----

Begin
"""


@needs_isolation
def test_the_command_example_isolates_programs_that_git_runs(
    tools: dict[str, Tool], paths: ToolPaths
) -> None:
    """The settings of a repository name the program that verifies the signature of a commit."""
    with tempfile.TemporaryDirectory() as outside:
        written = Path(outside) / "written"
        evil = paths.cwd / "evil"
        evil.write_text(f"#!/bin/sh\ntouch ran {written}\n")
        evil.chmod(0o755)
        git = ["git", "-C", str(paths.cwd)]
        for setting in (["log.showSignature", "true"], ["gpg.program", str(evil)]):
            subprocess.run([*git, "config", *setting], check=True)
        write_commit = [*git, "hash-object", "-t", "commit", "-w", "--stdin"]
        completed = subprocess.run(
            write_commit, input=SIGNED_COMMIT, capture_output=True, text=True, check=True
        )
        subprocess.run([*git, "update-ref", "HEAD", completed.stdout.strip()], check=True)
        assert "Begin" in run(tools["find_commits"], words="Begin")
        assert (paths.cwd / "ran").exists()
        assert not written.exists()


def test_the_http_example_sends_its_request(paths: ToolPaths) -> None:
    text = (EXAMPLES / "http.toml").read_text(encoding="utf-8")
    with http_host() as host:
        host.responders["/v1/forecast"] = respond(b'{"t": 3}', "application/json")
        text = text.replace("https://api.open-meteo.com", host.url)
        file = paths.cwd / "http.toml"
        file.write_text(text.replace("[tool.http]", "[tool.http]\nprivate = true"))
        with Toolbox.open(paths, [file], trusted=True, only_files=True) as toolbox:
            (tool,) = toolbox.tools
            assert run(tool, latitude=59.9, longitude=10.7) == '{"t": 3}'
        (request,) = host.requests
    query = "latitude=59.9&longitude=10.7&current=temperature_2m"
    assert (request.method, request.path) == ("GET", f"/v1/forecast?{query}")
    assert request.headers["Accept"] == "application/json"


@pytest.mark.slow
def test_the_tool_files_on_the_page_are_valid(paths: ToolPaths) -> None:
    blocks = [("toml", block) for block in code_blocks(PAGE, "toml") if "[[tool]]" in block]
    (python,) = code_blocks(PAGE, "python")
    for number, (suffix, block) in enumerate([*blocks, ("py", python)]):
        file = paths.cwd / f"page{number}.{suffix}"
        file.write_text(block)
        with Toolbox.open(paths, [file], trusted=True, only_files=True) as toolbox:
            (tool,) = toolbox.tools
            assert list(find_problems([tool])) == []
    assert len(blocks) == 2


def test_the_python_tool_on_the_page_runs(paths: ToolPaths) -> None:
    (block,) = code_blocks(PAGE, "python")
    file = paths.cwd / "my_tools.py"
    file.write_text(block)
    with Toolbox.open(paths, [file], trusted=True, only_files=True) as toolbox:
        (roll,) = toolbox.tools
        assert all(1 <= number <= 20 for number in run(roll, sides=20, dice=2))


def test_the_entry_points_on_the_page_have_the_right_group() -> None:
    (block,) = (block for block in code_blocks(PAGE, "toml") if "entry-points" in block)
    project = tomllib.loads(block)["project"]
    assert project["entry-points"].keys() == {entry_points.ENTRY_POINT_GROUP}
