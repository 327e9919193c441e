from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.mcp_servers import entry, written
from tests.fakes.tool_calls import run
from xlam_local.errors import ToolError, ToolFileError, UsageError
from xlam_local.permissions import AllowVerdict, AskVerdict
from xlam_local.permissions.approver import Approver
from xlam_local.tools.builtin.catalog import DISABLED_BY_DEFAULT
from xlam_local.tools.sources import Source, ToolPaths
from xlam_local.tools.toolbox import Toolbox
from xlam_local.types import AllowAlways, Tool, ToolCall

PYTHON = """
from xlam_local import Effect, tool

@tool(Effect.READ)
def add(a: int, b: int) -> int:
    '''Add two numbers.'''
    return a + b
"""
COMMAND = """
[[tool]]
name = "say"
description = "Say it."
command = ["echo", "{words}"]
effect = "read"
parameters.words.type = "string"
"""


@pytest.fixture
def paths(tmp_path: Path) -> ToolPaths:
    for name in ("config/tools", "work"):
        (tmp_path / name).mkdir(parents=True)
    return ToolPaths(tmp_path / "config", tmp_path / "data", tmp_path / "state", tmp_path / "work")


@pytest.fixture
def toolbox(paths: ToolPaths) -> Iterator[Toolbox]:
    with Toolbox.open(paths) as toolbox:
        yield toolbox


def write(paths: ToolPaths, name: str, text: str) -> Path:
    """Write a file in the folder of the user's tool files."""
    path = paths.config / "tools" / name
    path.write_text(text)
    return path


def source(toolbox: Toolbox, name: str) -> Source:
    return next(source for source in toolbox.sources if source.name == name)


def names(toolbox: Toolbox) -> set[str]:
    return {tool.name for tool in toolbox.tools}


def tool(toolbox: Toolbox, name: str) -> Tool:
    return next(tool for tool in toolbox.tools if tool.name == name)


def call(toolbox: Toolbox, tool_name: str, **arguments: Any) -> Any:
    return run(tool(toolbox, tool_name), **arguments)


def test_the_built_in_tools_are_a_source(toolbox: Toolbox) -> None:
    assert source(toolbox, "built-in").state == "ready"
    builtin = {tool.name for tool in source(toolbox, "built-in").tools}
    assert names(toolbox) == builtin - DISABLED_BY_DEFAULT
    assert builtin > DISABLED_BY_DEFAULT
    assert {tool.source for tool in toolbox.tools} == {"built-in"}


@pytest.mark.slow
def test_a_new_file_can_be_trusted_and_used(paths: ToolPaths, toolbox: Toolbox) -> None:
    write(paths, "sums.py", PYTHON)
    write(paths, "words.toml", COMMAND)
    toolbox.refresh()
    sums = source(toolbox, "sums")
    assert (sums.kind, sums.state) == ("python", "untrusted")
    assert "add (read): Add two numbers." in sums.detail
    assert source(toolbox, "words").detail == "say (read): echo {words}"
    assert not {"add", "say"} & names(toolbox)
    toolbox.trust("sums")
    toolbox.trust("words")
    assert call(toolbox, "add", a=1, b=2) == 3
    assert call(toolbox, "say", words="hi") == "hi\n"
    assert tool(toolbox, "add").source == "sums"
    assert source(toolbox, "words").kind == "command"


def test_a_function_that_is_defined_twice_is_named(paths: ToolPaths, toolbox: Toolbox) -> None:
    write(paths, "sums.py", PYTHON + PYTHON.replace("Add two", "Sum two"))
    toolbox.refresh()
    toolbox.trust("sums")
    found = source(toolbox, "sums")
    assert [tool.description for tool in found.tools] == ["Sum two numbers."]
    assert found.left_out == (
        "Function 'add' is defined again below; its first definition is left out.",
    )


def test_the_output_of_a_file_is_logged(paths: ToolPaths, toolbox: Toolbox) -> None:
    body = "print('here'); import sys; print('there', file=sys.stderr); 1 / 0"
    write(paths, "loud.py", f"from xlam_local import tool\n@tool\ndef loud() -> int:\n    {body}\n")
    toolbox.refresh()
    toolbox.trust("loud")
    with pytest.raises(ToolError, match="ZeroDivisionError"):
        call(toolbox, "loud")
    log = (paths.state / "tools" / "loud.log").read_text()
    for text in ("loud printed: here", "there", "loud.py", "line 4", "ZeroDivision"):
        assert text in log


