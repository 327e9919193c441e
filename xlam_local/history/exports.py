"""Conversations as files: Markdown for people, JSON and JSONL for programs, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from .. import wire
from ..errors import UsageError
from ..reply import DEEPEST, deep
from ..types import Answer, Calls, Message, Result, System, ToolCall, User
from .types import Summary

Format = Literal["markdown", "json", "jsonl"]
EMPTY = "This holds no conversation: there are no messages in it."
ENDINGS: Mapping[str, Format] = {".md": "markdown", ".json": "json", ".jsonl": "jsonl"}


def export(summary: Summary, messages: Sequence[Message], format: Format) -> str:
    """A conversation as the text of a file."""
    return WRITERS[format](summary, messages)


def read(text: str) -> tuple[str, list[Message]]:
    """The title and the messages in a JSON or JSONL file, ours or in OpenAI's form.

    Raises:
        UsageError: says where it is not what it should be.
    """
    try:
        data = _parsed(text)
    except RecursionError as error:
        raise UsageError("This is nested too deeply for a conversation.") from error
    title = data.get("title", "")
    messages = wire.conversation(data)
    if not messages:
        raise UsageError(EMPTY)
    for call in (call for made in messages if isinstance(made, Calls) for call in made.calls):
        if deep(call.arguments):
            raise UsageError(f"The arguments of {call.name!r} are nested more than {DEEPEST} deep.")
    return (title if isinstance(title, str) else ""), _judged(messages, data["messages"])


def _parsed(text: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except ValueError:
        data = {"messages": _lines(text)}
        if data["messages"] and "role" not in data["messages"][0]:
            data = {**data["messages"][0], "messages": data["messages"][1:]}
    if isinstance(data, list):
        data = {"messages": data}
    elif isinstance(data, dict) and "role" in data:
        data = {"messages": [data]}
    if not isinstance(data, dict) or "messages" not in data:
        raise UsageError(EMPTY)
    return data


def _lines(text: str) -> list[dict[str, Any]]:
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except ValueError as error:
            raise UsageError(f"Line {number} is not JSON: {error}.") from error
        if not isinstance(item, dict):
            raise UsageError(f"Line {number} is not an object.")
        found.append(item)
    return found


def _judged(messages: Sequence[Message], items: Sequence[Any]) -> list[Message]:
    """The messages, with what only our own files say of results."""
    first = len(messages) - len(items)
    judged = list(messages)
    for number, item in enumerate(items, first):
        if isinstance(message := judged[number], Result):
            refused = item.get("refused") is True
            ok = item.get("ok", not refused) is True
            judged[number] = Result(message.call, message.output, ok, refused)
    return judged


def _objects(messages: Sequence[Message]) -> Iterator[dict[str, Any]]:
    """The messages in OpenAI's form; a result that is no success says so."""
    for message, written in zip(messages, wire.messages_json(messages), strict=True):
        if isinstance(message, Result) and not message.ok:
            written |= {"ok": False, "refused": message.refused}
        yield written


def _head(summary: Summary) -> dict[str, Any]:
    return {
        "title": summary.title,
        "created": _time(summary.created),
        "changed": _time(summary.changed),
        "model": summary.model,
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")


def _json(summary: Summary, messages: Sequence[Message]) -> str:
    whole = {**_head(summary), "messages": list(_objects(messages))}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def _jsonl(summary: Summary, messages: Sequence[Message]) -> str:
    return "".join(f"{wire.dumps(item)}\n" for item in (_head(summary), *_objects(messages)))


def _markdown(summary: Summary, messages: Sequence[Message]) -> str:
    head = f"# {summary.title}\n\n{_time(summary.created)}"
    head += f" · {summary.model}" if summary.model else ""
    return "\n\n".join([head, *map(_section, messages)]) + "\n"


def _section(message: Message) -> str:
    match message:
        case System(text):
            return f"## System\n\n{text}"
        case User(text):
            return f"## You\n\n{text}"
        case Answer(text):
            return f"## Model\n\n{text}"
        case Calls(calls, text):
            return "\n\n".join([f"## Model\n\n{text}".rstrip(), *map(_call, calls)])
        case Result(call, output, ok, refused):
            became = "" if ok else " was refused" if refused else " failed"
            return f"### Result of {call.name}{became}\n\n{_fenced(output)}"


def _call(call: ToolCall) -> str:
    arguments = json.dumps(call.arguments, ensure_ascii=False, indent=2)
    return f"### Call of {call.name}\n\n{_fenced(arguments, 'json')}"


def _fenced(text: str, language: str = "") -> str:
    """Text in a fence that nothing in it closes."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"


WRITERS = {"markdown": _markdown, "json": _json, "jsonl": _jsonl}
FORMATS: Mapping[str, Format] = {form: form for form in ENDINGS.values()}
