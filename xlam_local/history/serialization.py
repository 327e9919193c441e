"""Messages as rows of the database, and as the text that a search looks at."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import IntegrityError
from ..types import Answer, Calls, Message, Result, System, ToolCall, User

INDEXED = 100_000
"""Characters of a message that a search looks at; the message itself is kept whole."""

Json = Any


def kind(message: Message) -> str:
    """The name of a kind of message."""
    return type(message).__name__.lower()


def pack(message: Message) -> str:
    """A message as JSON, with nothing lost."""
    match message:
        case System(text) | User(text) | Answer(text):
            packed: Json = {"text": text}
        case Calls(calls, text):
            packed = {"calls": [_call(call) for call in calls], "text": text}
        case Result(call, output, ok, refused):
            packed = {"call": _call(call), "output": output, "ok": ok, "refused": refused}
    # Lone halves of surrogate pairs, which the file could not hold, stay escaped.
    return json.dumps(packed)


def unpack(kind: str, packed: str) -> Message:
    """The message that `pack` made this of."""
    try:
        return KINDS[kind](json.loads(packed))
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"A message in the history is damaged ({error}).") from error


def searched(message: Message) -> str:
    """The words of a message."""
    match message:
        case System(text) | User(text) | Answer(text):
            words = text
        case Calls(calls, text):
            words = "\n".join([text, *map(_words, calls)]).strip()
        case Result(_, output):
            words = output
    return words[:INDEXED].encode("utf-8", "replace").decode()


def _call(call: ToolCall) -> Json:
    return {"id": call.id, "name": call.name, "arguments": dict(call.arguments)}


def _words(call: ToolCall) -> str:
    return f"{call.name} {json.dumps(call.arguments, ensure_ascii=False)}"


def _made(data: Json) -> ToolCall:
    return ToolCall(data["id"], data["name"], data["arguments"])


def _calls(data: Json) -> Calls:
    return Calls(tuple(_made(call) for call in data["calls"]), data["text"])


def _result(data: Json) -> Result:
    return Result(_made(data["call"]), data["output"], data["ok"], data["refused"])


KINDS: Mapping[str, Callable[[Json], Message]] = {
    "system": lambda data: System(data["text"]),
    "user": lambda data: User(data["text"]),
    "answer": lambda data: Answer(data["text"]),
    "calls": _calls,
    "result": _result,
}
