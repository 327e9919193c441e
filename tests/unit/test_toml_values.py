"""Values of TOML files and the messages for wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from xlam_local import toml_values as values
from xlam_local.errors import UsageError


class Color(Enum):
    RED = "red"
    BLUE = "blue"


READERS: dict[str, Callable[[Any], object]] = {
    "text": lambda table: values.text(table, "key", "Table 1", "none"),
    "name": lambda table: values.text(table, "key", "Table 1", "none", allow_empty=False),
    "texts": lambda table: values.texts(table, "key", "Table 1", ("*",)),
    "flag": lambda table: values.flag(table, "key", "Table 1"),
    "integer": lambda table: values.integer(table, "key", "Table 1", 5),
    "positive": lambda table: values.integer(table, "key", "Table 1", 5, minimum=1),
    "number": lambda table: values.number(table, "key", "Table 1", 1.0, minimum=0, maximum=5),
    "one_of": lambda table: values.one_of(table, "key", "Table 1", ("a", "b", "c"), "a"),
    "member": lambda table: values.member(table, "key", "Table 1", Color.RED),
    "members": lambda table: values.members(table, "key", "Table 1", Color),
    "subtable": lambda table: values.subtable(table, "key", "Table 1"),
    "subtables": lambda table: values.subtables(table, "key", "Table 1"),
}


@pytest.mark.parametrize(
    ("reader", "value", "expected"),
    [
        ("text", "", ""),
        ("name", "a", "a"),
        ("texts", "a", ("a",)),
        ("texts", ["a", "b"], ("a", "b")),
        ("flag", True, True),
        ("integer", 0, 0),
        ("positive", 1, 1),
        ("number", 5, 5),
        ("number", 0.5, 0.5),
        ("one_of", "c", "c"),
        ("member", "blue", Color.BLUE),
        ("members", ["blue", "red"], (Color.BLUE, Color.RED)),
        ("subtable", {"a": 1}, {"a": 1}),
        ("subtables", [{"a": 1}, {}], ({"a": 1}, {})),
    ],
)
def test_a_valid_value_is_returned(reader: str, value: object, expected: object) -> None:
    assert READERS[reader]({"key": value}) == expected


@pytest.mark.parametrize(
    ("reader", "expected"),
    [
        ("text", "none"),
        ("name", "none"),
        ("texts", ("*",)),
        ("flag", False),
        ("integer", 5),
        ("positive", 5),
        ("number", 1.0),
        ("one_of", "a"),
        ("member", Color.RED),
        ("members", ()),
        ("subtable", {}),
        ("subtables", ()),
    ],
)
def test_a_missing_key_has_its_default(reader: str, expected: object) -> None:
    assert READERS[reader]({}) == expected


@pytest.mark.parametrize(
    ("reader", "value", "message"),
    [
        ("text", 3, "key must be a string, not 3."),
        ("name", "", "key must be a string that is not empty, not ''."),
        ("texts", {"a": 1}, "key must be a string or a list of strings, not {'a': 1}."),
        ("texts", ["a", 1], "key must be a string or a list of strings, not ['a', 1]."),
        ("texts", [], "key must not be empty or contain an empty string."),
        ("texts", ["a", ""], "key must not be empty or contain an empty string."),
        ("flag", 1, "key must be true or false, not 1."),
        ("integer", -1, "key must be an integer of at least 0, not -1."),
        ("integer", True, "key must be an integer of at least 0, not True."),
        ("integer", 1.0, "key must be an integer of at least 0, not 1.0."),
        ("positive", 0, "key must be an integer of at least 1, not 0."),
        pytest.param("positive", "1" * 100, f"not '{'1' * 27}...{'1' * 28}'.", id="long"),
        pytest.param("positive", -(1 << 20000), "not an integer with too many digits.", id="huge"),
        ("number", float("nan"), "key must be a number from 0 to 5, not nan."),
        ("number", float("inf"), "key must be a number from 0 to 5, not inf."),
        ("number", True, "key must be a number from 0 to 5, not True."),
        ("number", "1", "key must be a number from 0 to 5, not '1'."),
        ("one_of", "d", "key must be a, b or c, not 'd'."),
        ("one_of", ["a"], "key must be a, b or c, not ['a']."),
        ("member", "green", "key must be red or blue, not 'green'."),
        ("members", ["red", "green"], "key must be red or blue, not 'green'."),
        ("subtable", [], "key must be a table, not []."),
        ("subtables", {}, "key must be an array of tables, written as [[key]]."),
        ("subtables", [1], "key must be an array of tables, written as [[key]]."),
    ],
)
def test_a_wrong_value_is_named(reader: str, value: object, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        READERS[reader]({"key": value})
    assert str(caught.value).startswith("Table 1: ")
    assert str(caught.value).endswith(message)


def test_an_unknown_key_is_named_with_the_known_ones() -> None:
    values.check_keys({"a": 1}, {"b", "a"}, "Table 1")
    with pytest.raises(UsageError, match=r"^Table 1: Unknown key 'c'; the keys are a, b\.$"):
        values.check_keys({"a": 1, "c": 2}, {"b", "a"}, "Table 1")


def test_a_missing_key_is_named() -> None:
    values.check_required({"a": 1}, ("a",), "Table 1")
    with pytest.raises(UsageError, match=r"^Table 1: b is required\.$"):
        values.check_required({"a": 1}, ("a", "b"), "Table 1")


def test_a_choice_of_one_is_named() -> None:
    with pytest.raises(UsageError, match="key must be a, not 'b'"):
        values.one_of({"key": "b"}, "key", "Table 1", ("a",), "a")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = 1\nb = ?\n", r"file\.toml is not valid TOML: .*line 2, column 5"),
        (b"\xff", r"file\.toml is not UTF-8: byte 0 is 0xff\."),
        (b"x = " + b"1" * 5000, "has an integer with more than 4300 digits"),
        (b"x = " + b"[" * 5000, "is nested more than 200 levels deep"),
    ],
)
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "file.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        values.load(path)


def test_a_file_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "file.toml"
    assert values.load(path) == {}
    path.write_text("a = 1\n")
    assert values.load(path) == {"a": 1}
    with pytest.raises(UsageError, match="is a folder, not a file"):
        values.load(tmp_path)
