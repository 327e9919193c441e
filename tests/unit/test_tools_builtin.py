from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.fakes.tool_calls import preview, run
from xlam_local.errors import ToolError
from xlam_local.tools import builtin_tools
from xlam_local.tools.builtin.catalog import DISABLED_BY_DEFAULT, all_builtin_tools
from xlam_local.tools.builtin.shell import split_command
from xlam_local.tools.sources import ToolPaths
from xlam_local.types import Effect, Tool


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def tools(tmp_path: Path, work: Path) -> dict[str, Tool]:
    paths = ToolPaths(work / "config", tmp_path / "data", tmp_path / "state", work)
    return {tool.name: tool for tool in all_builtin_tools(paths)}


def test_few_tools_are_enabled_by_default(tools: dict[str, Tool], work: Path) -> None:
    enabled = [tool.name for tool in builtin_tools(work)]
    assert enabled == [name for name in tools if name not in DISABLED_BY_DEFAULT]
    assert len(enabled) <= 9


def test_every_tool_declares_its_effect(tools: dict[str, Tool]) -> None:
    effects = {n: tool.effect for n, tool in tools.items() if tool.effect is not Effect.READ}
    assert effects == {
        "write_file": Effect.WRITE,
        "edit_file": Effect.WRITE,
        "run_command": Effect.EXECUTE,
        "read_clipboard": Effect.EXECUTE,
        "write_clipboard": Effect.WRITE,
        "fetch_page": Effect.NETWORK,
        "add_note": Effect.WRITE,
    }
    assert all(tool.preview for name, tool in tools.items() if name in effects)


def test_the_time_is_known_for_cities_and_time_zones(tools: dict[str, Tool]) -> None:
    for place in ("here", "Tokyo", "new york", "Europe/Paris", "Asia/Tokyo, Japan", "UTC"):
        assert place in run(tools["current_time"], place=place)
    assert "JST" in run(tools["current_time"], place="tokyo")


def test_an_unknown_place_raises_an_error_with_similar_ones(tools: dict[str, Tool]) -> None:
    with pytest.raises(ToolError, match=r"Did you mean .*Europe/Paris"):
        run(tools["current_time"], place="Europe/Pariss")
    with pytest.raises(ToolError, match=r"no time zone '../x'\.$"):
        run(tools["current_time"], place="../x")


def test_days_are_counted(tools: dict[str, Tool]) -> None:
    assert run(tools["days_between"], start="2028-02-28", end="2028-03-01") == 2


@pytest.mark.parametrize(
    ("start", "shift", "result"),
    [
        ("2026-11-22", {"days": 90}, "Saturday, 2027-02-20"),
        ("2024-01-31", {"months": 1}, "Thursday, 2024-02-29"),
        ("2024-02-29", {"years": 1}, "Friday, 2025-02-28"),
        ("2024-03-31", {"months": -1}, "Thursday, 2024-02-29"),
        ("2024-01-15", {"months": -13, "days": -15}, "Wednesday, 2022-11-30"),
    ],
)
def test_dates_are_shifted(
    tools: dict[str, Tool], start: str, shift: dict[str, int], result: str
) -> None:
    assert run(tools["shift_date"], start=start, **shift) == result


@pytest.mark.parametrize("shift", [{"years": 9999}, {"days": 10**12}, {"months": -(10**9)}])
def test_a_date_outside_the_calendar_raises_an_error(
    tools: dict[str, Tool], shift: dict[str, int]
) -> None:
    with pytest.raises(ToolError, match="must be in the years 1 to 9999"):
        run(tools["shift_date"], start="2026-11-22", **shift)


def test_units_are_converted(tools: dict[str, Tool]) -> None:
    def convert(value: float, source: str, target: str) -> str:
        return str(run(tools["convert_units"], value=value, from_unit=source, to_unit=target))

    assert convert(100, "celsius", "fahrenheit") == "100 celsius = 212 fahrenheit"
    assert convert(-40, "fahrenheit", "celsius") == "-40 fahrenheit = -40 celsius"
    assert convert(0, "kelvin", "celsius") == "0 kelvin = -273.15 celsius"
    assert convert(1, "mile", "kilometer") == "1 mile = 1.60934 kilometer"
    with pytest.raises(ToolError, match="mile is a unit of length, but gram is a unit of mass"):
        convert(1, "mile", "gram")


