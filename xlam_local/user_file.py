"""Read the files that a user names: text in UTF-8, JSON and TOML, with one sentence for each fault.

All functions raise UsageError. The message begins with the name of the file and says what is wrong,
where in the file, and what to do.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import stat
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from .errors import UsageError
from .json_depth import exceeds_depth

MAX_FILE_BYTES = 64 << 20
"""The largest file that is read, unless the caller sets a lower limit."""
MAX_FILE_DEPTH = 200
"""Levels of nesting in a file; a conversation adds a few to those of a call's arguments."""
MAX_SHOWN_CHARS = 60
FILE_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}
"""Other kinds of files; all others are devices."""
STDIN = "stdin"
OTHER_ENCODINGS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # begins like UTF-16
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""The byte order marks of encodings that are not read."""
SURROGATE = re.compile("[\ud800-\udfff]")
SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


class FileMissing(UsageError):
    """There is no file of this name."""


class _InvalidJson(ValueError):
    """JSON that Python's parser accepts, but RFC 8259 does not, or that we cannot represent."""


def open_file(path: Path) -> IO[bytes]:
    """Open a file for reading; a pipe is opened only by its descriptor, as in `<(command)`.

    Raises:
        FileMissing: there is no such file.
        UsageError: it is a folder, a named pipe or a device, or it cannot be read.
    """
    try:
        # Without O_NONBLOCK, opening a named pipe waits until another program writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        if path.is_symlink():
            target = path.readlink()
            raise UsageError(f"{path} is a link to {target}, which does not exist.") from error
        raise FileMissing(f"{path} does not exist.") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # a NUL character or half of a surrogate pair
        raise UsageError(f"{str(path)!r} is not a valid path: {error}.") from error
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or (stat.S_ISFIFO(mode) and path.is_relative_to("/dev")):
        os.set_blocking(descriptor, True)
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise UsageError(f"{path} is {FILE_KINDS.get(stat.S_IFMT(mode), 'a device')}, not a file.")


def read_bytes(path: Path, limit: int = MAX_FILE_BYTES) -> bytes:
    """Return the content of a file of at most `limit` bytes."""
    with open_file(path) as file:
        return _read(file, str(path), limit)


def read_text(path: Path, limit: int = MAX_FILE_BYTES) -> str:
    """Return the text of a file, without a byte order mark."""
    return decode(read_bytes(path, limit), str(path))


def read_json(path: Path) -> Any:
    """Return the JSON value of a file."""
    return parse_json(read_text(path), str(path))


def read_own_json(path: Path) -> Any:
    """Return the JSON value of a file that this program wrote; None if it cannot be read."""
    try:
        return read_json(path)
    except UsageError:
        return None


def read_stdin() -> str:
    """Return the text that is piped to this program."""
    return read_open(sys.stdin.buffer, STDIN)


def read_open(file: IO[bytes], name: str) -> str:
    """Return the text of an open file."""
    return decode(_read(file, name, MAX_FILE_BYTES), name)


def read_lines(file: IO[bytes], name: str) -> Iterator[tuple[str, str]]:
    """Yield the lines of an open file that are not blank, each with its name for messages.

    Every line may begin with a byte order mark, as in files that were joined.
    """
    number = start = 0
    while line := _read(file, f"{name}, line {number + 1},", MAX_FILE_BYTES, whole=False):
        number += 1
        where = f"{name}, line {number},"
        text = decode(line, where, start).removeprefix("\ufeff")
        start += len(line)
        if text.strip():
            yield where, text


def _read(file: IO[bytes], name: str, limit: int, *, whole: bool = True) -> bytes:
    """Return the rest of a file, or of its next line, if it has at most `limit` bytes."""
    try:
        data = file.read(limit + 1) if whole else file.readline(limit + 1)
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}.") from error
    if len(data) > limit:
        raise UsageError(f"{name} is larger than {limit:,} bytes.")
    return data


def check_characters(text: str, name: str) -> None:
    """Raise an error if a text from the command line was not UTF-8."""
    if SURROGATE.search(text):
        raise UsageError(f"{name} is not UTF-8.")


def decode(data: bytes, name: str, start: int = 0) -> str:
    """Return bytes as text; they begin at the byte `start` of the file `name`."""
    for mark, encoding in OTHER_ENCODINGS.items():
        if start == 0 and data.startswith(mark):
            raise UsageError(f"{name} is not UTF-8, but {encoding}. Save it as UTF-8.")
    text_start = len(codecs.BOM_UTF8) if start == 0 and data.startswith(codecs.BOM_UTF8) else 0
    if (null := data.find(0)) >= 0:
        raise UsageError(
            f"{name} is not UTF-8 text: byte {start + null} is zero. If it is UTF-16, save it as "
            "UTF-8."
        )
    try:
        return data[text_start:].decode()
    except UnicodeDecodeError as error:
        place = start + text_start + error.start
        raise UsageError(
            f"{name} is not UTF-8: byte {place} is 0x{data[text_start + error.start]:02x}. Save it "
            "as UTF-8."
        ) from error


def parse_json(text: str, name: str, *, surrogates: bool = False) -> Any:
    """Return the value of a JSON text as RFC 8259 defines it.

    Duplicate keys, NaN, Infinity, numbers that are too large, and values nested more than
    MAX_FILE_DEPTH levels are errors, and so are lone surrogates unless `surrogates` allows them.
    """
    try:
        value = json.loads(
            text, parse_constant=_constant, parse_float=_float, object_pairs_hook=_object
        )
    except json.JSONDecodeError as error:
        position = f"line {error.lineno}, column {error.colno}"
        raise UsageError(f"{name} is not valid JSON: {error.msg} at {position}.") from error
    except _InvalidJson as error:
        raise UsageError(f"{name} is not valid JSON: {error}.") from error
    except ValueError as error:
        digits = sys.get_int_max_str_digits()
        raise UsageError(f"{name} has an integer with more than {digits} digits.") from error
    except RecursionError as error:
        raise _too_deep(name) from error
    if exceeds_depth(value, MAX_FILE_DEPTH):
        raise _too_deep(name)
    if not surrogates and (SURROGATE_ESCAPE.search(text) or SURROGATE.search(text)):
        for pointer in _lone_surrogates(value, ""):
            raise UsageError(
                f"{name} has half of a surrogate pair at {pointer or '/'}; no text can contain it."
            )
    return value


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """Return the tables of a TOML text."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name} is not valid TOML: {error}.") from error
    except ValueError as error:
        digits = sys.get_int_max_str_digits()
        raise UsageError(f"{name} has an integer with more than {digits} digits.") from error
    except RecursionError as error:
        raise _too_deep(name) from error
    if exceeds_depth(tables, MAX_FILE_DEPTH):
        raise _too_deep(name)
    return tables


def _too_deep(name: str) -> UsageError:
    return UsageError(f"{name} is nested more than {MAX_FILE_DEPTH} levels deep.")


def _constant(text: str) -> float:
    raise _InvalidJson(f"{text} is not a JSON number")


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        shown = text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}…"
        raise _InvalidJson(f"the number {shown} is too large")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _InvalidJson(f"an object has the key {twice[:MAX_SHOWN_CHARS]!r} twice")
    return found


def _lone_surrogates(value: Any, pointer: str) -> Iterator[str]:
    """Yield the JSON pointer of each string that has half of a surrogate pair."""
    if isinstance(value, str):
        if SURROGATE.search(value):
            yield pointer
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _lone_surrogates(key, pointer)
            yield from _lone_surrogates(item, f"{pointer}/{key}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _lone_surrogates(item, f"{pointer}/{number}")
