from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlam_local.excerpt import cut, text


def test_a_short_text_stays() -> None:
    assert cut("abc", 3) == "abc"


def test_a_long_text_keeps_its_beginning_and_end() -> None:
    short = cut("a" * 600 + "b" * 600, 300, "/state/f.txt")
    assert short.startswith(
        "a" * 200 + "\n[900 of 1,200 characters are left out here. All of it is"
    )
    assert "/state/f.txt, for the user.]\n" in short
    assert short.endswith("\n" + "b" * 100)


def test_lines_stay_whole_where_that_costs_little() -> None:
    lines = "".join(f"line {number}\n" for number in range(1000))
    short = cut(lines, 600).splitlines()
    assert set(short) - set(lines.splitlines()) == {
        "",
        "[8,294 of 8,890 characters are left out here.]",
    }


@given(st.text(max_size=300), st.integers(4, 200))
def test_no_more_stays_than_may(whole: str, most: int) -> None:
    short = cut(whole, most)
    assert short == whole or len(short) <= most + 80
    assert len(whole) > most or short == whole


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("é", "é"),
        ("a\ud800b", "a?b"),
        (b"gr\xc3\xbcn", "grün"),
        (b"\x89PNG\r\n\x1a\n\0", "(Binary data of 9 bytes: a PNG image.)"),
        (b"\xff\xfe", "(Binary data of 2 bytes: no text.)"),
        (b"a\0", "(Binary data of 2 bytes: no text.)"),
        (None, "null"),
        ({"a": [1, "é"]}, '{"a": [1, "é"]}'),
        (object, "\"<class 'object'>\""),
    ],
)
def test_every_value_is_told(value: Any, told: str) -> None:
    assert text(value) == told
