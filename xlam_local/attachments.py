"""Format the content of a file as a part of a message."""

from __future__ import annotations

from pathlib import Path

from . import user_file

MAX_ATTACHMENT_BYTES = 200_000


def attachment(name: str, path: Path) -> str:
    """Return the text of a file under its name, in a Markdown fence.

    Raises:
        UsageError: the file is too large, is not text, or cannot be read.
    """
    content = user_file.read_text(path, MAX_ATTACHMENT_BYTES)
    fence = "```"
    while fence in content:
        fence += "`"
    return f"{name}:\n{fence}\n{content.rstrip()}\n{fence}"
