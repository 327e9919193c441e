"""A tool that adds two numbers, and turns in which a model calls it."""

from __future__ import annotations

import json
from typing import Any

from tests.fakes.fake_engine import Scripted
from xlam_local.agent import TurnOptions, turn
from xlam_local.types import (
    AllowOnce,
    ContextUsage,
    Done,
    Effect,
    Event,
    FinishReason,
    PrefillProgress,
    Tool,
    ToolCall,
    ToolResult,
    UserMessage,
)

NUMBERS = {"a": {"type": "integer"}, "b": {"type": "integer"}}
PARAMETERS = {"type": "object", "properties": NUMBERS, "required": ["a", "b"]}
ADD = Tool("add", "Add.", PARAMETERS, Effect.READ, lambda a, b: a + b)


def add_call(**arguments: Any) -> list[str]:
    """A scripted reply that calls the tool `add`."""
    return [json.dumps([{"name": "add", "arguments": arguments}])]


ADD_2_3 = add_call(a=2, b=3)


def allow_all(tool: Tool, call: ToolCall) -> AllowOnce:
    """Approve every call."""
    return AllowOnce()


def play(engine: Scripted, *tools: Tool, options: TurnOptions = TurnOptions()) -> list[Event]:
    """Play a turn; return its events without those about the prompt."""
    events = turn([UserMessage("2 + 3?")], tools or [ADD], engine, allow_all, options)
    return [event for event in events if not isinstance(event, (ContextUsage, PrefillProgress))]


def outputs(events: list[Event]) -> list[str]:
    """The outputs of the tool results."""
    return [event.output for event in events if isinstance(event, ToolResult)]


def finish_reason(events: list[Event]) -> FinishReason:
    """The finish reason of a turn."""
    assert isinstance(events[-1], Done)
    return events[-1].finish_reason