def test_trust_is_stored_and_ends_when_the_file_changes(paths: ToolPaths, toolbox: Toolbox) -> None:
    path = write(paths, "words.toml", COMMAND)
    toolbox.refresh()
    toolbox.trust("words")
    with Toolbox.open(paths) as reopened:
        assert "say" in names(reopened)
    path.write_text(COMMAND.replace("echo", "rm"))
    toolbox.refresh()
    assert source(toolbox, "words").state == "untrusted"
    path.write_text(COMMAND)
    toolbox.refresh()
    assert call(toolbox, "say", words="hi") == "hi\n"
    path.unlink()
    toolbox.refresh()
    assert "say" not in names(toolbox)


@pytest.mark.slow
def test_a_change_has_no_effect_before_the_next_refresh(paths: ToolPaths, toolbox: Toolbox) -> None:
    path = write(paths, "sums.py", PYTHON)
    toolbox.refresh()
    toolbox.trust("sums")
    path.write_text(PYTHON.replace("a + b", "a - b"))
    assert call(toolbox, "add", a=1, b=2) == 3


def test_trust_does_not_cover_the_same_text_with_another_suffix(
    paths: ToolPaths, toolbox: Toolbox
) -> None:
    write(paths, "a.json", '{"tool": [{"name": "f", "command": ["ls"]}]}')
    toolbox.refresh()
    toolbox.trust("a")
    write(paths, "b.json", '{"tool": [{"name": "g", "command": ["ls"]}]}')
    write(paths, "c.py", '{"tool": [{"name": "f", "command": ["ls"]}]}')
    toolbox.refresh()
    assert source(toolbox, "b").state == source(toolbox, "c").state == "untrusted"


@pytest.mark.slow
def test_an_invalid_file_does_not_prevent_the_use_of_others(
    paths: ToolPaths, toolbox: Toolbox
) -> None:
    write(paths, "broken.py", "def f(:")
    write(paths, "broken.toml", "x = ")
    write(paths, "late.py", "1 / 0")
    write(paths, "sums.py", PYTHON)
    write(paths, "notes.txt", "no tools")
    (paths.config / "tools" / "folder.py").mkdir()
    toolbox.refresh()
    toolbox.trust("sums")
    toolbox.trust("late")
    assert "is not valid Python" in source(toolbox, "broken").detail
    assert "is not valid TOML" in source(toolbox, "broken_").detail
    assert "ZeroDivisionError" in source(toolbox, "late").detail
    assert "is a folder, not a file" in source(toolbox, "folder").detail
    assert {source.state for source in toolbox.sources} == {"ready", "failed"}
    assert "add" in names(toolbox)