def test_a_program_runs_in_the_working_folder(tools: dict[str, Tool], work: Path) -> None:
    (work / "a b").write_text("x")
    command = tools["run_command"]
    assert run(command, command="ls 'a b'") == "a b\n"
    assert run(command, command="true") == "(The output is empty.)"
    assert preview(command, command="ls 'a b'").startswith(f"ls 'a b'\nin {work}, sandbox: ")
    with pytest.raises(ToolError, match="ls exited with code"):
        run(command, command="ls nope")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("grep -E 'a|b' f", ["grep", "-E", "a|b", "f"]),
        ('echo "a; b" \\; x', ["echo", "a; b", ";", "x"]),
        ("echo $HOME *", ["echo", "$HOME", "*"]),
        ("""echo "it's" '>'""", ["echo", "it's", ">"]),
    ],
)
def test_a_command_line_is_split_into_words(command: str, words: list[str]) -> None:
    assert split_command(command) == words


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("ls | wc", r"so '\|' is not supported"),
        ("ls;id", "so ';' is not supported"),
        ("ls && id", "so '&' is not supported"),
        ("ls > f", "so '>' is not supported"),
        ("cat <(id)", "so '<' is not supported"),
        ("echo `id`", "so '`' is not supported"),
        ("echo $(id)", r"so '\$\(' is not supported"),
        ("echo 'open", "cannot be parsed"),
        ("", "must begin with the name of a program"),
        ("''", "must begin with the name of a program"),
    ],
)
def test_a_command_line_that_needs_a_shell_raises_an_error(command: str, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        split_command(command)


def test_notes_are_kept(tools: dict[str, Tool], tmp_path: Path) -> None:
    read, add = tools["read_notes"], tools["add_note"]
    assert run(read) == "No notes found."
    assert preview(add, text="Anna likes tea") == "+ Anna likes tea"
    run(add, text="Anna likes tea")
    run(add, text="The car is\nblue")
    with (tmp_path / "data" / "notes.jsonl").open("a") as file:
        file.write("damaged\n")
    assert run(read, words="TEA").endswith(": Anna likes tea")
    assert len(run(read).splitlines()) == 4
    with pytest.raises(ToolError, match="at most 2000 characters"):
        run(add, text="x" * 3000)
    (tmp_path / "data" / "notes.jsonl").write_bytes(b"x" * (2 << 20))
    with pytest.raises(ToolError, match="The notes file is full"):
        run(add, text="x")
    (tmp_path / "data" / "notes.jsonl").write_bytes(b"\xff")
    with pytest.raises(ToolError, match="is not UTF-8: byte 0"):
        run(add, text="x")
    with pytest.raises(ToolError, match="is not UTF-8: byte 0"):
        run(read)


def test_a_note_after_a_damaged_line_is_a_line_of_its_own(
    tools: dict[str, Tool], tmp_path: Path
) -> None:
    run(tools["add_note"], text="one")
    path = tmp_path / "data" / "notes.jsonl"
    path.write_text(path.read_text() + '{"on": "2026')
    run(tools["add_note"], text="two\u2028x")
    assert [line.partition(": ")[2] for line in run(tools["read_notes"]).split("\n")] == [
        "one",
        '{"on": "2026',
        "two\u2028x",
    ]


@pytest.mark.parametrize("line", ["[" * 100_000, '{"on": "2026", "text": 1e999}', "[]", "9" * 5000])
def test_a_damaged_note_does_not_cost_the_others(
    tools: dict[str, Tool], tmp_path: Path, line: str
) -> None:
    run(tools["add_note"], text="Tea.")
    path = tmp_path / "data" / "notes.jsonl"
    path.write_text(f"{line}\n{path.read_text()}")
    damaged, note = run(tools["read_notes"]).split("\n")
    assert (damaged, note[-6:]) == (f"?: {line}", ": Tea.")


@pytest.mark.skipif(shutil.which("xclip") is not None, reason="this machine has a clipboard")
def test_a_missing_clipboard_raises_an_error(tools: dict[str, Tool]) -> None:
    for name, arguments in (("read_clipboard", {}), ("write_clipboard", {"text": "x"})):
        with pytest.raises(ToolError, match="No clipboard program is installed"):
            run(tools[name], **arguments)


def test_the_clipboard_is_written_and_read(
    tools: dict[str, Tool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    clipboard = tmp_path / "clipboard"
    for name, script in (("wl-copy", f"cat > {clipboard}"), ("wl-paste", f"cat {clipboard}")):
        path = programs / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    assert run(tools["write_clipboard"], text="é") == "The text is on the clipboard."
    assert run(tools["read_clipboard"]) == "é"


def test_a_page_is_not_fetched_from_this_machine(tools: dict[str, Tool]) -> None:
    fetch = tools["fetch_page"]
    assert preview(fetch, url="https://x.org/a") == "GET https://x.org/a\nfrom x.org"
    with pytest.raises(ToolError, match="not public"):
        run(fetch, url="http://127.0.0.1/")
    with pytest.raises(ToolError, match="only http and https"):
        preview(fetch, url="file:///etc/passwd")
