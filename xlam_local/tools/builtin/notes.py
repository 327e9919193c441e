"""The built-in tools for notes, which later conversations can read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import Field

from ... import atomic_file, user_file
from ...errors import ToolError, UsageError
from ...types import Effect, Tool
from ..python.decorator import tool

MAX_NOTE_CHARS = 2_000
MAX_NOTES_BYTES = 1 << 20
"""The size of the file above which no note is added."""


def note_tools(path: Path) -> tuple[Tool, ...]:
    """Return the tools for the notes in the file at `path`, one JSON object per line."""

    @tool(Effect.WRITE, preview=lambda text: f"+ {text}")
    def add_note(text: Annotated[str, Field(min_length=1, max_length=MAX_NOTE_CHARS)]) -> str:
        """Keep a note for later conversations.

        Args:
            text: What to remember.
        """
        try:
            with atomic_file.exclusive(path) as replace:
                notes = _read(path)
                if len(notes) > MAX_NOTES_BYTES:
                    raise ToolError(f"The notes file is full; shorten {path}.")
                # A damaged last line, without its end, stays a line of its own.
                end = "\n" if notes and not notes.endswith("\n") else ""
                note = json.dumps({"on": date.today().isoformat(), "text": text})
                replace(f"{notes}{end}{note}\n")
        except OSError as error:
            raise ToolError(f"{path} cannot be written: {error.strerror}.") from error
        return "Noted."

    @tool(Effect.READ)
    def read_notes(words: str = "") -> str:
        """Read the notes kept in earlier conversations.

        Args:
            words: Only notes that have one of these words; all notes when empty.
        """
        wanted = words.lower().split()
        lines = [
            f"{day}: {text}"
            for day, text in _notes(path)
            if not wanted or any(word in text.lower() for word in wanted)
        ]
        return "\n".join(lines) or "No notes found."

    return add_note, read_notes


def _read(path: Path) -> str:
    """Return the text of the file; an empty one if there is no file."""
    try:
        return user_file.read_text(path)
    except user_file.FileMissing:
        return ""
    except UsageError as error:
        raise ToolError(str(error)) from error


def _notes(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the day and the text of each note; a damaged line as the text of a note."""
    for line in filter(None, _read(path).split("\n")):
        try:
            note = user_file.parse_json(line, path.name, surrogates=True)
            yield str(note["on"]), str(note["text"])
        except (UsageError, TypeError, KeyError):
            yield "?", line
