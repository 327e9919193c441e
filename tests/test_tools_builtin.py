from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from xlam_local.errors import ToolError
from xlam_local.tools import builtin
from xlam_local.tools.builtin import OFF, everything
from xlam_local.tools.builtin_programs import split
from xlam_local.tools.paths import Folder
from xlam_local.tools.types import Places
from xlam_local.types import Effect, Tool


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def tools(tmp_path: Path, work: Path) -> dict[str, Tool]:
    places = Places(work / "config", tmp_path / "data", tmp_path / "state", work)
    return {made.name: made for made in everything(places)}


def run(made: Tool, **arguments: Any) -> Any:
    assert made.run is not None
    return made.run(**arguments)


def shown(made: Tool, **arguments: Any) -> str:
    assert made.preview is not None
    return made.preview(**arguments)


def test_few_tools_are_on_by_themselves(tools: dict[str, Tool], work: Path) -> None:
    on = [made.name for made in builtin(work)]
    assert on == [name for name in tools if name not in OFF]
    assert len(on) <= 9


def test_every_effect_is_told(tools: dict[str, Tool]) -> None:
    acts = {name: made.effect for name, made in tools.items() if made.effect is not Effect.READ}
    assert acts == {
        "write_file": Effect.WRITE,
        "edit_file": Effect.WRITE,
        "run_command": Effect.EXECUTE,
        "read_clipboard": Effect.EXECUTE,
        "write_clipboard": Effect.WRITE,
        "fetch_page": Effect.NETWORK,
        "add_note": Effect.WRITE,
    }
    assert all(made.preview for name, made in tools.items() if name in acts)


@pytest.mark.parametrize(
    ("start", "shift", "found"),
    [
        ("2026-11-22", {"days": 90}, "Saturday, 2027-02-20"),
        ("2024-01-31", {"months": 1}, "Thursday, 2024-02-29"),
        ("2024-02-29", {"years": 1}, "Friday, 2025-02-28"),
        ("2024-03-31", {"months": -1}, "Thursday, 2024-02-29"),
        ("2024-01-15", {"months": -13, "days": -15}, "Wednesday, 2022-11-30"),
    ],
)
def test_dates_are_shifted(
    tools: dict[str, Tool], start: str, shift: dict[str, int], found: str
) -> None:
    assert run(tools["shift_date"], start=start, **shift) == found


@pytest.mark.parametrize("shift", [{"years": 9999}, {"days": 10**12}, {"months": -(10**9)}])
def test_a_date_beyond_the_calendar_is_told(tools: dict[str, Tool], shift: dict[str, int]) -> None:
    with pytest.raises(ToolError, match="out of the calendar's range"):
        run(tools["shift_date"], start="2026-11-22", **shift)


def test_files_are_searched(tools: dict[str, Tool], work: Path) -> None:
    (work / "a").mkdir()
    (work / "a" / "one.py").write_text("x = 1\n  Needle = 2\n")
    (work / "needle.txt").write_text("nothing")
    (work / "binary").write_bytes(b"\0needle")
    (work / ".git").mkdir()
    (work / ".git" / "config").write_text("needle")
    (work / "link").symlink_to("/etc")
    search = tools["search_files"]
    assert run(search, text="needle") == "needle.txt\na/one.py:2: Needle = 2"
    assert run(search, text="needle", names="*.py") == "a/one.py:2: Needle = 2"
    assert run(search, text="needle", names="a/*") == "a/one.py:2: Needle = 2"
    assert run(search, text="haystack") == "Nothing has 'haystack'."
    with pytest.raises(ToolError, match="no words to find"):
        run(search, text=" ")


def test_a_search_that_finds_much_says_so(tools: dict[str, Tool], work: Path) -> None:
    (work / "long").write_text("needle\n" * 150)
    assert run(tools["search_files"], text="needle").endswith("these are the first 100.)")


def test_a_search_does_not_look_at_the_settings(tools: dict[str, Tool], work: Path) -> None:
    (work / "config").mkdir()
    (work / "config" / "policy.toml").write_text("needle")
    assert run(tools["search_files"], text="needle") == "Nothing has 'needle'."


