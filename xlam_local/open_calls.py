"""The calls of a conversation that have no result yet, and the id of the next call."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from .types import Message, ToolCall, ToolCalls, ToolResult

OUR_ID = re.compile(r"call_(\d{1,9})")


def calls_of(messages: Sequence[Message]) -> list[ToolCall]:
    """Return all calls of a conversation."""
    return [
        call for message in messages if isinstance(message, ToolCalls) for call in message.calls
    ]


def open_calls(messages: Sequence[Message]) -> list[ToolCall]:
    """Return the calls without a result; calls with the same id need a result each."""
    answered = Counter(message.call.id for message in messages if isinstance(message, ToolResult))
    found = []
    for call in calls_of(messages):
        if answered[call.id]:
            answered[call.id] -= 1
        else:
            found.append(call)
    return found


def next_call_number(messages: Sequence[Message]) -> int:
    """Return the number for the id of the next call, which no earlier call has."""
    ids = [call.id for call in calls_of(messages)]
    ours = (OUR_ID.fullmatch(id) for id in ids)
    return max([len(ids), *(int(id[1]) + 1 for id in ours if id)])
