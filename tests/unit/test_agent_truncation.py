from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.fake_engine import Scripted
from xlam_local.agent.truncation import result_text, truncate_middle, truncate_result
from xlam_local.config import Config
from xlam_local.session import Session
from xlam_local.session_setup import turn_options
from xlam_local.types import Effect, Tool, ToolCall, ToolResult, UserMessage


def test_a_short_text_is_unchanged() -> None:
    assert truncate_middle("abc", 3) == "abc"


def test_a_long_text_keeps_its_beginning_and_end() -> None:
    short = truncate_middle("a" * 600 + "b" * 600, 300, "/state/f.txt")
    assert short == (
        "a" * 200
        + "\n[900 of 1,200 characters are omitted here. "
        + "The full text is saved for the user in /state/f.txt.]\n"
        + "b" * 100
    )


def test_lines_stay_whole_if_little_is_lost() -> None:
    lines = "".join(f"line {number}\n" for number in range(1000))
    short = truncate_middle(lines, 600).splitlines()
    note = "[8,294 of 8,890 characters are omitted here.]"
    assert set(short) - set(lines.splitlines()) == {"", note}


@pytest.mark.slow
@given(st.text(max_size=300), st.integers(4, 200))
def test_the_length_is_limited(text: str, max_chars: int) -> None:
    short = truncate_middle(text, max_chars)
    assert short == text or len(short) <= max_chars + 80
    assert len(text) > max_chars or short == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("é", "é"),
        ("a\ud800b", "a?b"),
        (b"gr\xc3\xbcn", "grün"),
        (b"\x89PNG\r\n\x1a\n\0", "(Binary data of 9 bytes: a PNG image.)"),
        (b"\xff\xfe", "(Binary data of 2 bytes: unknown format.)"),
        (b"a\0", "(Binary data of 2 bytes: unknown format.)"),
        (None, "null"),
        ({"a": [1, "é"]}, '{"a": [1, "é"]}'),
        (object, "\"<class 'object'>\""),
    ],
)
def test_every_value_has_a_text(value: Any, text: str) -> None:
    assert result_text(value) == text


CALL = ToolCall("call_0", "f", {})


def truncated(output: str, context_size: int) -> tuple[str, list[tuple[str, str]]]:
    """Truncate a result; return its text, and what was saved."""
    saved: list[tuple[str, str]] = []

    def save(name: str, text: str) -> str:
        saved.append((name, text))
        return "/saved"

    counter = Scripted(context_size=context_size)
    result = truncate_result(ToolResult(CALL, output), [UserMessage("hi")], (), counter, save)
    return result.output, saved


def test_a_result_that_fits_is_unchanged() -> None:
    text = "word " * 500
    assert truncated(text, 8000) == (text, [])


def test_a_result_takes_at_most_a_quarter_of_the_context() -> None:
    text = "word " * 5000
    for size in (1000, 4000, 16000):
        short, saved = truncated(text, size)
        assert size // 5 <= len(short.split()) <= size // 4 + 60
        assert saved == [("f", text)]
        assert "The full text is saved for the user in /saved.]" in short


def test_a_result_with_more_tokens_at_its_ends_is_truncated_again() -> None:
    text = "a " * 500 + "x" * 100_000 + " b" * 500
    short, _ = truncated(text, 1000)
    assert len(short.split()) <= 1000 // 4 + 60


def test_a_huge_result_is_truncated_without_counting_all_of_it() -> None:
    short, _ = truncated("x" * (1 << 28), 1000)
    assert len(short) < 20_000


def test_a_truncated_result_is_saved_in_the_users_results_folder(own_folders: Path) -> None:
    read_book = Tool("read_book", "Read.", {}, Effect.READ, lambda: "word " * 5000)
    engine = Scripted(['[{"name": "read_book", "arguments": {}}]'], ["Done."], context_size=4000)
    session = Session(engine, [read_book], options=turn_options(Config()))
    events = list(session.send("Read the book"))
    (result,) = [event for event in events if isinstance(event, ToolResult)]
    assert len(result.output.split()) < 1100
    (saved,) = (own_folders / "state" / "results").iterdir()
    assert saved.read_text() == "word " * 5000
    assert str(saved) in result.output
