"""Export a conversation to a file, and import one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ...errors import UsageError
from ...history import Summary, export
from ...types import Message

MAX_FILE_NAME_CHARS = 60


def write_export(summary: Summary, messages: Sequence[Message], folder: Path, name: str) -> Path:
    """Write a conversation to a new file and return the file's path.

    The suffix of `name` selects the format: .md, .json or .jsonl. Without a name, the title
    names a Markdown file.

    Raises:
        UsageError: the suffix is unknown, the file exists, or it cannot be written.
    """
    path = folder / Path(name or f"{file_name(summary.title)}.md").expanduser()
    if (format_ := export.SUFFIXES.get(path.suffix)) is None:
        raise UsageError(f"{path.name} must end in {', '.join(export.SUFFIXES)}.")
    text = export.export(summary, messages, format_)
    try:
        with path.open("x", encoding="utf-8", errors="replace") as file:
            file.write(text)
    except FileExistsError as error:
        raise UsageError(f"{path} already exists. Choose another name: /export FILE") from error
    except OSError as error:
        raise UsageError(f"Cannot write {path}: {error.strerror}.") from error
    return path


def file_name(title: str) -> str:
    """Return a title in characters that are safe in a file name."""
    words = re.sub(r"[^\w-]+", "-", title).strip("-")
    return words[:MAX_FILE_NAME_CHARS].lower() or "conversation"
