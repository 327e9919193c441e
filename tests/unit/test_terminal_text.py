from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from xlam_local.terminal_text import escape_control


def test_text_and_line_ends_are_unchanged() -> None:
    assert escape_control("Grüße,\n\t你好 🎉") == "Grüße,\n\t你好 🎉"
    assert escape_control("a\r\nb") == "a\nb"


def test_control_characters_are_escaped() -> None:
    assert escape_control("\x1b]52;c;eA==\x07") == "\\u001b]52;c;eA==\\u0007"
    assert escape_control("\x9b31m \u202egnp.exe a\rb") == "\\u009b31m \\u202egnp.exe a\\u000db"


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    assert all(
        c in "\t\n" or (c >= " " and not "\x7f" <= c <= "\x9f") for c in escape_control(text)
    )


def test_invisible_characters_are_escaped() -> None:
    assert escape_control("pay\u200bpal \ufeffx\u00ady") == "pay\\u200bpal \\ufeffx\\u00ady"
    assert escape_control("ta\U000e0067\U000e007f") == "ta\\U000e0067\\U000e007f"
    assert escape_control("a\u200db\u200c") == "a\\u200db\\u200c"
    assert escape_control("a\u2028b\ud800") == "a\\u2028b\\ud800"
    assert escape_control("x\ufe0f\ufe0e\ufe01\u180b") == "x\\ufe0f\\ufe0e\\ufe01\\u180b"
    assert escape_control("a\U00013430\U0001bca0b") == "a\\U00013430\\U0001bca0b"


VISIBLE_FORMAT_CHARACTERS = {
    *range(0x600, 0x606),
    0x6DD,
    0x70F,
    0x890,
    0x891,
    0x8E2,
    0x110BD,
    0x110CD,
}
"""Signs for numbers and verses, which have the category Cf although they are visible."""


def test_every_invisible_format_character_is_escaped() -> None:
    for code in range(0x110000):
        if unicodedata.category(chr(code)) == "Cf" and code not in VISIBLE_FORMAT_CHARACTERS:
            assert chr(code) not in escape_control(f"a{chr(code)}b"), hex(code)


def test_joiners_stay_if_a_script_needs_them() -> None:
    for text in (
        "1\ufe0f\u20e3",
        "\u2764\ufe0f",
        "\N{MAN}\u200d\N{WOMAN}\u200d\N{GIRL}",
        "\u0645\u06cc\u200c\u062e\u0648\u0627",
    ):
        assert escape_control(text) == text
