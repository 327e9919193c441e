"""The entries of the transcript: user messages, answers, notices and tool calls."""

from __future__ import annotations

from collections.abc import Sequence

from . import blocks
from .blocks import Block, Gap
from .markdown_stream import MarkdownSplitter


class Entry:
    """One entry of the transcript."""

    color = "muted"
    """The style of the bar at its left."""

    def __init__(self, message_index: int | None = None) -> None:
        self.message_index = message_index
        """The index of its message in the conversation."""
        self.gap = Gap()
        """The empty line above it."""

    @property
    def text(self) -> str:
        """The text that is copied."""
        raise NotImplementedError

    def blocks(self, width: int) -> Sequence[Block]:
        """Return its blocks for a width in columns."""
        raise NotImplementedError

    def entry_at(self, x: int, width: int) -> Entry:
        """Return the entry at a column."""
        return self


class UserEntry(Entry):
    """A message of the user."""

    color = "primary"

    def __init__(self, text: str, message_index: int | None = None) -> None:
        super().__init__(message_index)
        self._text = text
        self._blocks = blocks.text_blocks(text, "strong")

    @property
    def text(self) -> str:
        """The message."""
        return self._text

    def blocks(self, width: int) -> Sequence[Block]:
        """Return the blocks of the message."""
        return self._blocks


class NoticeEntry(Entry):
    """A notice of the app; `style` is a name of STYLES and `hint` follows the text."""

    def __init__(self, text: str, style: str = "muted", hint: str = "") -> None:
        super().__init__()
        self.color = style
        self._text = text
        self._blocks = blocks.text_blocks(f"{text} {hint}".rstrip(), style)

    @property
    def text(self) -> str:
        """The notice without its hint."""
        return self._text

    def blocks(self, width: int) -> Sequence[Block]:
        """Return the blocks of the notice."""
        return self._blocks


class AnswerEntry(Entry):
    """An answer of the model, also while it is being written."""

    color = "accent"

    def __init__(self, message_index: int | None = None) -> None:
        super().__init__(message_index)
        self._splitter = MarkdownSplitter()
        self._parts: list[str] = []
        self._finished_blocks: list[Block] = []
        self._tail_blocks: list[Block] = []

    @property
    def text(self) -> str:
        """The Markdown of the answer."""
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""

    def append(self, text: str) -> None:
        """Add text that the model has written."""
        self._parts.append(text)
        for piece in self._splitter.feed(text):
            if piece.text:
                self._finished_blocks.append(blocks.markdown_block(piece.text))
            if not piece.continues:
                self._finished_blocks.append(Gap())
        tail = self._splitter.tail
        self._tail_blocks = [blocks.markdown_block(tail)] if tail.strip() else []

    def finish(self, text: str) -> None:
        """Set the whole text, if it is not what was appended."""
        if text.strip() != self.text.strip():
            self._parts, self._finished_blocks = [], []
            self._splitter = MarkdownSplitter()
            self.append(text)

    def blocks(self, width: int) -> Sequence[Block]:
        """Return a block for each piece of Markdown."""
        found = [*self._finished_blocks, *self._tail_blocks]
        while found and found[-1].is_gap:
            found.pop()
        return found
