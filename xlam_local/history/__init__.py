"""Conversations on disk."""

from __future__ import annotations

from .conversation import Conversation
from .store import History
from .types import Found, Summary

__all__ = ["Conversation", "Found", "History", "Summary"]
