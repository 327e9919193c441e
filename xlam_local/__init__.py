"""Run function-calling models on your own machine, with tool calls that are always valid."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .agent import TurnOptions
    from .async_session import AsyncSession
    from .errors import ToolError, XlamError
    from .model_loading import load_model, load_model_in_process
    from .session import Session
    from .session_setup import open_session
    from .tools import tool
    from .types import (
        AllowAlways,
        AllowEdited,
        AllowOnce,
        ApprovalRequest,
        AssistantMessage,
        ContextUsage,
        Decision,
        Deny,
        Done,
        Effect,
        Heartbeat,
        Notice,
        PrefillProgress,
        Sampling,
        Sandbox,
        SystemMessage,
        TextDelta,
        Tool,
        ToolCall,
        ToolCallDelta,
        ToolCalls,
        ToolResult,
        Usage,
        UserMessage,
    )

__all__ = [
    "AllowAlways",
    "AllowEdited",
    "AllowOnce",
    "ApprovalRequest",
    "AssistantMessage",
    "AsyncSession",
    "ContextUsage",
    "Decision",
    "Deny",
    "Done",
    "Effect",
    "Heartbeat",
    "Notice",
    "PrefillProgress",
    "Sampling",
    "Sandbox",
    "Session",
    "SystemMessage",
    "TextDelta",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolCalls",
    "ToolError",
    "ToolResult",
    "TurnOptions",
    "Usage",
    "UserMessage",
    "XlamError",
    "load_model",
    "load_model_in_process",
    "open_session",
    "tool",
]

__version__ = "0.1.0"

# Modules are imported at the first access to one of their names, which keeps start-up short.
_LAZY_MODULES = {
    "AsyncSession": "async_session",
    "Session": "session",
    "ToolError": "errors",
    "TurnOptions": "agent",
    "XlamError": "errors",
    "load_model": "model_loading",
    "load_model_in_process": "model_loading",
    "open_session": "session_setup",
    "tool": "tools",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LAZY_MODULES.get(name, 'types')}", __name__), name)
