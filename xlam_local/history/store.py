"""The history: every conversation in one SQLite file, with full-text search."""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from types import MappingProxyType
from typing import Any, Concatenate, ParamSpec, TypeVar

from ..errors import HistoryError, IntegrityError
from ..open_calls import open_calls
from ..reply_record import ReplyRecord
from ..types import AssistantMessage, Message, Tool, ToolCalls, ToolResult, UserMessage
from . import replies, serialization
from .database import DatabaseDamaged, open_database, sqlite_errors
from .replies import SavedReply
from .titles import UNTITLED, encodable, first_line, title_of
from .types import Position, SearchHit, Summary

UNKNOWN_RESULT = "The program ended while this tool ran; its result is unknown."
MODEL_KINDS = {serialization.KIND_OF[kind] for kind in (AssistantMessage, ToolCalls)}
COLUMNS = """
    c.id, c.title, c.created, c.changed, c.model, c.folder,
    (SELECT count(*) FROM message WHERE conversation = c.id)
"""


P = ParamSpec("P")
R = TypeVar("R")


def _heals_index(
    method: Callable[Concatenate[History, P], R],
) -> Callable[Concatenate[History, P], R]:
    """Repeat a method after its failure with a new full-text index: the damage may be there."""

    @wraps(method)
    def healing(self: History, /, *arguments: P.args, **named: P.kwargs) -> R:
        try:
            return method(self, *arguments, **named)
        except DatabaseDamaged as error:
            try:
                self._rebuild_index()
            except HistoryError:
                raise error from None
            return method(self, *arguments, **named)

    return healing


