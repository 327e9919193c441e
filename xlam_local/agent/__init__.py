"""One turn: replies, tool calls and results, until the model answers."""

from __future__ import annotations

from .engine import Engine, Generation, TokenCounter
from .tool_call import run_call, run_in_thread, validate_call
from .truncation import result_text
from .turn import TurnOptions, run_pending_calls, turn

__all__ = [
    "Engine",
    "Generation",
    "TokenCounter",
    "TurnOptions",
    "result_text",
    "run_call",
    "run_in_thread",
    "run_pending_calls",
    "turn",
    "validate_call",
]
