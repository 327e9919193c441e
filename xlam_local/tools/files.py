"""Files of tools: their bytes, text and JSON, and lists of tools that the caller runs."""

from __future__ import annotations

import json
import secrets
import tomllib
from pathlib import Path
from typing import Any

from .. import wire
from ..errors import ToolFileError
from ..types import Tool

MOST_BYTES = 4 << 20
"""The largest file of tools that is read."""


def load(path: Path) -> tuple[Tool, ...]:
    """The tools in the JSON file at `path`, in OpenAI's form or bare; the caller runs them.

    Raises:
        ToolFileError: names the file, and the line or the tool at fault.
    """
    try:
        return wire.tools(parsed(path, content(path)))
    except ToolFileError as error:
        raise named(path, error) from error


def named(path: Path, error: ToolFileError) -> ToolFileError:
    """The error with its file's name, once."""
    said = str(error)
    return error if str(path) in said else ToolFileError(f"{path}: {said}")


def content(path: Path) -> bytes:
    """The bytes of a file of tools.

    Raises:
        ToolFileError: it cannot be read, or is too large to be one.
    """
    try:
        if not path.is_file() and path.exists():
            raise ToolFileError(f"{path} is not a file.")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ToolFileError(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > MOST_BYTES:
        raise ToolFileError(f"{path} has more than {MOST_BYTES:,} bytes.")
    return data


def put(path: Path, text: str) -> None:
    """Write a file of ours, whole or not at all.

    Raises:
        ToolFileError: it cannot be written.
    """
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise ToolFileError(f"{path} cannot be written: {error.strerror}.") from error


def text(path: Path, data: bytes) -> str:
    """The bytes as text.

    Raises:
        ToolFileError: they are not UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ToolFileError(f"{path} is not UTF-8 text: byte {error.start}.") from error


def parsed(path: Path, data: bytes) -> Any:
    """The bytes as JSON, or as TOML where the file's name says so.

    Raises:
        ToolFileError: they are not.
    """
    try:
        if path.suffix == ".toml":
            return tomllib.loads(text(path, data))
        return json.loads(text(path, data))
    except tomllib.TOMLDecodeError as error:
        raise ToolFileError(f"{path} is not TOML: {error}.") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ToolFileError(f"{path} is not JSON: {error.msg} at {where}.") from error
    except ValueError as error:
        raise ToolFileError(f"{path} has a number that is too long: {error}.") from error
    except RecursionError as error:
        raise ToolFileError(f"{path} is nested too deeply.") from error
