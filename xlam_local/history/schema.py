"""The tables of the history, and how a file of an earlier version gets those of a later one."""

from __future__ import annotations

VERSION_1 = """
CREATE TABLE conversation (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    title TEXT NOT NULL,
    created REAL NOT NULL,
    changed REAL NOT NULL,
    model TEXT NOT NULL DEFAULT '',
    folder TEXT NOT NULL DEFAULT ''
);
CREATE INDEX conversation_changed ON conversation (changed DESC);
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
    place INTEGER NOT NULL,
    kind TEXT NOT NULL,
    packed TEXT NOT NULL,
    words TEXT NOT NULL,
    UNIQUE (conversation, place)
);
CREATE TABLE piece (
    id INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
    text TEXT NOT NULL
);
CREATE INDEX piece_conversation ON piece (conversation);
CREATE VIRTUAL TABLE found USING fts5 (
    words, content='message', content_rowid='id', tokenize='unicode61 remove_diacritics 2'
);
CREATE TRIGGER message_added AFTER INSERT ON message BEGIN
    INSERT INTO found (rowid, words) VALUES (new.id, new.words);
END;
CREATE TRIGGER message_removed AFTER DELETE ON message BEGIN
    INSERT INTO found (found, rowid, words) VALUES ('delete', old.id, old.words);
END;
"""
VERSION_2 = """
CREATE TABLE definition (
    id INTEGER PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE TABLE reply (
    id INTEGER PRIMARY KEY REFERENCES message ON DELETE CASCADE,
    tools INTEGER NOT NULL REFERENCES definition,
    format INTEGER REFERENCES definition,
    details TEXT NOT NULL,
    prompt TEXT
);
CREATE TABLE rating (
    id INTEGER PRIMARY KEY REFERENCES message ON DELETE CASCADE,
    value INTEGER NOT NULL
);
CREATE TABLE imported (
    id INTEGER PRIMARY KEY REFERENCES conversation ON DELETE CASCADE,
    hash TEXT NOT NULL UNIQUE
);
"""
"""How replies were written, what the user thinks of them, and what was imported.

`definition` has each tool, each list of tools and each prompt format once. `reply.prompt` is null
if the prompt can be rendered again from the messages before the reply.
"""
MIGRATIONS = (VERSION_1, VERSION_2)
"""The statements that lead from the version before to each version."""
VERSION = len(MIGRATIONS)
