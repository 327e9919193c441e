"""What completes the line that is typed: commands after a slash, files after an at sign."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text
from textual.widgets import Static

from ..errors import UsageError
from .pen import clean

MOST = 8
"""Offers shown at a time."""
LOOKED_AT = 2000
"""Files of a folder that are looked at."""
ATTACHED = 200_000
"""Bytes of a file that can be attached."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Something that completes a word."""

    word: str
    told: str = ""


class Completions(Static):
    """The offers, one of them chosen."""

    def __init__(self) -> None:
        super().__init__(id="completions")
        self.offers: Sequence[Offer] = ()
        self.chosen = 0
        self.word = ""
        """What the chosen offer would replace."""

    def show(self, word: str, offers: Sequence[Offer]) -> None:
        """Offer these; nothing is shown where there are none."""
        if offers != self.offers:
            self.chosen = 0
        self.word, self.offers = word, offers
        self.display = bool(offers)
        self.draw()

    def move(self, step: int) -> None:
        """Choose another offer."""
        self.chosen = (self.chosen + step) % max(1, len(self.offers))
        self.draw()

    def draw(self) -> None:
        """Draw the offers around the chosen one."""
        first = max(0, min(self.chosen - MOST // 2, len(self.offers) - MOST))
        lines = Text(no_wrap=True, overflow="ellipsis")
        width = max((len(offer.word) for offer in self.offers), default=0)
        for number, offer in list(enumerate(self.offers))[first : first + MOST]:
            lines.append("\n" if lines else "")
            style = "reverse" if number == self.chosen else ""
            lines.append(clean(f" {offer.word:<{width}}  {offer.told} "), style)
        self.update(lines)


def attached_word(before: str) -> str | None:
    """The word after an at sign that the cursor is in."""
    word = before.rpartition(" ")[2]
    return word if word.startswith("@") else None


def files(word: str, folder: Path) -> list[Offer]:
    """The files that an at sign and the beginning of a path can mean."""
    typed = word[1:]
    head, _, tail = typed.rpartition("/")
    top = folder / Path(head).expanduser() if head or not typed.startswith("/") else Path("/")
    found = []
    try:
        for number, entry in enumerate(top.iterdir()):
            if number >= LOOKED_AT:
                break
            name = entry.name
            if name.casefold().startswith(tail.casefold()) and not _hidden(name, tail):
                path = f"{head}/{name}" if head else name
                found.append(Offer(f"@{path}/" if entry.is_dir() else f"@{path}"))
    except (OSError, ValueError, RuntimeError):
        return []
    return sorted(found, key=lambda offer: offer.word.casefold())


def _hidden(name: str, tail: str) -> bool:
    return name.startswith(".") and not tail.startswith(".")


def with_files(text: str, folder: Path) -> str:
    """The text, followed by the files that it names after at signs.

    Raises:
        UsageError: a file is too large, or is no text.
    """
    parts = [text, *_attached(text, folder)]
    return "\n\n".join(parts)


def _attached(text: str, folder: Path) -> Iterator[str]:
    for word in dict.fromkeys(text.split()):
        if not word.startswith("@") or len(word) < 2:
            continue
        name = word[1:]
        try:
            path = folder / Path(name).expanduser()
            if not path.is_file():
                continue
            if path.stat().st_size > ATTACHED:
                raise UsageError(f"{name} is too large to attach; let a tool read it.")
            content = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UsageError(f"{name} is not a text file.") from error
        except (OSError, ValueError, RuntimeError) as error:
            raise UsageError(f"{name} cannot be read: {error}.") from error
        fence = "```"
        while fence in content:
            fence += "`"
        yield f"{name}:\n{fence}\n{content.rstrip()}\n{fence}"