def test_a_write_is_shown_as_a_diff(tools: dict[str, Tool], work: Path) -> None:
    (work / "f").write_text("a\nb\nc\n")
    diff = shown(tools["write_file"], path="f", text="a\nB\nc\n")
    assert diff.splitlines() == [
        "--- f (now)",
        "+++ f (then)",
        "@@ -1,3 +1,3 @@",
        " a",
        "-b",
        "+B",
        " c",
    ]
    assert shown(tools["write_file"], path="g", text="x").endswith("+x")
    assert shown(tools["write_file"], path="f", text="a\nb\nc\n") == "f stays as it is."
    assert (
        shown(tools["write_file"], path="f", text="a\nb\nc") == "f changes in its last line break."
    )
    hidden = shown(tools["write_file"], path="f", text="a\x0cb\nc\n")
    assert hidden.split("\n")[3:] == ["-a", "-b", "+a\x0cb", " c"]
    (work / "h").write_bytes(b"\0")
    assert "-(not text)" in shown(tools["write_file"], path="h", text="x")


def test_a_file_is_edited_in_one_place(tools: dict[str, Tool], work: Path) -> None:
    path = work / "f"
    path.write_text("one two two\n")
    path.chmod(0o640)
    edit = tools["edit_file"]
    assert "+1 two two" in shown(edit, path="f", old="one", new="1")
    assert run(edit, path="f", old="one", new="1") == "Changed f."
    assert path.read_text() == "1 two two\n"
    assert path.stat().st_mode & 0o777 == 0o640
    for old, told in (("two", "stands 2 times"), ("three", "stands nowhere"), ("", "nowhere")):
        with pytest.raises(ToolError, match=rf"(?i){told}"):
            run(edit, path="f", old=old, new="x")
        with pytest.raises(ToolError, match=rf"(?i){told}"):
            shown(edit, path="f", old=old, new="x")


def test_what_cannot_be_edited_is_told(tools: dict[str, Tool], work: Path) -> None:
    (work / "binary").write_bytes(b"\xff\xfe")
    (work / "large").write_bytes(b"x" * (1 << 21))
    for name, told in (("binary", "not a text file"), ("large", "more than"), ("no", "No such")):
        with pytest.raises(ToolError, match=rf"(?i){told}"):
            run(tools["edit_file"], path=name, old="x", new="y")


