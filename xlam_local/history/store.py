"""The history: every conversation, found again by its words."""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import HistoryError
from ..types import Answer, Calls, Message, Result, User
from . import forms
from .conversation import Conversation
from .database import open_database, told
from .types import Found, Summary

TITLE = 60
"""Characters of a title that is made from what the user said first."""
MOST_TITLE = 200
UNTITLED = "(no title)"
UNKNOWN = "The program ended while this ran; it is not known what came of it."
COLUMNS = """
    c.id, c.title, c.created, c.changed, c.model, c.folder,
    (SELECT count(*) FROM message WHERE conversation = c.id)
"""


class History:
    """All conversations of a user, in one SQLite file that several programs may have open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._database, note = open_database(path)
        self.note = note
        """What had to be done to open it, if anything."""

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._database.close()

    def begin(self) -> Conversation:
        """A new conversation, which is in no list before something is said."""
        return Conversation(self, None)

    def summaries(self, limit: int = 10_000) -> list[Summary]:
        """The conversations, the latest first."""
        query = f"SELECT {COLUMNS} FROM conversation c ORDER BY changed DESC, id DESC LIMIT ?"
        return [Summary(*row) for row in self._rows(query, limit)]

    def get(self, id: int) -> Summary:
        """One conversation."""
        rows = self._rows(f"SELECT {COLUMNS} FROM conversation c WHERE id = ?", id)
        if not rows:
            raise HistoryError(f"There is no conversation {id} in the history.")
        return Summary(*rows[0])

    def messages(self, id: int) -> list[Message]:
        """What was said in a conversation, with whatever was being written when it broke off."""
        self.get(id)
        rows = self._rows(
            "SELECT kind, packed FROM message WHERE conversation = ? ORDER BY place", id
        )
        found = [forms.unpack(*row) for row in rows]
        return [*found, *self._broken_off(id, found)]

    def resume(self, id: int) -> tuple[Conversation, list[Message]]:
        """Go on with a conversation: where to write, and what was said."""
        with self._lock:
            found = self.messages(id)
            (stored,) = self._rows("SELECT count(*) FROM message WHERE conversation = ?", id)[0]
            conversation = Conversation(self, id, stored)
            if found[stored:]:
                self.write(conversation, found[stored:])
            return conversation, found

    def search(self, words: str, limit: int = 100) -> list[Found]:
        """The messages with all these words, the best first; the last word may be unfinished."""
        if not (query := _query(words)):
            return []
        found = self._rows(
            f"SELECT m.place, snippet(found, 0, '', '', '…', 16), {COLUMNS} FROM found "
            "JOIN message m ON m.id = found.rowid JOIN conversation c ON c.id = m.conversation "
            "WHERE found MATCH ? ORDER BY rank, c.changed DESC LIMIT ?",
            query,
            limit,
        ) or self._containing(words.strip(), limit)
        return [Found(Summary(*row[2:]), row[0], " ".join(row[1].split())) for row in found]

    def said(self, limit: int = 200) -> list[str]:
        """What the user said lately, the oldest first."""
        query = "SELECT packed FROM message WHERE kind = 'user' ORDER BY id DESC LIMIT ?"
        found = [forms.unpack("user", packed) for (packed,) in self._rows(query, limit)]
        return [message.text for message in reversed(found) if isinstance(message, User)]

    def rename(self, id: int, title: str) -> None:
        """Give a conversation another title."""
        self.get(id)
        with self._writing() as database:
            database.execute("UPDATE conversation SET title = ? WHERE id = ?", (_line(title), id))

    def remove(self, id: int) -> None:
        """Delete a conversation; its words leave the file as well."""
        self.get(id)
        with self._writing() as database:
            database.execute("DELETE FROM conversation WHERE id = ?", (id,))
            # The index drops deleted words only when its parts are merged.
            database.execute("INSERT INTO found (found) VALUES ('optimize')")
        self._rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def branch(self, id: int, place: int) -> int:
        """A copy of a conversation up to `place`, which is not in it any more."""
        with self._writing() as database:
            return self._copy(database, id, place)

    def take(self, title: str, messages: Sequence[Message]) -> int:
        """Take a conversation from elsewhere in."""
        conversation = self.begin()
        self.write(conversation, messages, title)
        assert conversation.id is not None
        return conversation.id

    def write(
        self, conversation: Conversation, messages: Sequence[Message], title: str = ""
    ) -> None:
        """Write messages at the end of a conversation, all or none of them.

        Where another program has gone on with the conversation, this one goes on in a copy.
        """
        now, before = time.time(), (conversation.id, conversation.place)
        try:
            with self._writing() as database:
                if conversation.id is None:
                    conversation.id = self._begun(database, title or title_of(messages), now)
                elif self._went_on(database, conversation):
                    conversation.id = self._copy(database, conversation.id, conversation.place)
                    conversation.split = True
                for message in messages:
                    self._insert(database, conversation.id, conversation.place, message)
                    conversation.place += 1
                database.execute(
                    "UPDATE conversation SET changed = ?, model = ?, folder = ? WHERE id = ?",
                    (now, _whole(conversation.model), _whole(conversation.folder), conversation.id),
                )
                database.execute("DELETE FROM piece WHERE conversation = ?", (conversation.id,))
        except BaseException:
            conversation.id, conversation.place = before
            raise

    def write_piece(self, id: int, text: str) -> None:
        """Note a piece of an answer that is still being written."""
        with self._writing() as database:
            database.execute(
                "INSERT INTO piece (conversation, text) VALUES (?, ?)",
                (id, _whole(text)),
            )

    def cut(self, id: int, place: int) -> None:
        """Delete the messages of a conversation from `place` on."""
        with self._writing() as database:
            database.execute(
                "DELETE FROM message WHERE conversation = ? AND place >= ?", (id, place)
            )
            database.execute("DELETE FROM piece WHERE conversation = ?", (id,))

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One change, whole or not at all."""
        with self._lock, told(self.path):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def _rows(self, query: str, *values: object) -> list[Any]:
        with self._lock, told(self.path):
            return self._database.execute(query, values).fetchall()

    def _broken_off(self, id: int, found: Sequence[Message]) -> Iterator[Message]:
        """What is missing at the end: results of calls that ran, or the answer being written."""
        answered = {message.call.id for message in found if isinstance(message, Result)}
        made = [call for message in found if isinstance(message, Calls) for call in message.calls]
        for call in made:
            if call.id not in answered:
                yield Result(call, UNKNOWN, ok=False)
        pieces = self._rows("SELECT text FROM piece WHERE conversation = ? ORDER BY id", id)
        if spoken := "".join(text for (text,) in pieces).strip():
            yield Answer(spoken)

    def _containing(self, words: str, limit: int) -> list[Any]:
        """The messages with this text anywhere in them, also within a word."""
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
    def _begun(database: sqlite3.Connection, title: str, now: float) -> int:
        begun = database.execute(
            "INSERT INTO conversation (title, created, changed) VALUES (?, ?, ?)",
            (_line(title), now, now),
        )
        return begun.lastrowid or 0

    @staticmethod
    def _went_on(database: sqlite3.Connection, conversation: Conversation) -> bool:
        """Whether something else stands where this conversation would write."""
        (end,) = database.execute(
            "SELECT coalesce(max(place) + 1, 0) FROM message WHERE conversation = ?",
            (conversation.id,),
        ).fetchone()
        return bool(end != conversation.place)

    @staticmethod
    def _copy(database: sqlite3.Connection, id: int, place: int) -> int:
        """Copy a conversation up to a place; where it was deleted, begin an empty one."""
        now = time.time()
        copied = database.execute(
            "INSERT INTO conversation (title, created, changed, model, folder) "
            "SELECT title, ?, ?, model, folder FROM conversation WHERE id = ?",
            (now, now, id),
        )
        if not copied.rowcount:
            return History._begun(database, UNTITLED, now)
        database.execute(
            "INSERT INTO message (conversation, place, kind, packed, words) "
            "SELECT ?, place, kind, packed, words FROM message "
            "WHERE conversation = ? AND place < ? ORDER BY place",
            (copied.lastrowid, id, place),
        )
        return copied.lastrowid or 0

    @staticmethod
    def _insert(database: sqlite3.Connection, id: int, place: int, message: Message) -> None:
        database.execute(
            "INSERT INTO message (conversation, place, kind, packed, words) VALUES (?, ?, ?, ?, ?)",
            (id, place, forms.kind(message), forms.pack(message), forms.searched(message)),
        )


def title_of(messages: Sequence[Message]) -> str:
    """What to call a conversation: the first line of what the user says first."""
    said = next((message.text for message in messages if isinstance(message, User)), "")
    line = _line(said)
    return line if len(line) <= TITLE else f"{line[: TITLE - 1].rstrip()}…"


def _line(text: str) -> str:
    """The first line of a text that has one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return _whole(lines[0][:MOST_TITLE]) if lines else UNTITLED


def _whole(text: str) -> str:
    """The text without lone halves of surrogate pairs, which no file can hold."""
    return text.encode("utf-8", "replace").decode()


def _query(words: str) -> str:
    """What FTS5 has to look for: each word as it is, the last one as a beginning."""
    found = re.findall(r"\w+", words)
    return " ".join(f'"{word}"' for word in found) + "*" if found else ""
