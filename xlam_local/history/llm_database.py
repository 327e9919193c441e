"""Read `logs.db`, in which the program `llm` keeps its conversations with their tools."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from .. import user_file
from ..errors import UsageError

Json = Any
MAGIC = b"SQLite format 3\0"


def is_database(path: Path) -> bool:
    """Return whether a path is an SQLite database; False for what is no file or not readable.

    A named pipe is not opened, because that would wait for a writer.
    """
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def read_llm_database(path: Path) -> Iterator[tuple[str, Json]]:
    """Yield the name and the content of each conversation, in OpenAI's format.

    Raises:
        UsageError: the file is damaged, or is not a database of llm.
    """
    try:
        address = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as database:
            database.execute("PRAGMA trusted_schema = OFF")
            database.row_factory = sqlite3.Row
            tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
            if "responses" not in tables or "_llm_migrations" not in tables:
                raise UsageError(f"{path} is a database, but not one of llm (logs.db).")
            yield from _conversations(database, tables)
    except (sqlite3.Error, UnicodeDecodeError, IndexError) as error:
        raise UsageError(f"{path} cannot be read as a database: {error}.") from error


def _conversations(database: sqlite3.Connection, tables: set[str]) -> Iterator[tuple[str, Json]]:
    groups: dict[str, list[sqlite3.Row]] = {}
    for row in database.execute("SELECT * FROM responses ORDER BY id"):
        groups.setdefault(str(row["conversation_id"]), []).append(row)
    with_tools = {"tools", "tool_responses", "tool_calls", "tool_results"} <= tables
    for number, rows in groups.items():
        messages: list[Json] = []
        tools: dict[str, Json] = {}
        for row in rows:
            if row["system"] and not messages:
                messages.append({"role": "system", "content": _text(row["system"])})
            calls = _add_tools(database, row["id"], messages, tools) if with_tools else []
            if row["prompt"]:
                messages.append({"role": "user", "content": _text(row["prompt"])})
            reply = {"role": "assistant", "content": _text(row["response"])}
            messages.append({**reply, **({"tool_calls": calls} if calls else {})})
        named = database.execute("SELECT name FROM conversations WHERE id = ?", (number,))
        title = next((name for (name,) in named), None)
        yield (
            f"conversation {number}",
            {
                "title": title,
                "model": rows[-1]["model"],
                "created": rows[0]["datetime_utc"],
                "messages": messages,
                "tools": list(tools.values()),
            },
        )


def _add_tools(
    database: sqlite3.Connection, response: str, messages: list[Json], tools: dict[str, Json]
) -> list[Json]:
    """Add the results that a response read and the tools that it had; return its calls."""
    for row in database.execute(
        "SELECT t.* FROM tools t JOIN tool_responses r ON r.tool_id = t.id WHERE r.response_id = ?",
        (response,),
    ):
        tools[_text(row["name"])] = {
            "name": _text(row["name"]),
            "description": _text(row["description"]),
            "parameters": _schema(row["input_schema"]),
        }
    for row in database.execute(
        "SELECT * FROM tool_results WHERE response_id = ? ORDER BY id", (response,)
    ):
        result = {"role": "tool", "content": _text(row["output"]), "name": _text(row["name"])}
        if row["tool_call_id"]:
            result["tool_call_id"] = row["tool_call_id"]
        failed = bool(dict(row).get("exception"))  # older databases lack the column
        messages.append({**result, "is_error": failed})
    return [
        {
            "id": row["tool_call_id"],
            "type": "function",
            "function": {"name": _text(row["name"]), "arguments": _text(row["arguments"])},
        }
        for row in database.execute(
            "SELECT * FROM tool_calls WHERE response_id = ? ORDER BY id", (response,)
        )
    ]


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def _schema(text: Json) -> Json:
    """Return a schema; one that is not JSON stays a text, which is an error of its conversation."""
    try:
        return user_file.parse_json(_text(text) or "{}", "The schema")
    except UsageError:
        return text
