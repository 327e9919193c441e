from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import entry, written
from xlam_local.consent import Consent
from xlam_local.errors import ToolError, ToolFileError, UsageError
from xlam_local.policy import Allow, Asks
from xlam_local.tools import packages
from xlam_local.tools.builtin import OFF
from xlam_local.tools.toolbox import Toolbox
from xlam_local.tools.types import Places, Source
from xlam_local.types import Always, Tool, ToolCall

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
def places(tmp_path: Path) -> Places:
    for name in ("config/tools", "work"):
        (tmp_path / name).mkdir(parents=True)
    return Places(tmp_path / "config", tmp_path / "data", tmp_path / "state", tmp_path / "work")


@pytest.fixture
def toolbox(places: Places) -> Iterator[Toolbox]:
    with Toolbox.open(places) as box:
        yield box


def put(places: Places, name: str, text: str) -> Path:
    path = places.config / "tools" / name
    path.write_text(text)
    return path


def place(box: Toolbox, name: str) -> Source:
    return next(one for one in box.sources if one.name == name)


def names(box: Toolbox) -> set[str]:
    return {tool.name for tool in box.tools}


def tool(box: Toolbox, name: str) -> Tool:
    return next(one for one in box.tools if one.name == name)


def call(box: Toolbox, tool_name: str, **arguments: Any) -> Any:
    run = tool(box, tool_name).run
    assert run is not None
    return run(**arguments)


def test_the_built_in_tools_are_there(toolbox: Toolbox) -> None:
    assert place(toolbox, "built-in").state == "ready"
    every = {one.name for one in place(toolbox, "built-in").tools}
    assert names(toolbox) == every - OFF
    assert every > OFF
    assert {one.source for one in toolbox.tools} == {"built-in"}


def test_a_new_file_is_noticed_agreed_to_and_offered(places: Places, toolbox: Toolbox) -> None:
    put(places, "sums.py", PYTHON)
    put(places, "words.toml", COMMAND)
    toolbox.refresh()
    assert (place(toolbox, "sums").kind, place(toolbox, "sums").state) == ("python", "not agreed")
    assert "add (read): Add two numbers." in place(toolbox, "sums").detail
    assert place(toolbox, "words").detail == "say (read): echo {words}"
    assert not {"add", "say"} & names(toolbox)
    toolbox.agree("sums")
    toolbox.agree("words")
    assert call(toolbox, "add", a=1, b=2) == 3
    assert call(toolbox, "say", words="hi") == "hi\n"
    assert tool(toolbox, "add").source == "sums"
    assert place(toolbox, "words").kind == "command"


def test_what_a_file_prints_and_why_it_fails_is_in_a_log(places: Places, toolbox: Toolbox) -> None:
    body = "print('here'); import sys; print('there', file=sys.stderr); 1 / 0"
    put(places, "loud.py", f"from xlam_local import tool\n@tool\ndef loud() -> int:\n    {body}\n")
    toolbox.refresh()
    toolbox.agree("loud")
    with pytest.raises(ToolError, match="ZeroDivisionError"):
        call(toolbox, "loud")
    log = (places.state / "tools" / "loud.log").read_text()
    assert all(
        word in log for word in ("loud printed: here", "there", "loud.py", "line 4", "ZeroDivision")
    )


def test_an_agreement_is_kept_until_the_file_changes(places: Places, toolbox: Toolbox) -> None:
    path = put(places, "sums.py", PYTHON)
    toolbox.refresh()
    toolbox.agree("sums")
    with Toolbox.open(places) as again:
        assert "add" in names(again)
    path.write_text(PYTHON.replace("a + b", "a - b"))
    toolbox.refresh()
    assert place(toolbox, "sums").state == "not agreed"
    path.write_text(PYTHON)
    toolbox.refresh()
    assert call(toolbox, "add", a=1, b=2) == 3
    path.unlink()
    toolbox.refresh()
    assert "add" not in names(toolbox)


def test_a_change_that_nobody_noticed_does_not_run(places: Places, toolbox: Toolbox) -> None:
    path = put(places, "sums.py", PYTHON)
    toolbox.refresh()
    toolbox.agree("sums")
    path.write_text(PYTHON.replace("a + b", "a - b"))
    assert call(toolbox, "add", a=1, b=2) == 3


