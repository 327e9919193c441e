"""The clipboard, and terminals without UTF-8."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from xlam_local.tui import clipboard, terminal_encoding


def test_copying_reports_where_the_text_is(tmp_path: Path) -> None:
    copied: list[str] = []
    report = clipboard.copy("x", copied.append, tmp_path, {"TERM": "xterm"})
    assert ("OSC 52" in report, copied) == (True, ["x"])
    long = "x" * 100_000
    report = clipboard.copy(long, copied.append, tmp_path, {"TERM": "xterm"})
    assert "copied.txt" in report
    assert (tmp_path / "copied.txt").read_text() == long
    assert "copied.txt" in clipboard.copy("y", copied.append, tmp_path, {"TERM": "linux"})
    (tmp_path / "file").write_text("")
    assert "Not copied" in clipboard.copy("y", copied.append, tmp_path / "file", {})


@pytest.mark.parametrize(
    ("environment", "locale"),
    [
        ({}, ""),
        ({"LANG": "de_DE.UTF-8"}, ""),
        ({"LANG": "C", "LC_ALL": "C.utf8"}, ""),
        ({"LC_CTYPE": "UTF-8", "LANG": ""}, ""),
        ({"LANG": "C"}, "C"),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, "C"),
        ({"LC_CTYPE": "de_DE.ISO-8859-1", "LANG": "de_DE.UTF-8"}, "de_DE.ISO-8859-1"),
    ],
)
def test_a_locale_that_is_not_utf_8_is_found(environment: dict[str, str], locale: str) -> None:
    assert terminal_encoding.non_utf8_locale(environment) == locale


@given(st.text(st.characters(codec="utf-8")))
def test_the_ascii_fallback_is_as_wide_as_the_text(text: str) -> None:
    codecs.register_error("test-fallback", terminal_encoding.ascii_fallback)
    encoded = text.encode("ascii", "test-fallback").decode("ascii")
    assert sum(map(cell_len, encoded)) == sum(map(cell_len, text))
