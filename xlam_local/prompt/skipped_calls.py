"""Leave calls that did not run out of prompts: a model that reads its repetitions repeats more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..types import Message, ToolCall, ToolCalls, ToolResult


def without_skipped_calls(messages: Sequence[Message]) -> list[Message]:
    """Return the messages without calls that did not run, and without their results.

    Those after the last text stay, because their results tell the model what to do instead.
    """
    kept: list[Message] = []
    end = _end_of_last_text(messages)
    for place, message in enumerate(messages[:end]):
        if isinstance(message, ToolCalls):
            skipped = _skipped_calls(messages, place)
            calls = tuple(call for call in message.calls if call not in skipped)
            if calls:
                kept.append(replace(message, calls=calls))
        elif not (isinstance(message, ToolResult) and message.skipped):
            kept.append(message)
    return [*kept, *messages[end:]]


def _skipped_calls(messages: Sequence[Message], place: int) -> list[ToolCall]:
    """Return the calls of the message at `place` that did not run."""
    skipped = []
    for message in messages[place + 1 :]:
        if not isinstance(message, ToolResult):
            break
        if message.skipped:
            skipped.append(message.call)
    return skipped


def _end_of_last_text(messages: Sequence[Message]) -> int:
    for place in range(len(messages) - 1, -1, -1):
        if not isinstance(messages[place], ToolCalls | ToolResult):
            return place
    return 0
