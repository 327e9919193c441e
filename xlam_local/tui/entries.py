"""What a conversation is made of on the screen: words, answers, notes and cards."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from rich.text import Text
from textual.strip import Strip

from . import blocks
from .blocks import Block, Gap
from .pen import BOLD, Pen, clean
from .pieces import Pieces

if TYPE_CHECKING:
    from ..types import Result, Tool, ToolCall

State = Literal["writing", "waiting", "running", "done", "failed", "refused"]
MARKS: Mapping[str, tuple[str, str]] = {
    "writing": ("…", "muted"),
    "waiting": ("?", "warning"),
    "running": ("◌", "accent"),
    "done": ("✓", "success"),
    "failed": ("!", "error"),
    "refused": ("✗", "warning"),
}
"""A mark and a colour for each state of a card."""
PREVIEW_LINES = 3
PREVIEW = 300
"""Characters of a result on its folded card."""
ARGUMENT = 2000
"""Characters of an argument on a folded card."""
NARROWEST = 44
"""Columns that a card needs to stand beside another."""
BESIDE = 4
"""The most cards in one row."""


class Entry:
    """One thing that was said or done."""

    colour = "muted"
    """Of the bar at its left."""

    def __init__(self, place: int | None = None) -> None:
        self.place = place
        """Which message of the conversation it shows."""
        self.gap = Gap()
        """The empty line before it."""

    @property
    def text(self) -> str:
        """What is copied of it."""
        raise NotImplementedError

    def blocks(self, width: int) -> Sequence[Block]:
        """What it is drawn of."""
        raise NotImplementedError

    def at(self, x: int, width: int) -> Entry:
        """The entry that stands at a column of it."""
        return self


class Said(Entry):
    """What the user said."""

    colour = "primary"

    def __init__(self, text: str, place: int | None = None) -> None:
        super().__init__(place)
        self._text = text
        self._blocks = blocks.of_text(text, "strong")

    @property
    def text(self) -> str:
        """What the user said."""
        return self._text

    def blocks(self, width: int) -> Sequence[Block]:
        """The text."""
        return self._blocks


class Noted(Entry):
    """What the program has to say; `kind` is a colour."""

    def __init__(self, text: str, kind: str = "muted", key: str = "") -> None:
        super().__init__()
        self.colour = kind
        self._text = text
        self._blocks = blocks.of_text(f"{text} {key}".rstrip(), kind)

    @property
    def text(self) -> str:
        """The note."""
        return self._text

    def blocks(self, width: int) -> Sequence[Block]:
        """The text."""
        return self._blocks


class Answered(Entry):
    """An answer, as it is written and then whole."""

    colour = "accent"

    def __init__(self, place: int | None = None) -> None:
        super().__init__(place)
        self._pieces = Pieces()
        self._parts: list[str] = []
        self._whole: list[Block] = []
        self._tail: list[Block] = []

    @property
    def text(self) -> str:
        """The answer as the model wrote it."""
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""

    def add(self, text: str) -> None:
        """Take the next piece in."""
        self._parts.append(text)
        for piece in self._pieces.feed(text):
            if piece.text:
                self._whole.append(blocks.of_markdown(piece.text))
            if not piece.goes_on:
                self._whole.append(Gap())
        tail = self._pieces.tail
        self._tail = [blocks.of_markdown(tail)] if tail.strip() else []

    def finish(self, text: str) -> None:
        """Take the whole text, where it is another than its pieces were."""
        if text.strip() != self.text.strip():
            self._parts, self._whole, self._pieces = [], [], Pieces()
            self.add(text)

    def blocks(self, width: int) -> Sequence[Block]:
        """The pieces of Markdown."""
        found = [*self._whole, *self._tail]
        while found and found[-1].gap:
            found.pop()
        return found


class Card(Entry):
    """A call: its tool, its arguments, how far it is and what came of it."""

    def __init__(self, name: str, tool: Tool | None = None, place: int | None = None) -> None:
        super().__init__(place)
        self.name = name
        self.tool = tool
        self.call: ToolCall | None = None
        self.arguments: Mapping[str, Any] = {}
        self.state: State = "writing"
        self.colour = MARKS[self.state][1]
        self.open = False
        """Whether everything is shown."""
        self.result: Result | None = None
        self._since: float | None = None
        self._seconds = 0.0
        self._head = Block(self._draw_head)
        self._body: list[Block] | None = None

    @property
    def text(self) -> str:
        """The result, or the call while there is none."""
        if self.result is not None:
            return self.result.output
        return json.dumps({"name": self.name, "arguments": self.arguments}, ensure_ascii=False)

    def write(self, arguments: Mapping[str, Any]) -> None:
        """Show what is there of the arguments."""
        if arguments != self.arguments:
            self.arguments, self._body = arguments, None

    def set_call(self, call: ToolCall, tool: Tool | None, place: int | None) -> None:
        """The call is whole."""
        self.call, self.tool, self.place, self.name = call, tool, place, call.name
        self.write(call.arguments)
        self.turn_to("running")

    def turn_to(self, state: State) -> None:
        """Go on to another state; the seconds count while it runs."""
        self.state, self.colour = state, MARKS[state][1]
        if state == "running":
            self._since = time.monotonic()
        elif self._since is not None:
            self._seconds += time.monotonic() - self._since
            self._since = None
        self.tick()

    def finish(self, result: Result) -> None:
        """Show what came of it."""
        self.result, self._body = result, None
        self.turn_to("done" if result.ok else "refused" if result.refused else "failed")

    def fold(self) -> None:
        """Show everything, or the beginning only."""
        self.open, self._body = not self.open, None
        self.tick()

    def tick(self) -> None:
        """Let the seconds go on."""
        self._head.changed()

    @property
    def seconds(self) -> float:
        """How long it ran."""
        running = 0.0 if self._since is None else time.monotonic() - self._since
        return self._seconds + running

    def blocks(self, width: int) -> Sequence[Block]:
        """The head, the arguments and the result."""
        if self._body is None:
            self._body = [*self._drawn_arguments(), *self._drawn_result()]
        return [self._head, *self._body]

    def _draw_head(self, pen: Pen, width: int) -> list[Strip]:
        mark, colour = MARKS[self.state]
        style = pen.styles[colour]
        told = Text(f"{mark} {clean(self.name)}", style + BOLD, overflow="ellipsis", no_wrap=True)
        details = [self.tool.effect.value, *_held(self.tool)] if self.tool else []
        details.append(STATES[self.state])
        if self.seconds >= 0.5 and self.state not in ("writing", "waiting"):
            details.append(f"{self.seconds:.1f} s")
        told.append(f"  {' · '.join(details)}", pen.styles["muted"])
        return pen.draw(told, width)

    def _drawn_arguments(self) -> Iterator[Block]:
        for name, value in self.arguments.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            if not self.open and len(text) > ARGUMENT:
                rest = f"\n… ({len(text) - ARGUMENT} more characters; Enter shows them)"
                text = text[:ARGUMENT] + rest
            joint = "\n" if "\n" in text else " "
            yield from blocks.of_text(f"{name}:{joint}{text}", "muted")

    def _drawn_result(self) -> Iterator[Block]:
        if self.result is None or not (output := self.result.output):
            return
        yield Gap()
        if not self.open and (preview := _preview(output)) is not None:
            yield from blocks.of_text(preview)
        elif _is_diff(output):
            yield from blocks.of_diff(output)
        elif (pretty := _pretty(output)) is not None:
            yield from blocks.of_code(pretty, "json")
        else:
            yield from blocks.of_text(output, "base" if self.result.ok else "error")


STATES: Mapping[State, str] = {
    "writing": "writing",
    "waiting": "waits for you",
    "running": "running",
    "done": "done",
    "failed": "failed",
    "refused": "refused",
}


def _held(tool: Tool) -> list[str]:
    """What holds a tool while it runs, where something does."""
    return [] if tool.sandbox.value == "none" else [f"sandbox: {tool.sandbox.value}"]


def _preview(output: str) -> str | None:
    """The beginning of a long result, and how much more there is; None for a short one."""
    end, lines = 0, 0
    while lines < PREVIEW_LINES and end >= 0:
        end = output.find("\n", end + 1 if lines else 0)
        lines += 1
    first = output if end < 0 else output[:end]
    if len(first) > PREVIEW:
        first = first[:PREVIEW]
    if len(first) >= len(output.rstrip("\n")):
        return None
    count = output.count("\n") + 1
    rest = f"{count:,} lines" if count > 1 else f"{len(output):,} characters"
    return f"{first} …\n({rest}; Enter shows all)"


def _is_diff(output: str) -> bool:
    return output.startswith(("--- ", "diff ")) and "\n@@" in output[:5000]


def _pretty(output: str) -> str | None:
    """JSON with its parts on lines of their own; None where it is something else, or huge."""
    if output.lstrip()[:1] not in ("{", "[") or len(output) > 500_000:
        return None
    try:
        return json.dumps(json.loads(output), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return None


class Cards(Entry):
    """The calls of one reply, beside each other where there is room."""

    def __init__(self) -> None:
        super().__init__()
        self.cards: list[Card] = []
        self.selected: Entry | None = None
        """The card whose bar is lit; the transcript says which."""
        self._row = Block(self._draw_row)

    @property
    def text(self) -> str:
        """All cards."""
        return "\n".join(card.text for card in self.cards)

    def beside(self, width: int) -> bool:
        """Whether the cards stand beside each other."""
        count = len(self.cards)
        return (
            1 < count <= BESIDE
            and width >= count * NARROWEST
            and not any(card.open for card in self.cards)
        )

    def blocks(self, width: int) -> Sequence[Block]:
        """One block with all cards; where they are below each other, each card draws itself."""
        self._row.changed()
        return [self._row]

    def select(self, entry: Entry | None) -> None:
        """Light the bar of one of its cards, if it is the one that is chosen."""
        if entry is not self.selected and {entry, self.selected} & set(self.cards):
            self._row.changed()
        self.selected = entry

    def at(self, x: int, width: int) -> Entry:
        """The card at a column."""
        column = width // max(1, len(self.cards))
        return self.cards[min(x // max(1, column), len(self.cards) - 1)]

    def _draw_row(self, pen: Pen, width: int) -> list[Strip]:
        column = width // len(self.cards)
        drawn = [list(_lines(card, pen, column - 3)) for card in self.cards]
        height = max(map(len, drawn))
        rows = []
        for number in range(height):
            parts: list[Strip] = []
            for card, lines in zip(self.cards, drawn, strict=True):
                if parts:
                    parts.append(pen.bar(card.colour, card is self.selected))
                line = lines[number] if number < len(lines) else Strip([])
                parts.append(line.adjust_cell_length(column - 2, pen.styles["base"]))
            rows.append(Strip.join(parts))
        return rows


def _lines(card: Card, pen: Pen, width: int) -> Iterator[Strip]:
    for block in card.blocks(width):
        yield from block.strips(pen, width)
