from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import click
import pytest

from xlam_local.cli.request import WAITING, read_request
from xlam_local.errors import UsageError


class Terminal(io.TextIOWrapper):
    """Standard input that is a terminal."""

    def isatty(self) -> bool:
        return True


def use_stdin(monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    """Pipe `text` to stdin; None makes it a terminal."""
    kind = Terminal if text is None else io.TextIOWrapper
    monkeypatch.setattr(sys, "stdin", kind(io.BytesIO((text or "").encode()), "utf-8"))


@pytest.mark.parametrize(
    ("words", "piped", "request_text"),
    [
        (["Summarize"], "some notes\n", "Summarize\n\nsome notes"),
        (["Summarize", "this"], "", "Summarize this"),
        (["Summarize"], None, "Summarize"),
        (["Summarize", "-"], "notes", "Summarize\n\nnotes"),
        (["-"], "notes", "notes"),
        (["5", "-", "3"], "", "5 - 3"),
        ([], " notes \n", "notes"),
    ],
)
def test_text_and_piped_text_are_joined(
    words: list[str], piped: str | None, request_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_stdin(monkeypatch, piped)
    assert read_request(words).text == request_text


@pytest.mark.parametrize("words", [[""], ["  "], ["", "\n"], ["", "-"]])
@pytest.mark.parametrize("piped", [None, "", "notes"])
def test_an_empty_text_is_an_error(
    words: list[str], piped: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_stdin(monkeypatch, piped)
    with pytest.raises(click.UsageError, match="TEXT is empty"):
        read_request(words)


@pytest.mark.parametrize(
    ("words", "piped", "message"),
    [
        ([], None, r"Missing argument TEXT\. Give"),
        ([], " \n", "and stdin is empty"),
        (["-"], "", "stdin is empty"),
        (["Summarize", "-"], "\n", "stdin is empty"),
    ],
)
def test_a_missing_text_is_an_error(
    words: list[str], piped: str | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_stdin(monkeypatch, piped)
    with pytest.raises(click.UsageError, match=message):
        read_request(words)
    assert read_request([], required=False).text == ""


def test_files_follow_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.md").write_text("Eggs")
    Path("b.py").write_text("x = '```'\n")
    use_stdin(monkeypatch, "piped")
    files = [Path("a.md"), Path("b.py"), Path("a.md")]
    assert read_request(["Compare"], files).text == (
        "Compare\n\npiped\n\na.md:\n```\nEggs\n```\n\nb.py:\n````\nx = '```'\n````"
    )
    use_stdin(monkeypatch, "")
    assert read_request([], files[:1]).text == "a.md:\n```\nEggs\n```"


def test_a_file_that_cannot_be_attached_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_stdin(monkeypatch, "")
    (tmp_path / "b.bin").write_bytes(b"\x00\x01")
    for name in ("none.md", "b.bin", "."):
        with pytest.raises(UsageError, match=str(tmp_path)):
            read_request(["Compare"], [tmp_path / name])


def test_the_user_is_told_that_stdin_is_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    with os.fdopen(read_end, encoding="utf-8") as stdin, os.fdopen(write_end, "w"):
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr("xlam_local.cli.request.SILENT_STDIN_S", 0.0)
        monkeypatch.setattr("xlam_local.user_file.read_stdin", lambda: "late")
        assert read_request(["Hi"]).text == "Hi\n\nlate"
    assert WAITING in capsys.readouterr().err
