"""How replies were written, in the database: each tool, list of tools and prompt format once."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import HistoryError, IntegrityError, PromptError
from ..prompt import PromptFormat, Template, format_from_json, format_to_json, tool_json
from ..prompt import text as prompt_text
from ..reply_record import ReplyRecord, render_again, text_sha256
from ..types import Message, Sampling, Tool, Usage
from . import serialization

TOOL, TOOLSET, FORMAT = "tool", "toolset", "format"
"""The kinds of definitions."""
COLUMNS = """
    m.place, t.text, f.text, r.details, r.prompt FROM message m JOIN reply r ON r.id = m.id
    JOIN definition t ON t.id = r.tools LEFT JOIN definition f ON f.id = r.format
"""
DATE_NAMES = ("strftime_now", "datetime")
"""Templates with one of these names can write another prompt each day."""
Definition = Callable[[str], str]
"""Returns the text of the definition with a hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedReply:
    """How a reply was written, as the history knows it."""

    tools: tuple[Tool, ...]
    """The tools in the prompt, in its order."""
    prompt_format: PromptFormat | None
    """None if the reply was imported."""
    unread: tuple[int, int] = (0, 0)
    """The range of the conversation's messages that the model did not read."""
    sampling: Sampling = Sampling()
    constrained: bool = False
    usage: Usage = Usage()
    model: str = ""
    model_sha256: str = ""
    adapters: str = ""
    prompt_sha256: str = ""
    """The SHA-256 of the prompt; empty if the reply was imported."""
    stored_prompt: str | None = None
    """The prompt, if it cannot be rendered again."""

    def prompt(self, before: Sequence[Message]) -> str:
        """Return the exact prompt that the model got; `before` are the messages before the reply.

        Raises:
            HistoryError: this version cannot render the prompt, or the reply was imported.
        """
        if self.stored_prompt is not None:
            return self.stored_prompt
        if self.prompt_format is None:
            raise HistoryError(
                "The prompt of this message is unknown, because the message was imported."
            )
        try:
            rendered = render_again(before, self.tools, self.prompt_format, self.unread)
        except PromptError as error:
            raise HistoryError(f"The prompt of this message cannot be rendered: {error}") from error
        text = prompt_text(rendered)
        if text_sha256(text) != self.prompt_sha256:
            raise HistoryError(
                "The prompt of this message cannot be rendered exactly: it was written by another "
                "version of xlam-local."
            )
        return text


def insert_reply(
    database: sqlite3.Connection, message: int, record: ReplyRecord, before: Sequence[Message]
) -> None:
    """Write how the reply in a row of `message` was written, after the messages `before`."""
    details = {
        "prompt_sha256": record.prompt_sha256,
        "unread": record.unread,
        "model": record.model,
        "model_sha256": record.model_sha256,
        "adapters": record.adapters,
        "constrained": record.constrained,
        "sampling": _changes(record.sampling, Sampling()),
        "usage": _changes(record.usage, Usage()),
    }
    format_text = json.dumps(format_to_json(record.prompt_format))
    database.execute(
        "INSERT INTO reply (id, tools, format, details, prompt) VALUES (?, ?, ?, ?, ?)",
        (
            message,
            _insert_toolset(database, record.tools),
            _insert_definition(database, FORMAT, format_text),
            json.dumps(details),
            None if _renders_again(record, before) else json.dumps(record.prompt),
        ),
    )


def insert_imported_reply(
    database: sqlite3.Connection, message: int, tools: Sequence[Tool]
) -> None:
    """Write which tools were offered for an imported reply."""
    database.execute(
        "INSERT INTO reply (id, tools, details) VALUES (?, ?, '{}')",
        (message, _insert_toolset(database, tools)),
    )


def _insert_toolset(database: sqlite3.Connection, tools: Sequence[Tool]) -> int:
    """Write a list of tools, unless it is there; return its number."""
    hashes = []
    for one in tools:
        text = json.dumps(tool_json(one))
        _insert_definition(database, TOOL, text)
        hashes.append(definition_hash(TOOL, text))
    return _insert_definition(database, TOOLSET, json.dumps(hashes))


