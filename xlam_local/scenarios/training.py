"""The conversations of a check, as training data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import IntegrityError
from ..history import Summary, serialization
from ..history.replies import SavedReply
from ..history.training import TrainingConversation
from ..prompt import format_from_json
from ..types import Tool

Row = Mapping[str, Any]


def passed_conversations(rows: Sequence[Row], model: str) -> list[TrainingConversation]:
    """Return the conversations of the runs that are right, with the tools of the file.

    Raises:
        IntegrityError: a row is damaged.
    """
    chosen = [row for row in rows if row["passed"] and not row["variation"]]
    try:
        return [_conversation(row, number, model) for number, row in enumerate(chosen, 1)]
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"A result has no conversation that can be read ({error}).") from error


def _conversation(row: Row, number: int, model: str) -> TrainingConversation:
    tools = {
        item["name"]: Tool(item["name"], item.get("description", ""), item.get("parameters", {}))
        for item in row["tools"]
    }
    messages = [serialization.unpack(item["kind"], json.dumps(item)) for item in row["messages"]]
    replies = {
        record["place"]: SavedReply(
            tools=tuple(tools[name] for name in record["offered"]),
            prompt_format=format_from_json(row["prompt_format"]),
            unread=tuple(record["unread"]),
            constrained=record["constrained"],
            model=model,
            prompt_sha256=record["prompt_sha256"],
        )
        for record in row["records"]
    }
    summary = Summary(number, row["id"], 0.0, 0.0, model, messages=len(messages))
    return TrainingConversation(summary, messages, replies)
