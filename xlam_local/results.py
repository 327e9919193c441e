"""A tool's result within the room that the context has for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from . import excerpt, prompt
from .types import Message, Piece, Prompt, Result, Tool

SHARE = 4
"""A result takes at most one part in so many of the context, and the reply keeps as much."""
LEAST = 48
"""Tokens that a result has in any case."""
SHORT = 400
"""A text of so many characters is not counted: it has no more tokens than that."""
LONGEST_TOKEN = 16
"""No text has more characters a token, but for runs of blanks."""

Keep = Callable[[str, str], str]
"""Keeps the whole result of the tool with a name, and says where."""


class Counter(Protocol):
    """Knows a model's tokens."""

    @property
    def format(self) -> prompt.Format:
        """How the model's prompts are written."""

    @property
    def size(self) -> int:
        """Tokens of context."""

    def count(self, prompts: Sequence[Prompt]) -> list[int]:
        """How many tokens each prompt has."""


def fitted(
    result: Result, before: Sequence[Message], tools: Sequence[Tool], counter: Counter, keep: Keep
) -> Result:
    """The result, cut to a share of what the context has left after the messages `before` it.

    What is cut is kept whole where `keep` says.
    """
    whole = result.output
    if len(whole) <= min(SHORT, counter.size // SHARE):
        return result
    read = whole[: LONGEST_TOKEN * counter.size]
    used, size = counter.count([prompt.render(before, tools, counter.format), (Piece(read),)])
    free = counter.size - used - counter.size // SHARE
    most = max(min(counter.size // SHARE, free), LEAST)
    if size <= most and len(read) == len(whole):
        return result
    where = keep(result.call.name, whole)
    characters = len(read)
    # Its beginning and end may have more tokens than its average; then once more is enough.
    for _ in range(3):
        characters = characters * most // max(size, most)
        short = excerpt.cut(whole, characters, where)
        (size,) = counter.count([(Piece(short),)])
        if size <= most + LEAST:
            break
    return replace(result, output=short)
