"""Export conversations as training data, in the formats that trainers read."""

from __future__ import annotations

from .formats import FORMS, rows
from .report import ExportReport
from .selection import Selection, TrainingConversation, saved_conversation

__all__ = [
    "FORMS",
    "ExportReport",
    "Selection",
    "TrainingConversation",
    "rows",
    "saved_conversation",
]