class History:
    """All conversations of a user, in one SQLite file that several programs may have open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        opened = open_database(path)
        self._database = opened.connection
        self.note = opened.note
        """What had to be repaired to open the file, or why it is read-only; "" if neither."""
        self.read_only = opened.read_only
        """Whether nothing can be written."""

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def summaries(self, limit: int = 10_000) -> list[Summary]:
        """Return the conversations, the latest first."""
        query = f"SELECT {COLUMNS} FROM conversation c ORDER BY changed DESC, id DESC LIMIT ?"
        return [Summary(*row) for row in self._rows(query, limit)]

    def get(self, id: int) -> Summary:
        """Return one conversation.

        Raises:
            HistoryError: it does not exist.
        """
        rows = self._rows(f"SELECT {COLUMNS} FROM conversation c WHERE id = ?", id)
        if not rows:
            raise HistoryError(f"The history has no conversation {id}.")
        return Summary(*rows[0])

    def messages(self, id: int) -> list[Message]:
        """Return the messages of a conversation, with a partial answer at its end."""
        self.get(id)
        rows = self._rows(
            "SELECT kind, packed FROM message WHERE conversation = ? ORDER BY place", id
        )
        found = [serialization.unpack_or_note(*row) for row in rows]
        return [*found, *self._missing_end(id, found)]

    def replies(self, id: int) -> dict[int, SavedReply]:
        """Return how the replies of a conversation were written, by the index of their message.

        Replies that were written before the history had records, and damaged records, are left out.
        """
        self.get(id)
        rows = self._rows(f"SELECT {replies.COLUMNS} WHERE m.conversation = ? ORDER BY place", id)
        found: dict[int, SavedReply] = {}
        for row in rows:
            with suppress(IntegrityError):
                found[row[0]] = replies.saved_reply(row, self._definition)
        return found

    def _definition(self, hash: str) -> str:
        """Return the text of the definition with a hash."""
        ((text,),) = self._rows("SELECT text FROM definition WHERE hash = ?", hash)
        return str(text)

    def ratings(self, id: int) -> dict[int, int]:
        """Return the ratings of a conversation's messages by their index: 1 is good, -1 is bad."""
        rows = self._rows(
            "SELECT place, value FROM message m JOIN rating r ON r.id = m.id "
            "WHERE conversation = ?",
            id,
        )
        return dict(rows)

    def rate(self, id: int, index: int, rating: int) -> None:
        """Rate a message of the model: 1 is good, -1 is bad, 0 removes the rating.

        Raises:
            HistoryError: there is no such message of the model.
        """
        self.get(id)
        with self._transaction() as database:
            row = database.execute(
                "SELECT id, kind FROM message WHERE conversation = ? AND place = ?", (id, index)
            ).fetchone()
            if row is None:
                raise HistoryError(f"Conversation {id} has no message {index}.")
            if row[1] not in MODEL_KINDS:
                raise HistoryError(
                    f"Message {index} of conversation {id} was not written by the model; only the "
                    "model's messages can be rated."
                )
            database.execute("DELETE FROM rating WHERE id = ?", (row[0],))
            if rating:
                database.execute("INSERT INTO rating (id, value) VALUES (?, ?)", (row[0], rating))

    @_heals_index
    def search(self, words: str, limit: int = 100) -> list[SearchHit]:
        """Return the messages with all these words, best first; the last may be a prefix."""
        words = encodable(words)
        if not (query := _fts_query(words)):
            return []
        found = self._rows(
            f"SELECT m.place, snippet(found, 0, '', '', '…', 16), {COLUMNS} FROM found "
            "JOIN message m ON m.id = found.rowid JOIN conversation c ON c.id = m.conversation "
            "WHERE found MATCH ? ORDER BY rank, c.changed DESC LIMIT ?",
            query,
            limit,
        ) or self._substring_search(words.strip(), limit)
        return [SearchHit(Summary(*row[2:]), row[0], " ".join(row[1].split())) for row in found]

    def user_messages(self, limit: int = 200) -> list[str]:
        """Return the texts of the latest user messages, the oldest first."""
        query = "SELECT packed FROM message WHERE kind = 'user' ORDER BY id DESC LIMIT ?"
        texts: list[str] = []
        for (packed,) in self._rows(query, limit):
            with suppress(IntegrityError):
                message = serialization.unpack("user", packed)
                texts.append(message.text if isinstance(message, UserMessage) else "")
        return texts[::-1]

    def rename(self, id: int, title: str) -> None:
        """Change the title of a conversation."""
        self.get(id)
        with self._transaction() as database:
            database.execute(
                "UPDATE conversation SET title = ? WHERE id = ?", (first_line(title), id)
            )

    @_heals_index
    def remove(self, id: int) -> None:
        """Delete a conversation, and its text from the file."""
        self.get(id)
        with self._transaction() as database:
            database.execute("DELETE FROM conversation WHERE id = ?", (id,))
            replies.remove_unused(database)
            # The full-text index drops deleted words only when its segments are merged.
            database.execute("INSERT INTO found (found) VALUES ('optimize')")
        self._rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def branch(self, id: int, index: int) -> int:
        """Copy a conversation up to, without, the message at `index`; return its number."""
        with self._transaction() as database:
            return self._copy(database, id, index)

    @_heals_index
    def import_messages(
        self,
        title: str,
        messages: Sequence[Message],
        origin: Summary | None = None,
        tools: Sequence[Tool] = (),
        source_hash: str = "",
    ) -> int:
        """Write a conversation from elsewhere; return its number.

        `origin` has its times, its model and its folder. `tools` were offered for all its replies.
        `source_hash` is what `is_imported` recognizes the conversation by.
        """
        now = time.time()
        about = origin or Summary(0, title, now, now)
        with self._transaction() as database:
            id = self._insert_conversation(database, title or title_of(messages), about.created)
            for number, message in enumerate(messages):
                row = self._insert(database, id, number, message)
                if tools and isinstance(message, AssistantMessage | ToolCalls):
                    replies.insert_imported_reply(database, row, tools)
            if source_hash:
                database.execute(
                    "INSERT OR IGNORE INTO imported (id, hash) VALUES (?, ?)", (id, source_hash)
                )
            database.execute(
                "UPDATE conversation SET changed = ?, model = ?, folder = ? WHERE id = ?",
                (about.changed, encodable(about.model), encodable(about.folder), id),
            )
        return id

    def is_imported(self, source_hash: str) -> bool:
        """Return whether a conversation that was imported with this hash is still there."""
        return bool(self._rows("SELECT 1 FROM imported WHERE hash = ?", source_hash))

    @_heals_index
    def append(
        self,
        id: int | None,
        index: int,
        messages: Sequence[Message],
        *,
        title: str = "",
        model: str = "",
        folder: str = "",
        records: Mapping[int, ReplyRecord] = MappingProxyType({}),
    ) -> Position:
        """Write messages at `index`, the end of a conversation, all or none of them.

        `records` has how replies among them were written, by the index of their message.

        Without an id a new conversation is written. If another program has continued the same
        conversation, the messages go to a copy of it up to `index`, and `forked` is set.

        Raises:
            HistoryError: the file cannot be written now.
        """
        now, forked = time.time(), False
        with self._transaction() as database:
            if id is None:
                id = self._insert_conversation(database, title or title_of(messages), now)
            elif self._has_other_end(database, id, index):
                id, forked = self._copy(database, id, index), True
            for number, message in enumerate(messages, index):
                row = self._insert(database, id, number, message)
                if number in records:
                    before = self._messages_before(database, id, number)
                    replies.insert_reply(database, row, records[number], before)
            database.execute(
                "UPDATE conversation SET changed = ?, model = ?, folder = ? WHERE id = ?",
                (now, encodable(model), encodable(folder), id),
            )
            database.execute("DELETE FROM piece WHERE conversation = ?", (id,))
        return Position(id, index + len(messages), forked)

    def append_partial(self, id: int, text: str) -> None:
        """Store a part of an answer that is still being generated."""
        with self._transaction() as database:
            database.execute(
                "INSERT INTO piece (conversation, text) VALUES (?, ?)",
                (id, encodable(text)),
            )

    @_heals_index
    def truncate(self, id: int, index: int) -> None:
        """Delete the messages of a conversation from `index` on."""
        with self._transaction() as database:
            database.execute(
                "DELETE FROM message WHERE conversation = ? AND place >= ?", (id, index)
            )
            database.execute("DELETE FROM piece WHERE conversation = ?", (id,))

    def _rebuild_index(self) -> None:
        """Write the full-text index again from the messages."""
        with self._transaction() as database:
            database.execute("INSERT INTO found (found) VALUES ('rebuild')")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Run one transaction."""
        with self._lock, sqlite_errors(self.path):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def _rows(self, query: str, *values: object) -> list[Any]:
        with self._lock, sqlite_errors(self.path):
            return self._database.execute(query, values).fetchall()

    def _missing_end(self, id: int, found: Sequence[Message]) -> Iterator[Message]:
        """Yield what is missing at the end: results of calls, or the partial answer."""
        for call in open_calls(found):
            yield ToolResult(call, UNKNOWN_RESULT, ok=False)
        pieces = self._rows("SELECT text FROM piece WHERE conversation = ? ORDER BY id", id)
        if spoken := "".join(text for (text,) in pieces).strip():
            yield AssistantMessage(spoken)

    def _substring_search(self, words: str, limit: int) -> list[Any]:
        """Return the messages that contain this text, also within a word."""
        within = words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return self._rows(
            "SELECT m.place, substr(m.words, max(1, instr(lower(m.words), lower(?)) - 40), 120), "
            f"{COLUMNS} FROM message m JOIN conversation c ON c.id = m.conversation "
            "WHERE m.words LIKE ? ESCAPE '\\' ORDER BY c.changed DESC LIMIT ?",
            words,
            f"%{within}%",
            limit,
        )

    @staticmethod
    def _insert_conversation(database: sqlite3.Connection, title: str, now: float) -> int:
        begun = database.execute(
            "INSERT INTO conversation (title, created, changed) VALUES (?, ?, ?)",
            (first_line(title), now, now),
        )
        return begun.lastrowid or 0

    @staticmethod
    def _has_other_end(database: sqlite3.Connection, id: int, index: int) -> bool:
        """Return whether a conversation does not end at `index`."""
        (end,) = database.execute(
            "SELECT coalesce(max(place) + 1, 0) FROM message WHERE conversation = ?",
            (id,),
        ).fetchone()
        return bool(end != index)

    @staticmethod
    def _copy(database: sqlite3.Connection, id: int, index: int) -> int:
        """Copy a conversation up to `index`; if it was deleted, write an empty one."""
        now = time.time()
        copied = database.execute(
            "INSERT INTO conversation (title, created, changed, model, folder) "
            "SELECT title, ?, ?, model, folder FROM conversation WHERE id = ?",
            (now, now, id),
        )
        if not copied.rowcount:
            return History._insert_conversation(database, UNTITLED, now)
        database.execute(
            "INSERT INTO message (conversation, place, kind, packed, words) "
            "SELECT ?, place, kind, packed, words FROM message "
            "WHERE conversation = ? AND place < ? ORDER BY place",
            (copied.lastrowid, id, index),
        )
        for table, columns in (("reply", "tools, format, details, prompt"), ("rating", "value")):
            database.execute(
                f"INSERT INTO {table} (id, {columns}) SELECT new.id, {columns} FROM {table} r "
                "JOIN message old ON old.id = r.id JOIN message new ON new.place = old.place "
                "WHERE old.conversation = ? AND new.conversation = ?",
                (id, copied.lastrowid),
            )
        return copied.lastrowid or 0

    @staticmethod
    def _insert(database: sqlite3.Connection, id: int, index: int, message: Message) -> int:
        """Write a message; return the number of its row."""
        inserted = database.execute(
            "INSERT INTO message (conversation, place, kind, packed, words) VALUES (?, ?, ?, ?, ?)",
            (id, index, *serialization.row(message)),
        )
        return inserted.lastrowid or 0

    @staticmethod
    def _messages_before(database: sqlite3.Connection, id: int, index: int) -> list[Message]:
        rows = database.execute(
            "SELECT kind, packed FROM message WHERE conversation = ? AND place < ? ORDER BY place",
            (id, index),
        )
        return [serialization.unpack_or_note(*row) for row in rows]


def _fts_query(words: str) -> str:
    """Return the FTS5 query: each word as it is, the last one as a prefix."""
    found = re.findall(r"\w+", words)
    return " ".join(f'"{word}"' for word in found) + "*" if found else ""
