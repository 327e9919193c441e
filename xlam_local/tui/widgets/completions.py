"""Completions of the line that the user types: commands after a slash, files after an at sign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text
from textual.widgets import Static

from ..commands import COMMANDS
from ..rendering.renderer import safe_text

MAX_VISIBLE = 8
MAX_FILES_SCANNED = 2000
"""Files of a folder that are considered."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A word that can replace the one before the cursor."""

    word: str
    help: str = ""


class Completions(Static):
    """A list of completions, of which one is selected."""

    def __init__(self) -> None:
        super().__init__(id="completions")
        self.choices: Sequence[Completion] = ()
        self.selected = 0
        """The index of the selected completion."""
        self.word = ""
        """The word that the completion would replace."""

    def show_choices(self, word: str, choices: Sequence[Completion]) -> None:
        """Show completions of a word; hide the list if there are none."""
        if choices != self.choices:
            self.selected = 0
        self.word, self.choices = word, choices
        self.display = bool(choices)
        self.redraw()

    def move(self, step: int) -> None:
        """Select another completion."""
        self.selected = (self.selected + step) % max(1, len(self.choices))
        self.redraw()

    def take(self) -> Completion | None:
        """Hide the list; return the selected completion, if there is one."""
        chosen = self.choices[self.selected] if self.choices else None
        self.show_choices("", ())
        return chosen

    def redraw(self) -> None:
        """Draw the completions around the selected one."""
        first = max(0, min(self.selected - MAX_VISIBLE // 2, len(self.choices) - MAX_VISIBLE))
        lines = Text(no_wrap=True, overflow="ellipsis")
        width = max((len(choice.word) for choice in self.choices), default=0)
        for number, choice in list(enumerate(self.choices))[first : first + MAX_VISIBLE]:
            lines.append("\n" if lines else "")
            style = "reverse" if number == self.selected else ""
            lines.append(safe_text(f" {choice.word:<{width}}  {choice.help} "), style)
        if (count := len(self.choices)) > MAX_VISIBLE:
            last = first + MAX_VISIBLE
            lines.append(f"\n {first + 1} to {last} of {count}; ↑ and ↓ show the others", "dim")
        self.update(lines)


def complete(text: str, before: str, folder: Path) -> tuple[str, list[Completion]]:
    """Return the word that can be completed, and its completions.

    `text` is the whole input and `before` its line up to the cursor. A word that equals its only
    completion has none.
    """
    if text.startswith("/") and "\n" not in text and " " not in before:
        word, choices = before, command_completions(before)
    elif (attachment := attachment_word(before)) is not None:
        word, choices = attachment, file_completions(attachment, folder)
    else:
        return "", []
    return word, [] if [choice.word for choice in choices] == [word] else choices


def command_completions(word: str) -> list[Completion]:
    """Return the commands that begin with a word."""
    return [
        Completion(f"/{command.name}", f"{command.argument} {command.help}".strip())
        for command in COMMANDS
        if f"/{command.name}".startswith(word)
    ]


def attachment_word(before: str) -> str | None:
    """Return the word at the cursor if it begins with an at sign."""
    word = before.rpartition(" ")[2]
    return word if word.startswith("@") else None


def file_completions(word: str, folder: Path) -> list[Completion]:
    """Return the files whose path begins with the text after the at sign."""
    typed = word[1:]
    parent, _, beginning = typed.rpartition("/")
    absolute_root = typed.startswith("/") and not parent
    top = Path("/") if absolute_root else folder / Path(parent).expanduser()
    found = []
    try:
        for number, entry in enumerate(top.iterdir()):
            if number >= MAX_FILES_SCANNED:
                break
            name = entry.name
            if name.casefold().startswith(beginning.casefold()) and not _hidden(name, beginning):
                path = f"{parent}/{name}" if parent else name
                found.append(Completion(f"@{path}/" if entry.is_dir() else f"@{path}"))
    except (OSError, ValueError, RuntimeError):
        return []
    return sorted(found, key=lambda choice: choice.word.casefold())


def _hidden(name: str, beginning: str) -> bool:
    return name.startswith(".") and not beginning.startswith(".")
