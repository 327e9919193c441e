"""Function-calling models on your own machine, with calls that are always valid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .types import (
    Always,
    Answer,
    CallDelta,
    Calls,
    Delta,
    Done,
    Effect,
    No,
    Note,
    Once,
    Prefill,
    Question,
    Result,
    Sampling,
    System,
    Tool,
    ToolCall,
    User,
)

if TYPE_CHECKING:
    from .agent import Rules
    from .opening import open_engine, open_here
    from .session import Session
    from .tools import tool

__all__ = [
    "Always",
    "Answer",
    "CallDelta",
    "Calls",
    "Delta",
    "Done",
    "Effect",
    "No",
    "Note",
    "Once",
    "Prefill",
    "Question",
    "Result",
    "Rules",
    "Sampling",
    "Session",
    "System",
    "Tool",
    "ToolCall",
    "User",
    "open_engine",
    "open_here",
    "tool",
]

__version__ = "0.1.0"

# Imported when they are asked for, so that a command that needs none of them starts at once.
_LAZY = {
    "Rules": "agent",
    "Session": "session",
    "open_engine": "opening",
    "open_here": "opening",
    "tool": "tools",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
