"""Read and write tool files: bytes, text, JSON and TOML."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .. import atomic_file, openai_format, user_file
from ..errors import ToolFileError, UsageError
from ..types import Tool

MAX_FILE_BYTES = 4 << 20
"""The largest tool file that is read."""


def load_schemas(path: Path) -> tuple[Tool, ...]:
    """Return the tools that a JSON file describes in OpenAI's format; the caller runs them.

    Raises:
        ToolFileError: the file or a tool is invalid; the message names both.
    """
    try:
        return openai_format.tools(parse(path, read_bytes(path)))
    except ToolFileError as error:
        raise with_path(path, error) from error


def with_path(path: Path, error: ToolFileError) -> ToolFileError:
    """Return an error whose message contains the path of the file."""
    message = str(error)
    return error if str(path) in message else ToolFileError(f"{path}: {message}")


def read_bytes(path: Path) -> bytes:
    """Return the content of a tool file.

    Raises:
        ToolFileError: it cannot be read, or is larger than MAX_FILE_BYTES.
    """
    with _tool_file_errors():
        return user_file.read_bytes(path, MAX_FILE_BYTES)


@contextmanager
def exclusive(path: Path) -> Iterator[Callable[[str], None]]:
    """Lock one of the program's own files; yield a function that replaces its text.

    Raises:
        ToolFileError: it cannot be written.
    """
    try:
        with atomic_file.exclusive(path) as replace:
            yield replace
    except OSError as error:
        raise ToolFileError(f"{path} cannot be written: {error.strerror}.") from error


def decode_text(path: Path, data: bytes) -> str:
    """Decode the content of a file as UTF-8.

    Raises:
        ToolFileError: it is not UTF-8.
    """
    with _tool_file_errors():
        return user_file.decode(data, str(path))


def parse(path: Path, data: bytes) -> Any:
    """Parse the content of a file as TOML if its suffix is .toml, and as JSON otherwise.

    Raises:
        ToolFileError: it is invalid.
    """
    parse_text = user_file.parse_toml if path.suffix == ".toml" else user_file.parse_json
    with _tool_file_errors():
        return parse_text(decode_text(path, data), str(path))


@contextmanager
def _tool_file_errors() -> Iterator[None]:
    """Raise UsageErrors as ToolFileErrors."""
    try:
        yield
    except UsageError as error:
        raise ToolFileError(str(error)) from error
