"""Export conversations as Markdown, JSON or JSONL, and import JSON and JSONL."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from .. import conversation_format, openai_format, user_file
from ..errors import UsageError
from ..prompt import tool_json
from ..types import (
    AssistantMessage,
    Message,
    SystemMessage,
    Tool,
    ToolCall,
    ToolCalls,
    ToolResult,
    UserMessage,
)
from .types import Summary

Format = Literal["markdown", "json", "jsonl"]
Json = Any
Exported = tuple[Summary, list[Message]]
"""A conversation from a file; the summary's id has no meaning."""
SUFFIXES: Mapping[str, Format] = {".md": "markdown", ".json": "json", ".jsonl": "jsonl"}


def export(
    summary: Summary, messages: Sequence[Message], format: Format, tools: Sequence[Tool] = ()
) -> str:
    """Return a conversation as the text of a file; JSON has the tools that were offered."""
    return WRITERS[format](summary, messages, tools)


def read_conversations(path: Path) -> list[Exported]:
    """Return the conversations in a JSON or JSONL file, ours or another program's.

    Raises:
        UsageError: the file cannot be read, or what is wrong in it and where.
    """
    return parse_conversations(user_file.read_text(path), str(path))


def parse_conversations(text: str, name: str) -> list[Exported]:
    """Return the conversations in the text of the file `name`.

    Raises:
        UsageError: says what is wrong, and where.
    """
    found = split_text(text, name)
    return [_conversation(data, name, f" {n}" if found[1:] else "") for n, data in enumerate(found)]


def split_text(text: str, name: str) -> list[Json]:
    """Return the conversations in the text of the file `name`, as they are written.

    Raises:
        UsageError: there is none, or the text is not JSON or JSONL.
    """
    try:
        return conversation_format.split(_parse(text, name))
    except UsageError as error:
        if str(error).startswith(name):
            raise
        raise UsageError(f"{name}: {error}") from error


def _conversation(data: Json, name: str, number: str) -> Exported:
    try:
        messages = conversation_format.conversation(data)
    except UsageError as error:
        raise UsageError(f"{name}: Conversation{number}: {error}") from error
    if not messages:
        raise UsageError(f"{name}: Conversation{number} has no messages.")
    return summary_of(data, len(messages)), list(messages)


def summary_of(data: Mapping[str, Json], count: int) -> Summary:
    """Return what a file says about a conversation of `count` messages."""
    now = time.time()
    return Summary(
        id=0,
        title=_text(data.get("title")),
        created=_seconds(data.get("created"), now),
        changed=_seconds(data.get("changed"), now),
        model=_text(data.get("model")),
        folder=_text(data.get("folder")),
        messages=count,
    )


def _parse(text: str, name: str) -> Json:
    """Return the data of a JSON text, or of JSONL: messages or conversations, one per line."""
    first, _, rest = text.strip().partition("\n")
    if not rest.strip() or not _is_json(first):
        return user_file.parse_json(text, name, surrogates=True)
    lines = enumerate(text.split("\n"), 1)  # Other line separators can occur within a text.
    items = [
        user_file.parse_json(line, f"{name}, line {number},", surrogates=True)
        for number, line in lines
        if line.strip()
    ]
    head = items[0]
    if isinstance(head, dict) and not {"role", "from", "messages", "conversations"} & head.keys():
        return {**head, "messages": items[1:]}
    return items


def _is_json(text: str) -> bool:
    try:
        user_file.parse_json(text, "", surrogates=True)
    except UsageError:
        return False
    return True


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def _seconds(value: Json, default: float) -> float:
    """Return a time as an export has it in seconds since 1970."""
    try:
        return datetime.fromisoformat(value).timestamp()
    except (TypeError, ValueError, OverflowError):
        return default


def _objects(messages: Sequence[Message]) -> Iterator[dict[str, Any]]:
    """Yield the messages in OpenAI's form; a result that failed or did not run says so."""
    for message, written in zip(messages, openai_format.messages_json(messages), strict=True):
        if isinstance(message, ToolResult) and not message.ok:
            written |= {"ok": False, "refused": message.refused}
        if isinstance(message, UserMessage) and message.attachments:
            written |= {"attached_files": list(message.attachments)}
        if isinstance(message, ToolResult) and message.skipped:
            written |= {"skipped": True}
        yield written


def _head(summary: Summary, tools: Sequence[Tool]) -> dict[str, Any]:
    listed = [{"type": "function", "function": tool_json(tool)} for tool in tools]
    return {
        "title": summary.title,
        "created": _time(summary.created),
        "changed": _time(summary.changed),
        "model": summary.model,
        "folder": summary.folder,
        **({"tools": listed} if listed else {}),
    }


def _time(seconds: float, precision: str = "auto") -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec=precision)


def _json(summary: Summary, messages: Sequence[Message], tools: Sequence[Tool]) -> str:
    whole = {**_head(summary, tools), "messages": list(_objects(messages))}
    return openai_format.dumps(whole, indent=1) + "\n"


def _jsonl(summary: Summary, messages: Sequence[Message], tools: Sequence[Tool]) -> str:
    return "".join(
        f"{openai_format.dumps(item)}\n" for item in (_head(summary, tools), *_objects(messages))
    )


def _markdown(summary: Summary, messages: Sequence[Message], _: Sequence[Tool]) -> str:
    head = f"# {summary.title}\n\n{_time(summary.created, 'seconds')}"
    head += f" · {summary.model}" if summary.model else ""
    return "\n\n".join([head, *map(_section, messages)]) + "\n"


def _section(message: Message) -> str:
    match message:
        case SystemMessage(text):
            return f"## System\n\n{text}"
        case UserMessage(text):
            return f"## You\n\n{text}"
        case AssistantMessage(text):
            return f"## Model\n\n{text}"
        case ToolCalls(calls, text):
            return "\n\n".join([f"## Model\n\n{text}".rstrip(), *map(_call, calls)])
        case ToolResult(call, output, ok, refused, skipped):
            became = "" if ok else " was refused" if refused else " failed"
            became = " did not run again" if skipped else became
            return f"### Result of {call.name}{became}\n\n{_fenced(output)}"


def _call(call: ToolCall) -> str:
    arguments = openai_format.dumps(call.arguments, indent=2)
    return f"### Call of {call.name}\n\n{_fenced(arguments, 'json')}"


def _fenced(text: str, language: str = "") -> str:
    """Return text in a code fence that is longer than any fence in it."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"


WRITERS = {"markdown": _markdown, "json": _json, "jsonl": _jsonl}
FORMATS: Mapping[str, Format] = {form: form for form in SUFFIXES.values()}