def test_the_same_text_under_another_suffix_is_agreed_to_anew(
    places: Places, toolbox: Toolbox
) -> None:
    put(places, "a.json", '{"tool": [{"name": "f", "command": ["ls"]}]}')
    toolbox.refresh()
    toolbox.agree("a")
    put(places, "b.json", '{"tool": [{"name": "g", "command": ["ls"]}]}')
    put(places, "c.py", '{"tool": [{"name": "f", "command": ["ls"]}]}')
    toolbox.refresh()
    assert place(toolbox, "b").state == place(toolbox, "c").state == "not agreed"


def test_a_file_that_cannot_be_used_keeps_no_other_from_it(
    places: Places, toolbox: Toolbox
) -> None:
    put(places, "broken.py", "def f(:")
    put(places, "broken.toml", "x = ")
    put(places, "late.py", "1 / 0")
    put(places, "sums.py", PYTHON)
    put(places, "notes.txt", "no tools")
    (places.config / "tools" / "folder.py").mkdir()
    toolbox.refresh()
    toolbox.agree("sums")
    toolbox.agree("late")
    assert "is not Python" in place(toolbox, "broken").detail
    assert "is not TOML" in place(toolbox, "broken_").detail
    assert "ZeroDivisionError" in place(toolbox, "late").detail
    assert "is not a file" in place(toolbox, "folder").detail
    assert {one.state for one in toolbox.sources} == {"ready", "failed"}
    assert "add" in names(toolbox)


