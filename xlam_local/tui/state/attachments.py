"""Attach files to a message: the user names them after at signs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ... import attachments, user_file
from ...errors import UsageError
from ...types import UserMessage


def attach_files(text: str, folder: Path) -> UserMessage:
    """Return a message with the content of the files that it names after at signs.

    Raises:
        UsageError: a file is too large, is not text, or cannot be read.
    """
    files = list(_attachments(text, folder))
    return UserMessage("\n\n".join([text, *dict(files).values()]), tuple(dict(files)))


def _attachments(text: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the name of each file, and the name with the content."""
    for word in dict.fromkeys(text.split()):
        name = word[1:]
        if word.startswith("@") and name and (attached := _attachment(name, folder)) is not None:
            yield name, attached


def _attachment(name: str, folder: Path) -> str | None:
    """Return a file as a part of a message, or None if there is no file of that name."""
    try:
        path = folder / Path(name).expanduser()
    except RuntimeError as error:
        raise UsageError(f"Cannot read {name}: {error}.") from error
    if path.is_dir():
        return None
    try:
        return attachments.attachment(name, path)
    except user_file.FileMissing:
        return None
    except UsageError as error:
        raise UsageError(f"Cannot attach {error}") from error