def test_a_write_leaves_other_names_of_a_file_alone(
    tools: dict[str, Tool], work: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").write_text("kept")
    os.link(tmp_path / "outside", work / "inside")
    run(tools["write_file"], path="inside", text="new")
    assert (tmp_path / "outside").read_text() == "kept"
    assert (work / "inside").read_text() == "new"


def test_what_is_no_file_is_told(tools: dict[str, Tool], work: Path) -> None:
    os.mkfifo(work / "pipe")
    (work / "sub").mkdir()
    for path, told in (
        ("pipe", "is not a file"),
        ("sub", "s a directory|is not a file"),
        (".", "itself"),
    ):
        with pytest.raises(ToolError, match=rf"(?i){told}"):
            run(tools["read_file"], path=path)
        with pytest.raises(ToolError, match=rf"(?i){told}"):
            run(tools["write_file"], path=path, text="x")
    with pytest.raises(ToolError, match="No such file"):
        run(tools["write_file"], path="no/such/folder", text="x")
    assert sorted(one.name for one in work.iterdir()) == ["pipe", "sub"]


def test_a_folder_swapped_for_a_link_is_not_followed(work: Path, tmp_path: Path) -> None:
    (work / "sub").mkdir()
    (work / "sub" / "f").write_text("inside")
    (tmp_path / "f").write_text("outside")

    class Swapping(Folder):
        """A folder that changes between judging a path and opening it."""

        def inside(self, path: str) -> Path:
            found = Folder.inside(self, path)
            shutil.rmtree(self.top / "sub")
            (self.top / "sub").symlink_to(self.top.parent)
            return found

    with pytest.raises(ToolError):
        Swapping(work).read("sub/f", 100)
    (work / "sub").unlink()
    (work / "sub").mkdir()
    with pytest.raises(ToolError):
        Swapping(work).entries("sub", 100)


def test_a_link_tells_nothing_of_where_it_leads(
    tools: dict[str, Tool], work: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("x" * 123)
    (work / "file").symlink_to(tmp_path / "secret")
    (work / "folder").symlink_to(tmp_path)
    assert run(tools["list_files"]) == "file (a link)\nfolder (a link)"


def test_a_program_runs(tools: dict[str, Tool], work: Path) -> None:
    (work / "a b").write_text("x")
    command = tools["run_command"]
    assert run(command, command="ls 'a b'") == "a b\n"
    assert run(command, command="true") == "(It printed nothing.)"
    assert shown(command, command="ls 'a b'").startswith(f"ls 'a b'\nin {work}, sandbox: ")
    with pytest.raises(ToolError, match="exit code"):
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
def test_a_command_line_is_split(command: str, words: list[str]) -> None:
    assert split(command) == words


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("ls | wc", "no shell here, so '|'"),
        ("ls;id", "no shell here, so ';'"),
        ("ls && id", "no shell here, so '&'"),
        ("ls > f", "no shell here, so '>'"),
        ("cat <(id)", "no shell here, so '<'"),
        ("echo `id`", "no shell here, so '`'"),
        ("echo $(id)", r"no shell here, so '\$\('"),
        ("echo 'open", "cannot be read"),
        ("", "no program to run"),
        ("''", "no program to run"),
    ],
)
def test_a_command_line_that_needs_a_shell_is_told(command: str, told: str) -> None:
    with pytest.raises(ToolError, match=rf"(?i){told}"):
        split(command)


def test_notes_stay(tools: dict[str, Tool], tmp_path: Path) -> None:
    read, add = tools["read_notes"], tools["add_note"]
    assert run(read) == "There is no such note."
    assert shown(add, text="Anna likes tea") == "+ Anna likes tea"
    run(add, text="Anna likes tea")
    run(add, text="The car is\nblue")
    with (tmp_path / "data" / "notes.jsonl").open("a") as file:
        file.write("damaged\n")
    assert run(read, words="TEA").endswith(": Anna likes tea")
    assert len(run(read).splitlines()) == 4
    with pytest.raises(ToolError, match="at most 2000 characters"):
        run(add, text="x" * 3000)
    (tmp_path / "data" / "notes.jsonl").write_bytes(b"\xff" * (2 << 20))
    with pytest.raises(ToolError, match="no room"):
        run(add, text="x")
    with pytest.raises(ToolError, match="cannot be read"):
        run(read)


@pytest.mark.skipif(shutil.which("xclip") is not None, reason="this machine has a clipboard")
def test_a_clipboard_that_is_missing_is_told(tools: dict[str, Tool]) -> None:
    for name, more in (("read_clipboard", {}), ("write_clipboard", {"text": "x"})):
        with pytest.raises(ToolError, match="no program for the clipboard"):
            run(tools[name], **more)


def test_the_clipboard_is_written_and_read(
    tools: dict[str, Tool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, script in (("wl-copy", "cat > CLIP"), ("wl-paste", "cat CLIP")):
        path = programs / name
        path.write_text(f"#!/bin/sh\n{script.replace('CLIP', str(tmp_path / 'clip'))}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    assert run(tools["write_clipboard"], text="é") == "It is on the clipboard."
    assert run(tools["read_clipboard"]) == "é"


def test_a_page_is_not_fetched_from_this_machine(tools: dict[str, Tool]) -> None:
    assert shown(tools["fetch_page"], url="https://x.org/a") == "GET https://x.org/a\nfrom x.org"
    with pytest.raises(ToolError, match="not public"):
        run(tools["fetch_page"], url="http://127.0.0.1/")
    with pytest.raises(ToolError, match="only http and https"):
        shown(tools["fetch_page"], url="file:///etc/passwd")
