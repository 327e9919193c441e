from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlam_local.errors import HistoryError, UsageError
from xlam_local.history import History, Summary, exports, forms
from xlam_local.types import Answer, Calls, Message, Result, System, ToolCall, User

CALL = ToolCall("call_0", "add", {"a": 2, "b": "größer"})
TALK: list[Message] = [
    User("How much is 2 + 3?"),
    Calls((CALL,)),
    Result(CALL, "5"),
    Answer("It is **5**."),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "history.db"


def kept(history: History, messages: list[Message]) -> int:
    conversation = history.begin()
    for message in messages:
        conversation.add(message)
    assert conversation.id is not None
    return conversation.id


def test_what_is_kept_is_there_after_a_new_start(path: Path) -> None:
    first = History(path)
    id = kept(first, [System("Be brief."), *TALK])
    first.close()
    again = History(path)
    assert again.messages(id) == [System("Be brief."), *TALK]
    (summary,) = again.summaries()
    assert (summary.title, summary.messages) == ("How much is 2 + 3?", 5)
    assert again.note == ""


def test_what_was_said_is_for_its_user_only(path: Path) -> None:
    with closing(History(path)) as history:
        kept(history, TALK)
        modes = {one.name: one.stat().st_mode & 0o77 for one in path.parent.glob("history.db*")}
    assert len(modes) >= 3
    assert {name for name, mode in modes.items() if mode} <= {"history.db.lock"}


def test_nothing_is_kept_before_the_user_speaks(path: Path) -> None:
    history = History(path)
    history.begin().add(System("Be brief."))
    assert history.summaries() == []


TEXT = st.text(st.characters())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
CALLS = st.builds(ToolCall, TEXT, TEXT, st.dictionaries(TEXT, VALUES, max_size=3))
MESSAGES = st.one_of(
    st.builds(System, TEXT),
    st.builds(User, TEXT),
    st.builds(Answer, TEXT),
    st.builds(Calls, st.lists(CALLS, max_size=3).map(tuple), TEXT),
    st.builds(Result, CALLS, TEXT, st.booleans(), st.booleans()),
)


@given(MESSAGES)
def test_a_message_is_unpacked_as_it_was(message: Message) -> None:
    assert forms.unpack(forms.kind(message), forms.pack(message)) == message
    forms.searched(message).encode()


def test_lone_surrogates_are_kept(path: Path) -> None:
    history = History(path)
    assert history.messages(kept(history, [User("\ud800 x")])) == [User("\ud800 x")]


def test_a_search_finds_words_beginnings_and_parts_of_words(path: Path) -> None:
    history = History(path)
    kept(history, TALK)
    kept(history, [User("Wie groß ist der Eiffelturm?"), Answer("330 Meter.")])
    assert [f.conversation.title for f in history.search("eiffel")] == [
        "Wie groß ist der Eiffelturm?"
    ]
    assert history.search("much 2")[0].place == 0
    assert history.search("GRÖSSER") or history.search("größer")
    assert history.search("iffeltur")[0].conversation.messages == 2
    for odd in ('"', "*", "AND", "a OR", "(", "col:x", "%", "", "  ", "'; DROP TABLE message"):
        history.search(odd)
    assert len(history.summaries()) == 2


def test_a_conversation_is_renamed_and_removed_with_its_words(path: Path) -> None:
    history = History(path)
    id = kept(history, [User("The password is swordfish.")])
    history.rename(id, "  Secret\nthings ")
    assert history.summaries()[0].title == "Secret"
    history.remove(id)
    assert history.summaries() == []
    assert history.search("swordfish") == []
    history.close()
    assert b"swordfish" not in path.read_bytes()
    with pytest.raises(HistoryError, match="no conversation"):
        History(path).remove(id)


def test_a_branch_is_a_copy_up_to_a_message(path: Path) -> None:
    history = History(path)
    id = kept(history, TALK)
    branch, said = history.resume(history.branch(id, 1))
    assert said == TALK[:1]
    branch.add(Answer("Five."))
    assert branch.id is not None
    assert history.messages(branch.id) == [TALK[0], Answer("Five.")]
    assert history.messages(id) == TALK


def test_messages_are_taken_back_for_another_try(path: Path) -> None:
    history = History(path)
    conversation, _ = history.resume(kept(history, TALK))
    conversation.rewind(1)
    conversation.add(Answer("Five."))
    assert conversation.id is not None
    assert history.messages(conversation.id) == [TALK[0], Answer("Five.")]
    assert history.search("much")
    assert not history.search("add")


def test_two_programs_on_one_conversation_lose_nothing(path: Path) -> None:
    one, other = History(path), History(path)
    id = kept(one, TALK)
    first, _ = one.resume(id)
    second, _ = other.resume(id)
    first.add(User("From the first."))
    second.add(User("From the second."))
    assert second.split
    assert second.id is not None
    assert one.messages(id) == [*TALK, User("From the first.")]
    assert one.messages(second.id) == [*TALK, User("From the second.")]


def test_many_threads_and_programs_write_at_once(path: Path) -> None:
    def write(number: int) -> None:
        history = History(path)
        for count in range(10):
            kept(history, [User(f"{number} {count}"), Answer("Yes.")])
        history.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history = History(path)
    assert len(history.summaries()) == 60
    assert all(summary.messages == 2 for summary in history.summaries())


def test_what_finds_no_room_is_written_with_the_next_message(path: Path) -> None:
    history = History(path)
    conversation = history.begin()
    conversation.add(TALK[0])
    database = history._database
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")
    large = Answer("x" * 100_000)
    with pytest.raises(HistoryError, match="no room"):
        conversation.add(large)
    assert conversation.id is not None
    assert history.messages(conversation.id) == TALK[:1]
    database.execute("PRAGMA max_page_count = 1000000")
    conversation.add(User("Again."))
    assert history.messages(conversation.id) == [TALK[0], large, User("Again.")]


def test_a_held_file_is_said_to_be_held(path: Path) -> None:
    history = History(path)
    conversation = history.begin()
    history._database.execute("PRAGMA busy_timeout = 50")
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(HistoryError, match="held by another program"):
            conversation.add(TALK[0])
        other.execute("ROLLBACK")
    other.close()
    conversation.add(TALK[1])
    assert conversation.id is not None
    assert history.messages(conversation.id)[:2] == TALK[:2]


def test_a_file_that_is_no_database_is_set_aside(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"These are my notes.\n" * 500)
    history = History(path)
    assert "was damaged" in history.note
    kept(history, TALK)
    (aside,) = path.parent.glob("history.db.damaged-*")
    assert aside.read_bytes() == b"These are my notes.\n" * 500


def test_what_can_be_read_of_a_damaged_database_is_saved(path: Path) -> None:
    history = History(path)
    for number in range(200):
        kept(history, [User(f"Question {number}"), Answer("word " * 200)])
    history.close()
    data = bytearray(path.read_bytes())
    for page in range(40, 46):
        data[page * 4096 : (page + 1) * 4096] = os.urandom(4096)
    path.write_bytes(data)
    again = History(path)
    assert "is kept as history.db.damaged-" in again.note
    summaries = again.summaries()
    assert len(summaries) >= 150
    assert again.search("Question")
    (aside,) = [one for one in path.parent.glob("history.db.damaged-*") if one.suffix != ".lock"]
    assert aside.read_bytes() == bytes(data)


def test_damage_anywhere_never_loses_the_file(path: Path, tmp_path: Path) -> None:
    history = History(path)
    for number in range(30):
        kept(history, [User(f"Question {number}"), Answer("word " * 100)])
    history.close()
    whole, chance = path.read_bytes(), random.Random(7)
    for round in range(25):
        place = tmp_path / str(round) / "history.db"
        place.parent.mkdir()
        data = bytearray(whole)
        for _ in range(chance.randint(1, 40)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        place.write_bytes(data[: chance.randint(1, len(data))])
        before = place.read_bytes()
        opened = History(place)
        opened.summaries()
        kept(opened, TALK)
        opened.close()
        if opened.note:
            (aside,) = place.parent.glob("history.db.damaged-*")
            assert aside.read_bytes() == before


def test_a_newer_file_is_left_alone(path: Path) -> None:
    History(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(HistoryError, match="newer"):
        History(path)
    assert list(path.parent.glob("*.damaged-*")) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(HistoryError, match="data"):
        History(tmp_path / "data" / "history.db")


KILLED = """
import sys, time
from pathlib import Path
from xlam_local.history import History
from xlam_local.types import *
conversation = History(Path(sys.argv[1])).begin()
conversation.add(User("Count."))
call = ToolCall("call_0", "add", {})
conversation.add(Calls((call,)))
for number in range(10**6):
    conversation.piece(f"{number} ")
    print(number, flush=True)
    time.sleep(0.01)
"""


def test_a_kill_loses_at_most_the_piece_being_written(path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        last = next(int(line) for line in writer.stdout if int(line) >= 150)
        writer.send_signal(signal.SIGKILL)
    history = History(path)
    (summary,) = history.summaries()
    conversation, messages = history.resume(summary.id)
    assert messages[0] == User("Count.")
    assert isinstance(messages[2], Result)
    assert not messages[2].ok
    assert isinstance(messages[3], Answer)
    assert len(messages[3].text.split()) > last - 120
    assert conversation.place == 4
    assert history.messages(summary.id) == messages


SUMMARY = Summary(1, "A talk", 0.0, 0.0, "demo")


@pytest.mark.parametrize("format", ["json", "jsonl"])
def test_what_is_exported_comes_back(format: exports.Format) -> None:
    refused = Result(CALL, "No.", ok=False, refused=True)
    talk = [System("Be brief."), *TALK[:2], refused, Answer("So be it.\n\nYes.")]
    assert exports.read(exports.export(SUMMARY, talk, format)) == ("A talk", talk)


def test_markdown_is_for_people() -> None:
    told = [*TALK[:2], Result(CALL, "```\nfence\n```", ok=False), Answer("Done.")]
    text = exports.export(SUMMARY, told, "markdown")
    assert text.startswith("# A talk\n")
    assert '```json\n{\n  "a": 2,' in text
    assert "### Result of add failed\n\n````\n```\nfence" in text


def test_the_form_of_others_is_read() -> None:
    asked = {"role": "user", "content": "Hi"}
    assert exports.read(json.dumps([asked])) == ("", [User("Hi")])
    assert exports.read(json.dumps(asked)) == ("", [User("Hi")])
    with pytest.raises(UsageError, match="Line 2"):
        exports.read('{"role": "user", "content": "Hi"}\n{')
    with pytest.raises(UsageError, match="no messages"):
        exports.read("3")


def deep(levels: int) -> dict[str, Any]:
    """Arguments with so many levels."""
    value: list[Any] = []
    for _ in range(levels - 2):
        value = [value]
    return {"x": value}


def call_with(arguments: object) -> str:
    """A conversation with one call, in OpenAI's form."""
    made = {"function": {"name": "f", "arguments": arguments}}
    return json.dumps({"messages": [{"role": "assistant", "tool_calls": [made]}]})


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"messages": ' + "[" * 100_000,
        call_with(json.dumps(deep(101))),
        call_with(deep(101)),
        call_with("[" * 100_000),
        call_with("1" * 5000),
        '{"messages": [5]}',
        '{"messages": {"role": "user"}}',
        "5",
        "",
        "[]",
    ],
    ids=range(11),
)
def test_what_is_no_conversation_is_told(text: str) -> None:
    with pytest.raises(UsageError):
        exports.read(text)


def test_arguments_may_be_nested(path: Path) -> None:
    _, messages = exports.read(call_with(deep(90)))
    with closing(History(path)) as history:
        taken = history.take("x" * 100_000, messages)
        assert history.get(taken).title == "x" * 200
        assert history.messages(taken)[0] == messages[0]
        for form in exports.FORMATS.values():
            assert exports.export(history.get(taken), messages, form)


def test_a_conversation_from_elsewhere_is_taken_in(path: Path) -> None:
    history = History(path)
    id = history.take("From a friend", TALK)
    assert history.get(id).title == "From a friend"
    assert history.messages(id) == TALK
