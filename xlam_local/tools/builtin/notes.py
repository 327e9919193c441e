"""The built-in tools for notes, which stay from one conversation to the next."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import Field

from ..errors import ToolError
from ..types import Effect, Tool
from .functions import tool

MOST_TEXT = 2_000
MOST_BYTES = 1 << 20
"""The most that all notes may hold."""


def note_tools(path: Path) -> tuple[Tool, ...]:
    """The tools for the notes in the file at `path`."""

    @tool(Effect.WRITE, preview=lambda text: f"+ {text}")
    def add_note(text: Annotated[str, Field(min_length=1, max_length=MOST_TEXT)]) -> str:
        """Keep a note for later conversations.

        Args:
            text: What to remember.
        """
        if path.exists() and path.stat().st_size > MOST_BYTES:
            raise ToolError(f"There is no room for more notes; {path} holds them.")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"on": date.today().isoformat(), "text": text}) + "\n")
        return "Noted."

    @tool(Effect.READ)
    def read_notes(words: str = "") -> str:
        """Read the notes kept in earlier conversations.

        Args:
            words: Only notes that have one of these words; all notes when empty.
        """
        wanted = words.lower().split()
        found = [
            f"{on}: {text}"
            for on, text in _notes(path)
            if not wanted or any(word in text.lower() for word in wanted)
        ]
        return "\n".join(found) or "There is no such note."

    return add_note, read_notes


def _notes(path: Path) -> Iterator[tuple[str, str]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise ToolError(f"{path} cannot be read: {error}.") from error
    for line in lines:
        try:
            note = json.loads(line)
            yield str(note["on"]), str(note["text"])
        except (ValueError, TypeError, KeyError):
            yield "?", line
