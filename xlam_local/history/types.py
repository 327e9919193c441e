"""Values that the history returns."""

from __future__ import annotations

from dataclasses import dataclass

RATINGS = {"up": 1, "down": -1, "none": 0}
"""The names of the ratings of a reply; 0 removes the rating."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A conversation as shown in a list."""

    id: int
    title: str
    created: float
    """Seconds since 1970."""
    changed: float
    """Seconds since 1970."""
    model: str = ""
    """The model that answered last."""
    folder: str = ""
    """The working folder of its tools."""
    messages: int = 0
    """How many messages it has."""


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A message that a search found."""

    conversation: Summary
    index: int
    """The message's index in the conversation, from 0."""
    excerpt: str
    """The text around the words."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where the next message of a conversation is written."""

    id: int
    next: int
    """The index of the next message."""
    forked: bool
    """Whether the conversation is a copy, because another program continued the original."""
