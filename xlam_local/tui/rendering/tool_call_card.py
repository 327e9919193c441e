"""The entries for tool calls: a card for each call, and a row for the calls of one reply."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from rich.text import Text
from textual.strip import Strip

from ...types import Sandbox, Tool, ToolCall, ToolResult
from . import blocks
from .blocks import Block, Gap
from .entries import Entry
from .renderer import BOLD, LineRenderer, safe_text

CallState = Literal["writing", "waiting", "running", "done", "failed", "refused", "skipped"]
STATE_MARKS: Mapping[CallState, tuple[str, str]] = {
    "writing": ("…", "muted"),
    "waiting": ("?", "warning"),
    "running": ("◌", "accent"),
    "done": ("✓", "success"),
    "failed": ("!", "error"),
    "refused": ("✗", "warning"),
    "skipped": ("=", "muted"),
}
"""The mark and the style of each state."""
STATE_TEXTS: Mapping[CallState, str] = {
    "writing": "writing",
    "waiting": "needs approval",
    "running": "running",
    "done": "done",
    "failed": "failed",
    "refused": "denied",
    "skipped": "not run again",
}
EXPAND_HINT = "Enter shows all"
PREVIEW_LINES = 3
PREVIEW_CHARS = 300
"""Size of a result on a collapsed card."""
ARGUMENT_PREVIEW_CHARS = 2000
"""Size of an argument on a collapsed card."""
MAX_PRETTY_JSON_CHARS = 500_000
DIFF_HEAD_CHARS = 5000
"""Where the first hunk of a diff must begin."""
MIN_CARD_COLUMNS = 44
"""Width that a card in a row needs."""
MAX_CARDS_IN_ROW = 4
MIN_SHOWN_S = 0.5
"""Duration from which on a card shows it."""


def _state_of(result: ToolResult) -> CallState:
    if result.skipped:
        return "skipped"
    return "done" if result.ok else "refused" if result.refused else "failed"


class ToolCallCard(Entry):
    """A tool call: the tool, the arguments, the state and the result."""

    def __init__(
        self, name: str, tool: Tool | None = None, message_index: int | None = None
    ) -> None:
        super().__init__(message_index)
        self.name = name
        self.tool = tool
        self.call: ToolCall | None = None
        """None while the model writes the call."""
        self.arguments: Mapping[str, Any] = {}
        self.state: CallState = "writing"
        self.color = STATE_MARKS[self.state][1]
        self.expanded = False
        """Whether long arguments and results are shown in full."""
        self.result: ToolResult | None = None
        self._running_since: float | None = None
        self._past_s = 0.0
        self._head = Block(self._render_head)
        self._body: list[Block] | None = None

    @property
    def text(self) -> str:
        """The result, or the call as JSON until there is one."""
        if self.result is not None:
            return self.result.output
        return json.dumps({"name": self.name, "arguments": self.arguments}, ensure_ascii=False)

    def set_arguments(self, arguments: Mapping[str, Any]) -> None:
        """Show the arguments that are written so far."""
        if arguments != self.arguments:
            self.arguments, self._body = arguments, None

    def set_call(self, call: ToolCall, tool: Tool | None, message_index: int | None) -> None:
        """Show the complete call."""
        self.call, self.tool, self.name = call, tool, call.name
        self.message_index = message_index
        self.set_arguments(call.arguments)
        self.set_state("running")

    def set_state(self, state: CallState) -> None:
        """Change the state; only time in the state "running" counts."""
        self.state, self.color = state, STATE_MARKS[state][1]
        if state == "running":
            self._running_since = time.monotonic()
        elif self._running_since is not None:
            self._past_s += time.monotonic() - self._running_since
            self._running_since = None
        self.refresh_head()

    def finish(self, result: ToolResult) -> None:
        """Show the result, and the arguments as the user may have edited them."""
        self.result, self._body = result, None
        self.set_arguments(result.call.arguments)
        self.set_state(_state_of(result))

    def toggle(self) -> None:
        """Expand or collapse the card."""
        self.expanded, self._body = not self.expanded, None
        self.refresh_head()

    def refresh_head(self) -> None:
        """Render the head again, which shows the state and the seconds."""
        self._head.invalidate()

    @property
    def elapsed_s(self) -> float:
        """Seconds that the tool has run."""
        running = 0.0 if self._running_since is None else time.monotonic() - self._running_since
        return self._past_s + running

    def blocks(self, width: int) -> Sequence[Block]:
        """Return the blocks of the head, the arguments and the result.

        While the call waits, the approval below shows its arguments.
        """
        if self.state == "waiting":
            return [self._head]
        if self._body is None:
            self._body = [*self._argument_blocks(), *self._result_blocks()]
        return [self._head, *self._body]

    def _render_head(self, renderer: LineRenderer, width: int) -> list[Strip]:
        mark, color = STATE_MARKS[self.state]
        style = renderer.styles[color] + BOLD
        head = Text(f"{mark} {safe_text(self.name)}", style, overflow="ellipsis", no_wrap=True)
        details = [self.tool.effect.value, *_sandbox_text(self.tool)] if self.tool else []
        details.append(STATE_TEXTS[self.state])
        if self.elapsed_s >= MIN_SHOWN_S and self.state not in ("writing", "waiting"):
            details.append(f"{self.elapsed_s:.1f} s")
        head.append(f"  {' · '.join(details)}", renderer.styles["muted"])
        return renderer.render(head, width)

    def _argument_blocks(self) -> Iterator[Block]:
        for name, value in self.arguments.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            if not self.expanded and len(text) > ARGUMENT_PREVIEW_CHARS:
                hidden = len(text) - ARGUMENT_PREVIEW_CHARS
                text = text[:ARGUMENT_PREVIEW_CHARS]
                text += f"\n… ({hidden} more characters; {EXPAND_HINT})"
            separator = "\n" if "\n" in text else " "
            yield from blocks.text_blocks(f"{name}:{separator}{text}", "muted")

    def _result_blocks(self) -> Iterator[Block]:
        if self.result is None or not (output := self.result.output):
            return
        yield Gap()
        if not self.expanded and (preview := _preview(output)) is not None:
            yield from blocks.text_blocks(preview)
        elif _is_diff(output):
            yield from blocks.diff_blocks(output)
        elif (pretty := _pretty_json(output)) is not None:
            yield from blocks.code_blocks(pretty, "json")
        else:
            yield from blocks.text_blocks(output, "base" if self.result.ok else "error")


def _sandbox_text(tool: Tool) -> list[str]:
    return [] if tool.sandbox is Sandbox.NONE else [f"sandbox: {tool.sandbox.value}"]


def _preview(output: str) -> str | None:
    """Return the beginning of a long result and the size of the whole; None for a short result."""
    end, lines = 0, 0
    while lines < PREVIEW_LINES and end >= 0:
        end = output.find("\n", end + 1 if lines else 0)
        lines += 1
    beginning = output if end < 0 else output[:end]
    beginning = beginning[:PREVIEW_CHARS]
    if len(beginning) >= len(output.rstrip("\n")):
        return None
    line_count = output.count("\n") + 1
    size = f"{line_count:,} lines" if line_count > 1 else f"{len(output):,} characters"
    return f"{beginning} …\n({size}; {EXPAND_HINT})"


def _is_diff(output: str) -> bool:
    return output.startswith(("--- ", "diff ")) and "\n@@" in output[:DIFF_HEAD_CHARS]


def _pretty_json(output: str) -> str | None:
    """Return JSON with indentation; None if the text is not JSON, or too long."""
    if output.lstrip()[:1] not in ("{", "[") or len(output) > MAX_PRETTY_JSON_CHARS:
        return None
    try:
        return json.dumps(json.loads(output), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return None


class ToolCallRow(Entry):
    """The calls of one reply, side by side if they fit."""

    def __init__(self) -> None:
        super().__init__()
        self.cards: list[ToolCallCard] = []
        self.selected: Entry | None = None
        """The card with the highlighted bar; the transcript sets it."""
        self._row_block = Block(self._render_row)

    @property
    def text(self) -> str:
        """The texts of all cards."""
        return "\n".join(card.text for card in self.cards)

    def fits_in_row(self, width: int) -> bool:
        """Return whether the cards are shown side by side."""
        count = len(self.cards)
        return (
            1 < count <= MAX_CARDS_IN_ROW
            and width >= count * MIN_CARD_COLUMNS
            and not any(card.expanded for card in self.cards)
        )

    def blocks(self, width: int) -> Sequence[Block]:
        """Return one block with all cards; the transcript uses it only if the cards fit."""
        self._row_block.invalidate()
        return [self._row_block]

    def select(self, entry: Entry | None) -> None:
        """Highlight the bar of a card; other entries remove the highlight."""
        if entry is not self.selected and {entry, self.selected} & set(self.cards):
            self._row_block.invalidate()
        self.selected = entry

    def entry_at(self, x: int, width: int) -> Entry:
        """Return the card at a column."""
        card_columns = width // max(1, len(self.cards))
        return self.cards[min(x // max(1, card_columns), len(self.cards) - 1)]

    def _render_row(self, renderer: LineRenderer, width: int) -> list[Strip]:
        card_columns = width // len(self.cards)
        cards = [list(_card_strips(card, renderer, card_columns - 3)) for card in self.cards]
        rows = []
        for number in range(max(map(len, cards))):
            parts: list[Strip] = []
            for card, lines in zip(self.cards, cards, strict=True):
                if parts:
                    parts.append(renderer.bar(card.color, card is self.selected))
                line = lines[number] if number < len(lines) else Strip([])
                parts.append(line.adjust_cell_length(card_columns - 2, renderer.styles["base"]))
            rows.append(Strip.join(parts))
        return rows


def _card_strips(card: ToolCallCard, renderer: LineRenderer, width: int) -> Iterator[Strip]:
    for block in card.blocks(width):
        yield from block.strips(renderer, width)
