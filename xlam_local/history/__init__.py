"""Conversations on disk: store, search, export."""

from __future__ import annotations

from .conversation import Conversation
from .store import History
from .types import Position, SearchHit, Summary

__all__ = ["Conversation", "History", "Position", "SearchHit", "Summary"]
