"""Read TOML files and check their values, with one form of error message.

Each function checks one key of a table and returns its value. `where` names the table for error
messages, for example "Rule 1" or the path of the file. A wrong value raises

    UsageError("Rule 1: tool must be a string, not 3.")

JSON objects can be checked in the same way.
"""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from . import user_file
from .errors import UsageError

Table = Mapping[str, Any]
E = TypeVar("E", bound=Enum)
_short = reprlib.Repr()
_short.maxstring = 60


def load(path: Path) -> dict[str, Any]:
    """Return the tables of the TOML file at `path`, or an empty one if there is no file.

    Raises:
        UsageError: The file cannot be read or is not TOML; the message begins with the path.
    """
    return user_file.parse_toml(read_text(path), str(path))


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, or an empty string if there is no file.

    Raises:
        UsageError: The file cannot be read; the message begins with the path.
    """
    try:
        return user_file.read_text(path)
    except user_file.FileMissing:
        return ""


def parse(text: str) -> dict[str, Any]:
    """Return the tables of a TOML document.

    Raises:
        UsageError: The text is not TOML; the message says at which line and column.
    """
    return user_file.parse_toml(text, "The file")


def check_keys(table: Table, allowed: Collection[str], where: str) -> None:
    """Raise UsageError if a table has a key that is not in `allowed`."""
    for key in table:
        if key not in allowed:
            known = ", ".join(sorted(allowed))
            raise UsageError(f"{where}: Unknown key {key!r}; the keys are {known}.")


def check_required(table: Table, keys: Iterable[str], where: str) -> None:
    """Raise UsageError if a table lacks one of `keys`."""
    for key in keys:
        if key not in table:
            raise UsageError(f"{where}: {key} is required.")


def text(table: Table, key: str, where: str, default: str = "", *, allow_empty: bool = True) -> str:
    """Return a string."""
    value = table.get(key, default)
    if not isinstance(value, str):
        raise wrong_value(where, key, "a string", value)
    if key in table and not value and not allow_empty:
        raise wrong_value(where, key, "a string that is not empty", value)
    return value


def texts(table: Table, key: str, where: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the strings of a value that is one string or a list of strings, none of them empty."""
    if key not in table:
        return default
    value = table[key]
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(item, str) for item in values):
        raise wrong_value(where, key, "a string or a list of strings", value)
    if not values or not all(values):
        raise UsageError(f"{where}: {key} must not be empty or contain an empty string.")
    return tuple(values)


def flag(table: Table, key: str, where: str, default: bool = False) -> bool:
    """Return a boolean."""
    value = table.get(key, default)
    if not isinstance(value, bool):
        raise wrong_value(where, key, "true or false", value)
    return value


def integer(
    table: Table,
    key: str,
    where: str,
    default: int,
    *,
    minimum: int = 0,
    maximum: int | None = None,
) -> int:
    """Return an integer that is at least `minimum`, and at most `maximum` if there is one."""
    value = table.get(key, default)
    wrong_type = isinstance(value, bool) or not isinstance(value, int)
    if wrong_type or value < minimum or (maximum is not None and value > maximum):
        limits = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise wrong_value(where, key, f"an integer {limits}", value)
    return int(value)


def number(
    table: Table, key: str, where: str, default: float, *, minimum: float, maximum: float
) -> float:
    """Return an integer or a float from `minimum` to `maximum`."""
    value: float = table.get(key, default)
    wrong_type = isinstance(value, bool) or not isinstance(value, int | float)
    if wrong_type or not minimum <= value <= maximum:
        raise wrong_value(where, key, f"a number from {minimum} to {maximum}", value)
    return value


def one_of(table: Table, key: str, where: str, choices: Collection[str], default: str) -> str:
    """Return a string that is one of `choices`."""
    value = table.get(key, default)
    if not isinstance(value, str) or value not in choices:
        raise wrong_value(where, key, _listed(choices), value)
    return value


def member(table: Table, key: str, where: str, default: E) -> E:
    """Return the member of `default`'s enumeration whose value is given."""
    kind = type(default)
    names = [str(item.value) for item in kind]
    return kind(one_of(table, key, where, names, str(default.value)))


def members(table: Table, key: str, where: str, kind: type[E]) -> tuple[E, ...]:
    """Return the members of an enumeration whose values are given as a string or a list."""
    names = [str(item.value) for item in kind]
    values = texts(table, key, where)
    for value in values:
        if value not in names:
            raise wrong_value(where, key, _listed(names), value)
    return tuple(kind(value) for value in values)


def subtable(table: Table, key: str, where: str) -> Table:
    """Return a table within a table, or an empty one if there is no such key."""
    value = table.get(key, {})
    if not isinstance(value, Mapping):
        raise wrong_value(where, key, "a table", value)
    return value


def text_table(table: Table, key: str, where: str) -> dict[str, str]:
    """Return a table of strings, or an empty one if there is no such key."""
    value = subtable(table, key, where)
    if not all(isinstance(item, str) for item in value.values()):
        raise wrong_value(where, key, "a table of strings", value)
    return dict(value)


def subtables(table: Table, key: str, where: str) -> tuple[Table, ...]:
    """Return the tables of an array of tables, written as [[key]]."""
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise UsageError(f"{where}: {key} must be an array of tables, written as [[{key}]].")
    return tuple(value)


def wrong_value(where: str, key: str, expected: str, value: object) -> UsageError:
    """Return the error for a value that is not as expected."""
    try:
        shown = _short.repr(value)
    except ValueError:  # Python refuses to write an integer of more than 4300 digits.
        shown = "an integer with too many digits"
    return UsageError(f"{where}: {key} must be {expected}, not {shown}.")


def _listed(names: Collection[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last
