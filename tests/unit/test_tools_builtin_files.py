from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.fakes.tool_calls import preview, run
from xlam_local.errors import ToolError
from xlam_local.tools.builtin.files import file_tools
from xlam_local.tools.safe_paths import SafeFolder
from xlam_local.types import Tool


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def tools(work: Path) -> dict[str, Tool]:
    """The file tools; the folder `config` in the working folder is protected."""
    folder = SafeFolder.from_path(work, [work / "config"])
    return {tool.name: tool for tool in file_tools(folder)}


def test_files_are_listed_read_and_written(tools: dict[str, Tool], work: Path) -> None:
    (work / "a.txt").write_text("Grüße", encoding="utf-8")
    (work / "b").mkdir()
    assert run(tools["list_files"]) == "a.txt (7 bytes)\nb/"
    assert run(tools["list_files"], folder="b") == "(empty)"
    assert run(tools["read_file"], path="a.txt") == "Grüße"
    assert run(tools["write_file"], path="b/c.txt", text="é") == "Wrote 2 bytes to b/c.txt."
    assert (work / "b" / "c.txt").read_text(encoding="utf-8") == "é"


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "b/../../secret", "link"])
def test_files_outside_the_folder_are_refused(
    path: str, tools: dict[str, Tool], work: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    (work / "link").symlink_to(tmp_path / "secret")
    for name, arguments in (("read_file", {}), ("write_file", {"text": "x"})):
        with pytest.raises(ToolError, match="outside the working folder"):
            run(tools[name], path=path, **arguments)
    assert (tmp_path / "secret").read_text() == "secret"


def test_a_file_that_cannot_be_read_raises_an_error(tools: dict[str, Tool], work: Path) -> None:
    (work / "image").write_bytes(b"\x89PNG\xff")
    with pytest.raises(ToolError, match="not a text file"):
        run(tools["read_file"], path="image")
    with pytest.raises(ToolError, match="nope: No such file"):
        run(tools["read_file"], path="nope")
    with pytest.raises(ToolError, match="not a path"):
        run(tools["read_file"], path="a\0b")


def test_long_results_are_truncated_with_a_note(tools: dict[str, Tool], work: Path) -> None:
    (work / "long").write_text("é" * 15_000, encoding="utf-8")
    text = run(tools["read_file"], path="long")
    assert text.startswith("é" * 9_999)
    assert text.endswith("(Truncated: these are the first 20,000 bytes of the file.)")
    (work / "odd").write_text("a" + "é" * 15_000, encoding="utf-8")
    assert "\ufffd" not in run(tools["read_file"], path="odd")
    (work / "b").mkdir()
    for number in range(250):
        (work / "b" / str(number)).touch()
    assert run(tools["list_files"], folder="b").endswith("(50 more are not shown.)")


def test_files_are_searched_by_name_and_line(tools: dict[str, Tool], work: Path) -> None:
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
    assert run(search, text="haystack") == "No file matches 'haystack'."
    with pytest.raises(ToolError, match="The text to find is empty"):
        run(search, text=" ")


def test_a_search_with_many_matches_is_truncated(tools: dict[str, Tool], work: Path) -> None:
    (work / "long").write_text("needle\n" * 150)
    assert run(tools["search_files"], text="needle").endswith("these are the first 100.)")


def test_a_search_does_not_read_protected_folders(tools: dict[str, Tool], work: Path) -> None:
    (work / "config").mkdir()
    (work / "config" / "policy.toml").write_text("needle")
    assert run(tools["search_files"], text="needle") == "No file matches 'needle'."


def test_the_preview_of_a_write_is_a_diff(tools: dict[str, Tool], work: Path) -> None:
    write = tools["write_file"]
    (work / "f").write_text("a\nb\nc\n")
    assert preview(write, path="f", text="a\nB\nc\n").splitlines() == [
        "--- f (now)",
        "+++ f (new)",
        "@@ -1,3 +1,3 @@",
        " a",
        "-b",
        "+B",
        " c",
    ]
    new = preview(write, path="g", text="x")
    assert new.splitlines() == ["--- no file", "+++ g (new file)", "@@ -0,0 +1 @@", "+x"]
    assert preview(write, path="g", text="") == "g is a new file without text."
    assert preview(write, path="f", text="a\nb\nc\n") == "f does not change."
    assert preview(write, path="f", text="a\nb\nc") == "f: only the last line break changes."
    with_form_feed = preview(write, path="f", text="a\x0cb\nc\n")
    assert with_form_feed.split("\n")[3:] == ["-a", "-b", "+a\x0cb", " c"]
    (work / "h").write_bytes(b"\0")
    assert "-(not text)" in preview(write, path="h", text="x")


def test_an_edit_replaces_text_that_occurs_once(tools: dict[str, Tool], work: Path) -> None:
    path = work / "f"
    path.write_text("one two two\n")
    path.chmod(0o640)
    edit = tools["edit_file"]
    assert "+1 two two" in preview(edit, path="f", old="one", new="1")
    assert run(edit, path="f", old="one", new="1") == "Changed f."
    assert path.read_text() == "1 two two\n"
    assert path.stat().st_mode & 0o777 == 0o640
    for old, count in (("two", 2), ("three", 0), ("", 0)):
        for call in (run, preview):
            with pytest.raises(ToolError, match=f"exactly once in f; it occurs {count} times"):
                call(edit, path="f", old=old, new="x")


def test_a_file_that_cannot_be_edited_raises_an_error(tools: dict[str, Tool], work: Path) -> None:
    (work / "binary").write_bytes(b"\xff\xfe")
    (work / "large").write_bytes(b"x" * (1 << 21))
    for name, message in (
        ("binary", "not a text file"),
        ("large", "larger than 1,048,576 bytes"),
        ("no", "No such"),
    ):
        with pytest.raises(ToolError, match=message):
            run(tools["edit_file"], path=name, old="x", new="y")


def test_a_write_does_not_change_other_hard_links(
    tools: dict[str, Tool], work: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").write_text("unchanged")
    os.link(tmp_path / "outside", work / "inside")
    run(tools["write_file"], path="inside", text="new")
    assert (tmp_path / "outside").read_text() == "unchanged"
    assert (work / "inside").read_text() == "new"


def test_pipes_and_folders_are_not_files(tools: dict[str, Tool], work: Path) -> None:
    os.mkfifo(work / "pipe")
    (work / "sub").mkdir()
    for path, message in (
        ("pipe", "is not a file"),
        ("sub", "s a directory|is not a file"),
        (".", "itself"),
    ):
        with pytest.raises(ToolError, match=rf"(?i){message}"):
            run(tools["read_file"], path=path)
        with pytest.raises(ToolError, match=rf"(?i){message}"):
            run(tools["write_file"], path=path, text="x")
    with pytest.raises(ToolError, match="No such file"):
        run(tools["write_file"], path="no/such/folder", text="x")
    assert sorted(entry.name for entry in work.iterdir()) == ["pipe", "sub"]


def test_a_folder_that_becomes_a_link_is_not_followed(work: Path, tmp_path: Path) -> None:
    (work / "sub").mkdir()
    (work / "sub" / "f").write_text("inside")
    (tmp_path / "f").write_text("outside")

    class RacingFolder(SafeFolder):
        """A folder that is replaced by a link between the check of a path and its use."""

        def resolve(self, path: str) -> Path:
            resolved = SafeFolder.resolve(self, path)
            shutil.rmtree(self.root / "sub")
            (self.root / "sub").symlink_to(self.root.parent)
            return resolved

    with pytest.raises(ToolError):
        RacingFolder(work).read("sub/f", 100)
    (work / "sub").unlink()
    (work / "sub").mkdir()
    with pytest.raises(ToolError):
        RacingFolder(work).list_entries("sub", 100)


def test_a_listing_does_not_follow_links(
    tools: dict[str, Tool], work: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("x" * 123)
    (work / "file").symlink_to(tmp_path / "secret")
    (work / "folder").symlink_to(tmp_path)
    assert run(tools["list_files"]) == "file (a link)\nfolder (a link)"
