"""Serialize messages for the database, and their text for the full-text search."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import IntegrityError
from ..types import (
    AssistantMessage,
    Message,
    SystemMessage,
    ToolCall,
    ToolCalls,
    ToolResult,
    UserMessage,
)

DAMAGED = "(This message is damaged.)"
MAX_INDEXED_CHARS = 100_000
"""Characters of a message that are indexed; the message itself is stored whole."""

Json = Any


def kind(message: Message) -> str:
    """Return the stored name of a message's type."""
    return KIND_OF[type(message)]


def pack(message: Message) -> str:
    """Return a message as JSON without loss."""
    match message:
        case UserMessage(text, attachments):
            packed: Json = {"text": text}
            packed |= {"attachments": attachments} if attachments else {}
        case SystemMessage(text) | AssistantMessage(text):
            packed = {"text": text}
        case ToolCalls(calls, text):
            packed = {"calls": [_call(call) for call in calls], "text": text}
        case ToolResult(call, output, ok, refused, skipped):
            packed = {"call": _call(call), "output": output, "ok": ok, "refused": refused}
            packed |= {"skipped": True} if skipped else {}
    # Lone surrogates, which UTF-8 cannot encode, stay escaped.
    return json.dumps(packed)


def row(message: Message) -> tuple[str, str, str]:
    """Return what is stored of a message: its kind, its JSON and its words."""
    return kind(message), pack(message), search_text(message)


def unpack(kind: str, packed: str) -> Message:
    """Return the message that `pack` serialized.

    Raises:
        IntegrityError: the row is damaged.
    """
    try:
        return KINDS[kind](json.loads(packed))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise IntegrityError(f"A message in the history is damaged ({error}).") from error


def unpack_or_note(kind: str, packed: str) -> Message:
    """Return the message, or a note in its place if the row is damaged."""
    try:
        return unpack(kind, packed)
    except IntegrityError:
        return UserMessage(DAMAGED) if kind == "user" else AssistantMessage(DAMAGED)


def search_text(message: Message) -> str:
    """Return the text of a message for the index."""
    match message:
        case SystemMessage(text) | UserMessage(text) | AssistantMessage(text):
            words = text
        case ToolCalls(calls, text):
            words = "\n".join([text, *map(_words, calls)]).strip()
        case ToolResult(_, output):
            words = output
    return words[:MAX_INDEXED_CHARS].encode("utf-8", "replace").decode()


def _call(call: ToolCall) -> Json:
    return {"id": call.id, "name": call.name, "arguments": dict(call.arguments)}


def _words(call: ToolCall) -> str:
    return f"{call.name} {json.dumps(call.arguments, ensure_ascii=False)}"


def _to_call(data: Json) -> ToolCall:
    return ToolCall(data["id"], data["name"], data["arguments"])


def _calls(data: Json) -> ToolCalls:
    return ToolCalls(tuple(_to_call(call) for call in data["calls"]), data["text"])


def _result(data: Json) -> ToolResult:
    call, skipped = _to_call(data["call"]), data.get("skipped", False)
    return ToolResult(call, data["output"], data["ok"], data["refused"], skipped)


KINDS: Mapping[str, Callable[[Json], Message]] = {
    "system": lambda data: SystemMessage(data["text"]),
    "user": lambda data: UserMessage(data["text"], tuple(data.get("attachments", ()))),
    "answer": lambda data: AssistantMessage(data["text"]),
    "calls": _calls,
    "result": _result,
}
KIND_OF: Mapping[type[Message], str] = {
    SystemMessage: "system",
    UserMessage: "user",
    AssistantMessage: "answer",
    ToolCalls: "calls",
    ToolResult: "result",
}
"""The names in the database; they do not change with the names of the classes."""
