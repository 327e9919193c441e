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
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlam_local.errors import HistoryError, IntegrityError, UsageError
from xlam_local.history import Conversation, History, Summary, export, serialization
from xlam_local.types import (
    AssistantMessage,
    Message,
    SystemMessage,
    ToolCall,
    ToolCalls,
    ToolResult,
    UserMessage,
)

CALL = ToolCall("call_0", "add", {"a": 2, "b": "größer"})
TALK: list[Message] = [
    UserMessage("How much is 2 + 3?"),
    ToolCalls((CALL,)),
    ToolResult(CALL, "5"),
    AssistantMessage("It is **5**."),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "history.db"


def kept(history: History, messages: list[Message]) -> int:
    conversation = Conversation(history)
    for message in messages:
        conversation.append(message)
    assert conversation.id is not None
    return conversation.id


def test_what_is_kept_is_there_after_a_new_start(path: Path) -> None:
    first = History(path)
    id = kept(first, [SystemMessage("Be brief."), *TALK])
    first.close()
    again = History(path)
    assert again.messages(id) == [SystemMessage("Be brief."), *TALK]
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
    Conversation(history).append(SystemMessage("Be brief."))
    assert history.summaries() == []


TEXT = st.text(st.characters())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
CALLS = st.builds(ToolCall, TEXT, TEXT, st.dictionaries(TEXT, VALUES, max_size=3))
MESSAGES = st.one_of(
    st.builds(SystemMessage, TEXT),
    st.builds(UserMessage, TEXT),
    st.builds(AssistantMessage, TEXT),
    st.builds(ToolCalls, st.lists(CALLS, max_size=3).map(tuple), TEXT),
    st.builds(ToolResult, CALLS, TEXT, st.booleans(), st.booleans()),
)


@pytest.mark.slow
@given(MESSAGES)
def test_a_message_is_unpacked_as_it_was(message: Message) -> None:
    assert serialization.unpack(serialization.kind(message), serialization.pack(message)) == message
    serialization.search_text(message).encode()


@pytest.mark.parametrize("packed", ["[" * 100_000, "{", "[]", "{}"])
def test_a_damaged_message_is_replaced_by_a_note(packed: str) -> None:
    with pytest.raises(IntegrityError, match="A message in the history is damaged"):
        serialization.unpack("calls", packed)
    assert serialization.unpack_or_note("user", packed) == UserMessage(serialization.DAMAGED)


def test_lone_surrogates_are_kept(path: Path) -> None:
    history = History(path)
    assert history.messages(kept(history, [UserMessage("\ud800 x")])) == [UserMessage("\ud800 x")]


def test_a_search_finds_words_beginnings_and_parts_of_words(path: Path) -> None:
    history = History(path)
    kept(history, TALK)
    kept(history, [UserMessage("Wie groß ist der Eiffelturm?"), AssistantMessage("330 Meter.")])
    assert [f.conversation.title for f in history.search("eiffel")] == [
        "Wie groß ist der Eiffelturm?"
    ]
    assert history.search("much 2")[0].index == 0
    assert history.search("GRÖSSER") or history.search("größer")
    assert history.search("iffeltur")[0].conversation.messages == 2
    for odd in ('"', "*", "AND", "a OR", "(", "col:x", "%", "", "  ", "'; DROP TABLE message"):
        history.search(odd)
    assert len(history.summaries()) == 2


def test_a_conversation_is_renamed_and_removed_with_its_words(path: Path) -> None:
    history = History(path)
    id = kept(history, [UserMessage("The password is swordfish.")])
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
    branch, said = Conversation.resume(history, history.branch(id, 1))
    assert said == TALK[:1]
    branch.append(AssistantMessage("Five."))
    assert branch.id is not None
    assert history.messages(branch.id) == [TALK[0], AssistantMessage("Five.")]
    assert history.messages(id) == TALK


def test_messages_are_taken_back_for_another_try(path: Path) -> None:
    history = History(path)
    conversation, _ = Conversation.resume(history, kept(history, TALK))
    conversation.rewind(1)
    conversation.append(AssistantMessage("Five."))
    assert conversation.id is not None
    assert history.messages(conversation.id) == [TALK[0], AssistantMessage("Five.")]
    assert history.search("much")
    assert not history.search("add")


def test_two_programs_on_one_conversation_lose_nothing(path: Path) -> None:
    one, other = History(path), History(path)
    id = kept(one, TALK)
    first, _ = Conversation.resume(one, id)
    second, _ = Conversation.resume(other, id)
    first.append(UserMessage("From the first."))
    second.append(UserMessage("From the second."))
    assert second.forked
    assert second.id is not None
    assert one.messages(id) == [*TALK, UserMessage("From the first.")]
    assert one.messages(second.id) == [*TALK, UserMessage("From the second.")]


@pytest.mark.slow
def test_many_threads_and_programs_write_at_once(path: Path) -> None:
    def write(number: int) -> None:
        history = History(path)
        for count in range(10):
            kept(history, [UserMessage(f"{number} {count}"), AssistantMessage("Yes.")])
        history.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history = History(path)
    assert len(history.summaries()) == 60
    assert all(summary.messages == 2 for summary in history.summaries())


LARGE = AssistantMessage("x" * 100_000)


def full_history(path: Path) -> tuple[History, Conversation]:
    """Return a history without room for another page, and a conversation with one message."""
    history = History(path)
    conversation = Conversation(history)
    conversation.append(TALK[0])
    (pages,) = history._database.execute("PRAGMA page_count").fetchone()
    history._database.execute(f"PRAGMA max_page_count = {pages}")
    return history, conversation


def test_what_finds_no_room_is_written_with_the_next_message(path: Path) -> None:
    history, conversation = full_history(path)
    with pytest.raises(HistoryError, match="no space left"):
        conversation.append(LARGE)
    assert conversation.id is not None
    assert history.messages(conversation.id) == TALK[:1]
    history._database.execute("PRAGMA max_page_count = 1000000")
    conversation.append(UserMessage("Again."))
    assert history.messages(conversation.id) == [TALK[0], LARGE, UserMessage("Again.")]


def test_what_found_no_room_is_written_when_the_conversation_is_flushed(path: Path) -> None:
    history, conversation = full_history(path)
    with pytest.raises(HistoryError, match="no space left"):
        conversation.append(LARGE)
    with pytest.raises(HistoryError, match="no space left"):
        conversation.flush()
    history._database.execute("PRAGMA max_page_count = 1000000")
    conversation.flush()
    assert conversation.id is not None
    assert history.messages(conversation.id) == [TALK[0], LARGE]


def test_a_held_file_is_said_to_be_held(path: Path) -> None:
    history = History(path)
    conversation = Conversation(history)
    history._database.execute("PRAGMA busy_timeout = 50")
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(HistoryError, match="locked by another program"):
            conversation.append(TALK[0])
        other.execute("ROLLBACK")
    other.close()
    conversation.append(TALK[1])
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


@pytest.mark.slow
def test_what_can_be_read_of_a_damaged_database_is_saved(path: Path) -> None:
    history = History(path)
    for number in range(200):
        kept(history, [UserMessage(f"Question {number}"), AssistantMessage("word " * 200)])
    history.close()
    data = bytearray(path.read_bytes())
    for page in range(40, 46):
        data[page * 4096 : (page + 1) * 4096] = os.urandom(4096)
    path.write_bytes(data)
    again = History(path)
    assert "damaged file is now history.db.damaged-" in again.note
    summaries = again.summaries()
    assert len(summaries) >= 150
    assert again.search("Question")
    (aside,) = [one for one in path.parent.glob("history.db.damaged-*") if one.suffix != ".lock"]
    assert aside.read_bytes() == bytes(data)


@pytest.mark.slow
def test_damage_anywhere_never_loses_the_file(path: Path, tmp_path: Path) -> None:
    history = History(path)
    for number in range(30):
        kept(history, [UserMessage(f"Question {number}"), AssistantMessage("word " * 100)])
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
from xlam_local.history import Conversation, History
from xlam_local.types import *
conversation = Conversation(History(Path(sys.argv[1])))
conversation.append(UserMessage("Count."))
call = ToolCall("call_0", "add", {})
conversation.append(ToolCalls((call,)))
for number in range(10**6):
    conversation.append_partial(f"{number} ")
    print(number, flush=True)
    time.sleep(0.01)
"""


@pytest.mark.slow
def test_a_kill_loses_at_most_the_piece_being_written(path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        last = next(int(line) for line in writer.stdout if int(line) >= 150)
        writer.send_signal(signal.SIGKILL)
    history = History(path)
    (summary,) = history.summaries()
    conversation, messages = Conversation.resume(history, summary.id)
    assert messages[0] == UserMessage("Count.")
    assert isinstance(messages[2], ToolResult)
    assert not messages[2].ok
    assert isinstance(messages[3], AssistantMessage)
    assert len(messages[3].text.split()) > last - 120
    assert conversation.index == 4
    assert history.messages(summary.id) == messages


SUMMARY = Summary(1, "A talk", 0.0, 1732731023.123456, "demo", "/home/me")


@pytest.mark.parametrize("format", ["json", "jsonl"])
def test_what_is_exported_comes_back(format: export.Format) -> None:
    refused = ToolResult(CALL, "No.", ok=False, refused=True)
    talk = [SystemMessage("Be brief."), *TALK[:2], refused, AssistantMessage("So be it.\n\nYes.")]
    ((about, messages),) = export.parse_conversations(export.export(SUMMARY, talk, format), "x")
    assert messages == talk
    assert about == replace(SUMMARY, id=0, messages=len(talk))


def test_markdown_is_for_people() -> None:
    told = [*TALK[:2], ToolResult(CALL, "```\nfence\n```", ok=False), AssistantMessage("Done.")]
    text = export.export(SUMMARY, told, "markdown")
    assert text.startswith("# A talk\n")
    assert '```json\n{\n  "a": 2,' in text
    assert "### Result of add failed\n\n````\n```\nfence" in text


def test_the_form_of_others_is_read() -> None:
    asked = {"role": "user", "content": "Hi"}
    whole = {"messages": [asked]}
    shared = {"id": 1, "conversations": [{"from": "human", "value": "Hi"}]}
    for text in map(json.dumps, ([asked], asked, whole, [whole], shared, [shared])):
        assert read(text) == [[UserMessage("Hi")]]
    for several in ([whole, shared], [shared, shared]):
        lines = "\n".join(map(json.dumps, several))
        assert read(json.dumps(several)) == read(lines) == [[UserMessage("Hi")]] * 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"role": "user", "content": "Hi"}\n{', "x, line 2, is not valid JSON"),
        ('{"role": "user", "content": "Hi"}\n\n{"role": "user", "content": 3}', "/messages/1"),
        ("{\n", "x is not valid JSON: .* at line 2"),
        ("3", "x: A conversation is an object"),
        ('{"messages": []}', "x: Conversation has no messages"),
        ('[{"messages": [{"role": "user"}]}, {"messages": [3]}]', "x: Conversation 1: /messages/0"),
    ],
)
def test_a_fault_of_an_import_has_its_place(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(text)


def read(text: str) -> list[list[Message]]:
    return [messages for _, messages in export.parse_conversations(text, "x")]


texts = st.text(st.characters(codec=None) | st.sampled_from("\u2028\x85\x0c\r\n\0\ud800\udc00"))
any_call = st.builds(lambda name, key, value: ToolCall("", name, {key: value}), texts, texts, texts)


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """Draw a conversation in which each call has a result, as those of a session."""
    said: list[Message] = [UserMessage(draw(texts))]
    for number in range(draw(st.integers(0, 2))):
        made = draw(st.lists(any_call, min_size=1, max_size=3))
        made = [replace(call, id=f"call_{number}_{n}") for n, call in enumerate(made)]
        said.append(ToolCalls(tuple(made), draw(texts)))
        said += [ToolResult(call, draw(texts), draw(st.booleans())) for call in made]
        said.append(draw(st.builds(AssistantMessage, texts) | st.builds(SystemMessage, texts)))
    return said


@given(conversations(), texts, st.sampled_from(["json", "jsonl"]))
def test_any_text_is_exported_and_comes_back(
    talk: list[Message], title: str, format: export.Format
) -> None:
    text = export.export(replace(SUMMARY, title=title), talk, format)
    ((about, messages),) = export.parse_conversations(text.encode().decode(), "x")
    assert (about.title, messages) == (title, talk)


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
        export.parse_conversations(text, "x")


def test_arguments_may_be_nested(path: Path) -> None:
    (messages,) = read(call_with(deep(90)))
    with closing(History(path)) as history:
        taken = history.import_messages("x" * 100_000, messages)
        assert history.get(taken).title == "x" * 200
        assert history.messages(taken)[0] == messages[0]
        for form in export.FORMATS.values():
            assert export.export(history.get(taken), messages, form)


def test_a_conversation_from_elsewhere_is_taken_in(path: Path) -> None:
    history = History(path)
    id = history.import_messages("From a friend", TALK)
    assert history.get(id).title == "From a friend"
    assert history.messages(id) == TALK
