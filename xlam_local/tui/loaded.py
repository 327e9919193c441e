"""What the app needs of a model, beside what a turn needs."""

from __future__ import annotations

from typing import Protocol

from ..agent import Engine


class Loaded(Engine, Protocol):
    """A model that was opened."""

    @property
    def where(self) -> str:
        """Where it computes, in words."""

    def close(self) -> None:
        """Give its memory back; where it is wanted once more, it starts again."""
