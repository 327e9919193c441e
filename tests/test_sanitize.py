import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from xlam_local.sanitize import printable


def test_words_and_lines_stay_as_they_are() -> None:
    assert printable("Grüße,\n\t你好 🎉") == "Grüße,\n\t你好 🎉"
    assert printable("a\r\nb") == "a\nb"


def test_what_commands_a_terminal_is_shown_as_its_number() -> None:
    assert printable("\x1b]52;c;eA==\x07") == "\\u001b]52;c;eA==\\u0007"
    assert printable("\x9b31m \u202egnp.exe a\rb") == "\\u009b31m \\u202egnp.exe a\\u000db"


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    assert all(c in "\t\n" or (c >= " " and not "\x7f" <= c <= "\x9f") for c in printable(text))


def test_what_is_not_seen_is_shown_as_its_number() -> None:
    assert printable("pay\u200bpal \ufeffx\u00ady") == "pay\\u200bpal \\ufeffx\\u00ady"
    assert printable("ta\U000e0067\U000e007f") == "ta\\U000e0067\\U000e007f"
    assert printable("a\u200db\u200c") == "a\\u200db\\u200c"
    assert printable("a\u2028b\ud800") == "a\\u2028b\\ud800"
    assert printable("x\ufe0f\ufe0e\ufe01\u180b") == "x\\ufe0f\\ufe0e\\ufe01\\u180b"
    assert printable("a\U00013430\U0001bca0b") == "a\\U00013430\\U0001bca0b"


SEEN = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
"""Marks of numbers and verses, which are format characters by name only."""


def test_every_character_that_only_formats_is_shown_as_its_number() -> None:
    for code in range(0x110000):
        if unicodedata.category(chr(code)) == "Cf" and code not in SEEN:
            assert chr(code) not in printable(f"a{chr(code)}b"), hex(code)


def test_joiners_stay_where_a_script_needs_them() -> None:
    for text in (
        "1\ufe0f\u20e3",
        "\u2764\ufe0f",
        "\N{MAN}\u200d\N{WOMAN}\u200d\N{GIRL}",
        "\u0645\u06cc\u200c\u062e\u0648\u0627",
    ):
        assert printable(text) == text
