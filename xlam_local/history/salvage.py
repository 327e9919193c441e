"""Copy the conversations of a damaged database into a new one."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from ..errors import IntegrityError
from ..types import Message
from . import serialization
from .recovery import DatabaseImage, Value
from .replies import definition_hash
from .titles import title_of


@dataclass(slots=True)
class _Found:
    """What is left of the tables, by the number of the conversation."""

    conversations: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    messages: dict[int, dict[int, tuple[int, Message]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    """The number of the row, and the message, by the place in the conversation."""
    pieces: dict[int, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    definitions: dict[int, tuple[str, str, str]] = field(default_factory=dict)
    replies: dict[int, tuple[Value, ...]] = field(default_factory=dict)
    """By the number of the message's row."""
    ratings: dict[int, int] = field(default_factory=dict)


def salvage(image: DatabaseImage, into: sqlite3.Connection, changed: float) -> int:
    """Copy the conversations; return how many they are.

    One whose title is lost gets a new title, and the time `changed`.
    """
    found = _read(image)
    into.execute("BEGIN IMMEDIATE")
    for id in sorted({*found.conversations, *found.messages}):
        rows = [row for _, row in sorted(found.messages[id].items(), key=itemgetter(0))]
        messages = [message for _, message in rows]
        about = found.conversations.get(id) or (title_of(messages), changed, changed, "", "")
        into.execute(
            "INSERT INTO conversation (id, title, created, changed, model, folder) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (id, *about),
        )
        into.executemany(
            "INSERT INTO message (id, conversation, place, kind, packed, words) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (
                (_free_number(into, number), id, place, *serialization.row(message))
                for place, (number, message) in enumerate(rows)
            ),
        )
        into.executemany(
            "INSERT INTO piece (conversation, text) VALUES (?, ?)",
            [(id, text) for _, text in sorted(found.pieces[id].items())],
        )
    _write_replies(found, into)
    into.execute("COMMIT")
    (count,) = into.execute("SELECT count(*) FROM conversation").fetchone()
    return int(count)


def _free_number(into: sqlite3.Connection, number: int) -> int | None:
    """Return the number for a row of `message`; None, for a new one, if it is taken."""
    taken = into.execute("SELECT 1 FROM message WHERE id = ?", (number,)).fetchone()
    return None if taken else number


def _write_replies(found: _Found, into: sqlite3.Connection) -> None:
    """Copy the ratings, and how replies were written, of the messages that are left."""
    written = {number for (number,) in into.execute("SELECT id FROM message")}
    into.executemany(
        "INSERT INTO definition (id, hash, kind, text) VALUES (?, ?, ?, ?)",
        [(number, *columns) for number, columns in found.definitions.items()],
    )
    into.executemany(
        "INSERT INTO reply (id, tools, format, details, prompt) VALUES (?, ?, ?, ?, ?)",
        [
            (number, *columns)
            for number, columns in found.replies.items()
            if number in written and {*columns[:2]} <= {None, *found.definitions}
        ],
    )
    into.executemany(
        "INSERT INTO rating (id, value) VALUES (?, ?)",
        [(number, value) for number, value in found.ratings.items() if number in written],
    )


def _read(image: DatabaseImage) -> _Found:
    found = _Found()
    for number, columns in image.rows():
        match columns:
            case [None, str(), created, changed, str(), str()] if _are_times(created, changed):
                if not any("\0" in text for text in columns if isinstance(text, str)):
                    found.conversations.setdefault(number, tuple(columns[1:]))
            case [None, int(id), int(place), str(kind), str(packed), str()]:
                try:
                    message = serialization.unpack(kind, packed)
                except IntegrityError:
                    continue
                found.messages[id].setdefault(place, (number, message))
            case [None, int(id), str(text)]:
                found.pieces[id].setdefault(number, text.rstrip("\0"))
            case _:
                _read_reply(found, number, columns)
    return found


def _read_reply(found: _Found, number: int, columns: list[Value]) -> None:
    """Read a row about replies."""
    match columns:
        case [None, str(key), str(kind), str(text)] if definition_hash(kind, text) == key:
            if all(key != other for other, *_ in found.definitions.values()):
                found.definitions.setdefault(number, (key, kind, text))
        case [None, int(), None | int(), str(), None | str()]:
            found.replies.setdefault(number, tuple(columns[1:]))
        case [None, int(value)] if value in (1, -1):
            found.ratings.setdefault(number, value)


def _are_times(*values: Value) -> bool:
    return all(isinstance(value, int | float) and value > 0 for value in values)
