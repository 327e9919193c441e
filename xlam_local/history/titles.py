"""The titles of conversations."""

from __future__ import annotations

from collections.abc import Sequence

from ..types import Message, UserMessage

GENERATED_TITLE_CHARS = 60
"""Characters of a title that is made from the first user message."""
MAX_TITLE_CHARS = 200
UNTITLED = "(no title)"


def title_of(messages: Sequence[Message]) -> str:
    """Return a title: the first line of the first user message."""
    said = next((message.text for message in messages if isinstance(message, UserMessage)), "")
    line = first_line(said)
    return (
        line
        if len(line) <= GENERATED_TITLE_CHARS
        else f"{line[: GENERATED_TITLE_CHARS - 1].rstrip()}…"
    )


def first_line(text: str) -> str:
    """Return the first line that is not blank."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return encodable(lines[0][:MAX_TITLE_CHARS]) if lines else UNTITLED


def encodable(text: str) -> str:
    """Return the text with lone surrogates replaced, which UTF-8 cannot encode."""
    return text.encode("utf-8", "replace").decode()
