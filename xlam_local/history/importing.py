"""Read the conversations of a file of this or another program; name those that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import conversation_format, user_file
from ..errors import UsageError, XlamError
from ..types import Message, Tool
from .export import split_text, summary_of
from .llm_database import is_database, read_llm_database
from .other_formats import items_of, recognized
from .types import Summary

Json = Any


@dataclass(frozen=True, slots=True)
class ImportedConversation:
    """A conversation of a file; the summary's id has no meaning."""

    summary: Summary
    messages: list[Message]
    tools: tuple[Tool, ...] = ()


@dataclass(slots=True)
class ImportedFile:
    """The conversations of a file, and what is wrong with the others."""

    conversations: list[ImportedConversation] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """A sentence for each conversation that cannot be read, with its place in the file."""


def read_import(path: Path) -> ImportedFile:
    """Read a file, whose format is recognized by its content.

    Raises:
        UsageError: no conversation can be read; the error says what is wrong and where.
    """
    found = ImportedFile()
    if is_database(path):
        for where, item in read_llm_database(path):
            _read(found, item, f"{path}, {where}")
    else:
        content = user_file.read_bytes(path)
        items = list(_items(content, str(path), found))
        if not any(recognized(item) for _, item in items):
            # One conversation with a message in each line, or nothing that can be read.
            text = user_file.decode(content, str(path))
            found, items = ImportedFile(), [(str(path), one) for one in split_text(text, str(path))]
        for where, item in items:
            _read(found, item, where)
    if not found.conversations and found.faults:
        raise UsageError(found.faults[0])
    return found


def _items(content: bytes, name: str, found: ImportedFile) -> Iterator[tuple[str, Json]]:
    """Yield the place and the data of each conversation of a JSON or JSONL file."""
    try:
        data = user_file.parse_json(user_file.decode(content, name), name, surrogates=True)
    except UsageError:
        lines = [(n, line) for n, line in enumerate(content.split(b"\n"), 1) if line.strip()]
        if len(lines) < 2:
            raise
        for number, line in lines:
            where = f"{name}, line {number}"
            try:
                text = user_file.decode(line, f"{where},")
                parsed = user_file.parse_json(text, f"{where},", surrogates=True)
            except UsageError as error:
                found.faults.append(str(error))
                continue
            yield from ((where, item) for item in items_of(parsed))
        return
    items = items_of(data)
    for number, item in enumerate(items):
        yield f"{name}, conversation {number}" if items[1:] else name, item


def _read(found: ImportedFile, item: Json, where: str) -> None:
    """Add one conversation, or what is wrong with it."""
    try:
        if (convert := recognized(item)) is None:
            raise UsageError("this is not a conversation.")
        data = convert(item)
        messages = list(conversation_format.conversation(data))
        if not messages:
            raise UsageError("the conversation has no messages.")
        tools = conversation_format.offered_tools(data)
    except XlamError as error:
        found.faults.append(f"{where}: {error}")
        return
    summary = summary_of(data, len(messages))
    found.conversations.append(ImportedConversation(summary, messages, tools))