@pytest.mark.slow
def test_files_that_the_user_names_are_sources(paths: ToolPaths, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(PYTHON)
    schemas = tmp_path / "weather.json"
    schemas.write_text('[{"name": "weather"}]')
    with Toolbox.open(paths, [path, schemas]) as toolbox:
        assert source(toolbox, "mine").state == "untrusted"
        weather = source(toolbox, "weather")
        assert (weather.kind, weather.state) == ("schemas", "ready")
        assert tool(toolbox, "weather").run is None
    with Toolbox.open(paths, [path], trusted=True) as toolbox:
        assert "add" in names(toolbox)
    with Toolbox.open(paths, [path]) as toolbox:  # it was trusted for one session
        assert "add" not in names(toolbox)
    with Toolbox.open(paths, [tmp_path / "nope.py", tmp_path / "x.yaml"]) as toolbox:
        assert "does not exist" in source(toolbox, "nope").detail
        assert source(toolbox, "x").state == "failed"


def test_tools_with_the_same_name_get_unique_names(paths: ToolPaths, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.json").write_text('[{"name": "f"}]')
        write(paths, f"{name}.json", '[{"name": "f"}, {"name": "calculate"}]')
    mine = tmp_path / "mine.json"
    mine.write_text('[{"name": "read_file"}]')
    with Toolbox.open(paths, [mine]) as toolbox:
        expected = {"one_f", "two_f", "calculate", "one_calculate", "two_calculate"}
        assert expected <= names(toolbox)
        assert tool(toolbox, "calculate").source == "built-in"
        assert tool(toolbox, "read_file").source == "mine"
        assert len(toolbox.tools) == len(names(toolbox))


def test_a_saved_approval_is_for_one_file_only(paths: ToolPaths, tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "words.toml").write_text(COMMAND.replace("read", "write"))
    policy = tmp_path / "policy.toml"
    verdicts = []
    for name in ("one", "other", "one"):
        with Toolbox.open(paths, [tmp_path / name / "words.toml"], trusted=True) as toolbox:
            approver = Approver.open(policy, tmp_path)
            call = tool(toolbox, "say"), ToolCall("call_0", "say", {"words": "hi"})
            verdicts.append(approver.verdict(*call, [], []))
            if not policy.exists():
                approver.decide(*call, [], [], lambda _request: AllowAlways(permanent=True))
    assert [type(verdict) for verdict in verdicts] == [AskVerdict, AskVerdict, AllowVerdict]


def test_no_file_can_have_the_name_of_a_server(paths: ToolPaths, toolbox: Toolbox) -> None:
    write(paths, "mcp: files.json", '[{"name": "f"}]')
    write(paths, "one.toml", COMMAND)
    toolbox.refresh()
    assert tool(toolbox, "f").source == "mcp_ files"
    written(paths.config, one=entry())
    toolbox.refresh()
    kinds = {source.name: source.kind for source in toolbox.sources}
    assert (kinds["one"], kinds["one_"]) == ("mcp", "command")
    toolbox.trust("one_", source(toolbox, "one_").content_hash)
    assert source(toolbox, "one").state == "untrusted"
    assert "say" in names(toolbox)


def test_enabled_tools_and_sources_are_stored(paths: ToolPaths) -> None:
    write(paths, "w.json", '[{"name": "f"}]')
    with Toolbox.open(paths) as toolbox:
        toolbox.set_enabled("run_command", True)
        toolbox.set_enabled("calculate", False)
        toolbox.set_enabled("w", False)
        toolbox.set_enabled("calculate", False)
    with Toolbox.open(paths) as toolbox:
        assert "run_command" in names(toolbox)
        assert not {"calculate", "f"} & names(toolbox)
        assert source(toolbox, "w").state == "off"
        with pytest.raises(UsageError, match="There is no tool or source 'nope'"):
            toolbox.set_enabled("nope", True)
        with pytest.raises(UsageError, match="There is no tool file 'built-in'"):
            toolbox.trust("built-in")


@pytest.mark.parametrize("name", ["config/tools.json", "data/trust.json"])
def test_a_damaged_file_of_choices_raises_an_error(
    paths: ToolPaths, tmp_path: Path, name: str
) -> None:
    write(paths, "sums.py", PYTHON)
    (tmp_path / "data").mkdir()
    (tmp_path / name).write_text("{")
    with pytest.raises(ToolFileError, match="is not valid JSON"):
        Toolbox.open(paths)
    (tmp_path / "config/tools.json").write_text('{"f": 1}')
    with pytest.raises(ToolFileError, match="each true or false"):
        Toolbox.open(paths)


def test_a_refresh_without_changes_is_fast(paths: ToolPaths, toolbox: Toolbox) -> None:
    for number in range(20):
        write(paths, f"t{number}.json", f'[{{"name": "f{number}"}}]')
    toolbox.refresh()
    start = time.perf_counter()
    for _ in range(20):
        toolbox.refresh()
    assert (time.perf_counter() - start) / 20 < 0.01


def test_tools_cannot_write_the_programs_own_folders(tmp_path: Path) -> None:
    paths = ToolPaths(tmp_path / "config", tmp_path / "data", tmp_path / "state", tmp_path)
    (tmp_path / "config").mkdir()
    with Toolbox.open(paths) as toolbox:
        for path in ("config/policy.toml", "config/tools/x.py", "data/trust.json"):
            with pytest.raises(ToolError, match="is protected"):
                call(toolbox, "write_file", path=path, text="x")
    assert not list((tmp_path / "config").iterdir())


@pytest.mark.slow
def test_a_server_can_be_trusted_and_used(paths: ToolPaths) -> None:
    written(paths.config, one=entry())
    with Toolbox.open(paths) as toolbox:
        assert source(toolbox, "one").state == "untrusted"
        with pytest.raises(UsageError, match="review its tools, then trust it"):
            toolbox.trust("one")
        assert "echo" in source(toolbox, "one").detail
        toolbox.trust("one")
        assert call(toolbox, "echo", text="hi") == "hi"
        toolbox.set_enabled("one", False)
        assert "echo" not in names(toolbox)
        toolbox.set_enabled("one", True)
        (paths.config / "mcp.json").unlink()
        toolbox.refresh()
        assert "echo" not in names(toolbox)
    written(paths.config, one=entry())
    with Toolbox.open(paths) as toolbox:
        assert "echo" in names(toolbox)
        assert call(toolbox, "echo", text="hi") == "hi"
