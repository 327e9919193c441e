"""The nouns of the history."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Summary:
    """A conversation, as a list shows it."""

    id: int
    title: str
    created: float
    """Seconds since 1970."""
    changed: float
    model: str = ""
    """The model that spoke last."""
    folder: str = ""
    """The working folder that its tools saw."""
    messages: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """A message that a search found."""

    conversation: Summary
    place: int
    """Its place in the conversation, from 0."""
    excerpt: str
    """What stands around the words."""