def test_files_named_by_the_user_are_there(places: Places, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(PYTHON)
    schemas = tmp_path / "weather.json"
    schemas.write_text('[{"name": "weather"}]')
    with Toolbox.open(places, [path, schemas]) as box:
        assert place(box, "mine").state == "not agreed"
        assert (place(box, "weather").kind, place(box, "weather").state) == ("schemas", "ready")
        assert tool(box, "weather").run is None
    with Toolbox.open(places, [path], trusted=True) as box:
        assert "add" in names(box)
    with Toolbox.open(places, [path]) as box:  # trust was for that time only
        assert "add" not in names(box)
    with Toolbox.open(places, [tmp_path / "nope.py", tmp_path / "x.yaml"]) as box:
        assert "cannot be read: No such file" in place(box, "nope").detail
        assert place(box, "x").state == "failed"


def test_names_that_clash_are_told_apart(places: Places, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.json").write_text('[{"name": "f"}]')
        put(places, f"{name}.json", '[{"name": "f"}, {"name": "calculate"}]')
    mine = tmp_path / "mine.json"
    mine.write_text('[{"name": "read_file"}]')
    with Toolbox.open(places, [mine]) as box:
        assert {"one_f", "two_f", "calculate", "one_calculate", "two_calculate"} <= names(box)
        assert tool(box, "calculate").source == "built-in"
        assert tool(box, "read_file").source == "mine"
        assert len(box.tools) == len(names(box))


def test_an_answer_for_a_tool_is_for_its_file_only(places: Places, tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "words.toml").write_text(COMMAND.replace("read", "write"))
    policy = tmp_path / "policy.toml"
    verdicts = []
    for name in ("one", "other", "one"):
        with Toolbox.open(places, [tmp_path / name / "words.toml"], trusted=True) as box:
            made, consent = tool(box, "say"), Consent.open(policy, tmp_path)
            asked = made, ToolCall("call_0", "say", {"words": "hi"})
            verdicts.append(consent.verdict(*asked, [], []))
            if not policy.exists():
                consent.decide(asked, [], [], lambda _: Always(keep=True))
    assert [type(verdict) for verdict in verdicts] == [Asks, Asks, Allow]


def test_no_file_passes_for_a_server(places: Places, toolbox: Toolbox) -> None:
    put(places, "mcp: files.json", '[{"name": "f"}]')
    put(places, "one.toml", COMMAND)
    toolbox.refresh()
    assert tool(toolbox, "f").source == "mcp_ files"
    written(places.config, one=entry())
    toolbox.refresh()
    kinds = {one.name: one.kind for one in toolbox.sources}
    assert (kinds["one"], kinds["one_"]) == ("mcp", "command")
    toolbox.agree("one_", place(toolbox, "one_").version)
    assert place(toolbox, "one").state == "not agreed"
    assert "say" in names(toolbox)


def test_tools_and_sources_are_switched_and_that_is_kept(places: Places) -> None:
    put(places, "w.json", '[{"name": "f"}]')
    with Toolbox.open(places) as box:
        box.switch("run_command", True)
        box.switch("calculate", False)
        box.switch("w", False)
        box.switch("calculate", False)
    with Toolbox.open(places) as box:
        assert "run_command" in names(box)
        assert not {"calculate", "f"} & names(box)
        assert place(box, "w").state == "off"
        with pytest.raises(UsageError, match="no tool or source 'nope'"):
            box.switch("nope", True)
        with pytest.raises(UsageError, match="no file of tools 'built-in'"):
            box.agree("built-in")


@pytest.mark.parametrize("name", ["config/tools.json", "data/agreed.json"])
def test_a_damaged_memory_is_told(places: Places, tmp_path: Path, name: str) -> None:
    put(places, "sums.py", PYTHON)
    (tmp_path / "data").mkdir()
    (tmp_path / name).write_text("{")
    with pytest.raises(ToolFileError, match="cannot be read"):
        Toolbox.open(places)
    (tmp_path / "config/tools.json").write_text('{"f": 1}')
    with pytest.raises(ToolFileError, match="each true or false"):
        Toolbox.open(places)


def test_noticing_nothing_new_is_cheap(places: Places, toolbox: Toolbox) -> None:
    for number in range(20):
        put(places, f"t{number}.json", f'[{{"name": "f{number}"}}]')
    toolbox.refresh()
    began = time.perf_counter()
    for _ in range(20):
        toolbox.refresh()
    assert (time.perf_counter() - began) / 20 < 0.01


def test_installed_packages_offer_tools(places: Places, tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "weather").mkdir(parents=True)
    (site / "weather" / "__init__.py").write_text("raise SystemExit('imported')")
    (site / "weather" / "tools.py").write_text(PYTHON)
    info = site / "weather-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: weather\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[xlam_local.tools]\nweather = weather.tools:add\nlost = nowhere.tools\n"
    )
    found = {name: (path, value) for path, name, value in packages.found([str(site)])}
    assert found["weather"] == (site / "weather" / "tools.py", "weather.tools:add")
    assert not found["lost"][0].exists()


def test_a_package_that_is_worked_on_is_found_where_it_is(tmp_path: Path) -> None:
    site, source = tmp_path / "site", tmp_path / "my source"
    info = site / "weather-1.0.dist-info"
    info.mkdir(parents=True)
    (source / "src").mkdir(parents=True)
    (source / "src" / "weather.py").write_text(PYTHON)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: weather\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[xlam_local.tools]\nweather = weather\n")
    (info / "direct_url.json").write_text(f'{{"url": "{source.as_uri()}"}}')
    ((path, _, _),) = packages.found([str(site)])
    assert path == source / "src" / "weather.py"


def test_the_settings_are_closed_to_tools(tmp_path: Path) -> None:
    places = Places(tmp_path / "config", tmp_path / "data", tmp_path / "state", tmp_path)
    (tmp_path / "config").mkdir()
    with Toolbox.open(places) as box:
        for path in ("config/policy.toml", "config/tools/x.py", "data/agreed.json"):
            with pytest.raises(ToolError, match="is closed to tools"):
                call(box, "write_file", path=path, text="x")
    assert not list((tmp_path / "config").iterdir())


def test_servers_are_looked_at_agreed_to_and_called(places: Places) -> None:
    written(places.config, one=entry())
    with Toolbox.open(places) as box:
        assert place(box, "one").state == "not agreed"
        with pytest.raises(UsageError, match="look at its tools, then agree"):
            box.agree("one")
        assert "echo" in place(box, "one").detail
        box.agree("one")
        assert call(box, "echo", text="hi") == "hi"
        box.switch("one", False)
        assert "echo" not in names(box)
        box.switch("one", True)
        (places.config / "mcp.json").unlink()
        box.refresh()
        assert "echo" not in names(box)
    written(places.config, one=entry())
    with Toolbox.open(places) as box:
        assert "echo" in names(box)
        assert call(box, "echo", text="hi") == "hi"