def saved_reply(row: Sequence[Any], definition: Definition) -> SavedReply:
    """Return the reply in a row of COLUMNS.

    Raises:
        IntegrityError: the row is damaged.
    """
    _, toolset, format_text, details_text, prompt = row
    try:
        details = json.loads(details_text)
        tools = [_tool(definition(one)) for one in json.loads(toolset)]
        return SavedReply(
            tools=tuple(tools),
            prompt_format=None
            if format_text is None
            else format_from_json(json.loads(format_text)),
            unread=tuple(details.get("unread", (0, 0))),
            sampling=_sampling(details.get("sampling", {})),
            usage=Usage(**details.get("usage", {})),
            stored_prompt=None if prompt is None else json.loads(prompt),
            **{key: details[key] for key in TEXT_DETAILS if key in details},
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise IntegrityError(f"The record of a reply is damaged ({error}).") from error


TEXT_DETAILS = ("model", "model_sha256", "adapters", "constrained", "prompt_sha256")


def offered_tools(saved: Iterable[SavedReply]) -> list[Tool]:
    """Return all tools that were offered in a conversation, the latest of each name."""
    return list({tool.name: tool for reply in saved for tool in reply.tools}.values())


def conversation_hash(messages: Sequence[Message], tools: Sequence[Tool]) -> str:
    """Return a hash of a conversation's content, by which an import recognizes it."""
    said = [[serialization.kind(message), serialization.pack(message)] for message in messages]
    text = json.dumps([said, [tool_json(one) for one in tools]])
    return hashlib.sha256(text.encode()).hexdigest()


def remove_unused(database: sqlite3.Connection) -> None:
    """Delete the tools, lists of tools and formats that no reply has."""
    database.execute(
        "DELETE FROM definition WHERE kind <> ? AND id NOT IN (SELECT tools FROM reply) "
        "AND id NOT IN (SELECT format FROM reply WHERE format IS NOT NULL)",
        (TOOL,),
    )
    database.execute(
        "DELETE FROM definition WHERE kind = ? AND hash NOT IN "
        "(SELECT j.value FROM definition s, json_each(s.text) j WHERE s.kind = ?)",
        (TOOL, TOOLSET),
    )


def _renders_again(record: ReplyRecord, before: Sequence[Message]) -> bool:
    """Return whether the prompt can be rendered from what is stored."""
    prompt_format = record.prompt_format
    source = prompt_format.source if isinstance(prompt_format, Template) else ""
    if any(name in source for name in DATE_NAMES):
        return False
    tools = [_tool(json.dumps(tool_json(one))) for one in record.tools]
    try:
        rendered = render_again(before, tools, prompt_format, record.unread)
    except PromptError:
        return False
    return prompt_text(rendered) == record.prompt


def _insert_definition(database: sqlite3.Connection, kind: str, text: str) -> int:
    key = definition_hash(kind, text)
    database.execute(
        "INSERT OR IGNORE INTO definition (hash, kind, text) VALUES (?, ?, ?)", (key, kind, text)
    )
    (id,) = database.execute("SELECT id FROM definition WHERE hash = ?", (key,)).fetchone()
    return int(id)


def definition_hash(kind: str, text: str) -> str:
    """Return the hash under which a definition is stored."""
    return hashlib.sha256(f"{kind}\n{text}".encode()).hexdigest()


def _tool(text: str) -> Tool:
    """Return the tool in a definition's text, which is as prompts show it."""
    data = json.loads(text)
    return Tool(data["name"], data.get("description", ""), data.get("parameters", {}))


def _changes(value: Sampling | Usage, default: Sampling | Usage) -> dict[str, Any]:
    """Return the fields that differ from the default."""
    defaults = asdict(default)
    return {key: one for key, one in asdict(value).items() if one != defaults[key]}


def _sampling(fields: Mapping[str, Any]) -> Sampling:
    lists = {"stop": tuple(fields["stop"])} if "stop" in fields else {}
    return Sampling(**{**fields, **lists})
