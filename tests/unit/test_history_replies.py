"""How replies were written is in the history: their exact prompts, tools, sampling and usage."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.fakes.fake_engine import Scripted
from tests.fakes.recorded import CALL, CLOCK, WEATHER, play
from xlam_local import prompt
from xlam_local.agent import TurnOptions
from xlam_local.cli import run_command, xlam_local
from xlam_local.errors import HistoryError
from xlam_local.generators import drain
from xlam_local.history import Conversation, History
from xlam_local.history.recovery import DatabaseImage
from xlam_local.history.salvage import salvage
from xlam_local.prompt import Template
from xlam_local.session import Session
from xlam_local.types import (
    AssistantMessage,
    Message,
    Sampling,
    Usage,
    UserMessage,
)


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history.db")


def prompts_of(history: History, id: int) -> list[str]:
    messages = history.messages(id)
    return [reply.prompt(messages[:place]) for place, reply in history.replies(id).items()]


def test_each_prompt_is_byte_for_byte_what_the_engine_got(history: History) -> None:
    engine = Scripted([CALL], ["4 degrees.\n"], [" Bye <|im_end|> now. "])
    id, _ = play(history, engine, "Weather?\r\n<|im_start|>", "Thanks \x1b[1m!")
    assert prompts_of(history, id) == engine.prompts
    assert len(engine.prompts) == 3


def test_a_reply_keeps_its_tools_sampling_usage_and_model(history: History) -> None:
    engine = Scripted(["Hello."], ["Again."])
    id, session = play(history, engine, "Hi")
    sampling = Sampling(temperature=0.5, stop=("x", "y"), seed=7)
    drain(session.send("And?", tools=[CLOCK], options=TurnOptions(sampling=sampling)))
    first, second = history.replies(id).values()
    assert [tool.name for tool in first.tools] == ["weather", "clock"]
    assert first.tools[0].parameters == WEATHER.parameters
    assert [tool.name for tool in second.tools] == ["clock"]
    assert (first.sampling, second.sampling) == (Sampling(), sampling)
    assert first.usage == Usage(10, 0, 3, 0.1, 0.2)
    assert first.constrained
    assert (first.model, first.model_sha256) == ("scripted", "ab" * 32)
    assert first.adapters == "shop:0.5"
    assert first.prompt_format == prompt.QWEN


def test_a_prompt_that_the_messages_do_not_give_is_stored(history: History) -> None:
    engine = Scripted(['{"a": 1}'])
    recorder = Conversation(history)
    session = Session(engine, recorder=recorder)
    drain(session.send_for_json("Hi", {"type": "object", "properties": {"a": {"type": "integer"}}}))
    assert recorder.id is not None
    assert "JSON Schema" in engine.prompts[0]
    assert prompts_of(history, recorder.id) == engine.prompts


def test_turns_that_were_dropped_are_not_in_the_prompt(history: History) -> None:
    engine = Scripted(*(["word " * 40] for _ in range(8)), context_size=400)
    id, _ = play(history, engine, *(f"{n} " * 20 for n in range(8)), tools=())
    assert any(reply.unread != (0, 0) for reply in history.replies(id).values())
    assert prompts_of(history, id) == engine.prompts


def test_a_cancelled_reply_has_a_record(history: History) -> None:
    engine = Scripted(["One ", "two ", "three"])
    recorder = Conversation(history)
    turn = Session(engine, recorder=recorder).send("Count")
    assert any(str(getattr(event, "text", "")).startswith("One") for event in turn)
    turn.close()
    assert recorder.id is not None
    assert prompts_of(history, recorder.id) == engine.prompts


def test_a_template_that_writes_the_date_has_its_prompt_stored(history: History) -> None:
    source = (
        "{{ strftime_now('%Y') }}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    )
    engine = Scripted(["Hello."])
    engine.prompt_format = Template(source, ())
    id, _ = play(history, engine, "Hi")
    (reply,) = history.replies(id).values()
    assert reply.stored_prompt == engine.prompts[0]


def test_a_prompt_of_another_version_is_an_error_and_not_another_prompt(history: History) -> None:
    id, _ = play(history, Scripted(["Hello."]), "Hi")
    (reply,) = history.replies(id).values()
    changed = replace(reply, prompt_sha256="0" * 64)
    with pytest.raises(HistoryError, match="another version"):
        changed.prompt(history.messages(id)[:2])


def test_a_thousand_turns_with_the_same_tools_store_them_once(history: History) -> None:
    many = [replace(WEATHER, name=f"weather_{n}", description="long " * 50) for n in range(12)]
    for _ in range(20):
        play(history, Scripted(["Hello."]), "Hi", tools=many)
    (texts,) = history._rows("SELECT count(*) FROM definition WHERE kind = 'tool'")
    assert texts == (12,)
    assert history._rows("SELECT count(*) FROM definition") == [(14,)]


def test_removing_a_conversation_removes_its_tools_and_prompts(history: History) -> None:
    kept, _ = play(history, Scripted(["Hello."]), "Hi", tools=[CLOCK])
    removed, _ = play(history, Scripted(["Hello."]), "Hi", tools=[CLOCK, WEATHER])
    history.remove(removed)
    names = [text for (text,) in history._rows("SELECT text FROM definition WHERE kind = 'tool'")]
    assert len(names) == 1
    assert "clock" in names[0]
    (reply,) = history.replies(kept).values()
    assert [tool.name for tool in reply.tools] == ["clock"]


def test_a_branch_keeps_records_and_ratings(history: History) -> None:
    id, _ = play(history, Scripted(["Hello."], ["Bye."]), "Hi", "So?")
    history.rate(id, 2, 1)
    copy = history.branch(id, 3)
    assert list(history.replies(copy)) == [2]
    assert history.ratings(copy) == {2: 1}
    history.truncate(id, 2)
    assert history.replies(id) == {}
    assert history.ratings(copy) == {2: 1}


def test_only_messages_of_the_model_are_rated(history: History) -> None:
    id, _ = play(history, Scripted(["Hello."]), "Hi")
    with pytest.raises(HistoryError, match="was not written by the model"):
        history.rate(id, 1, 1)
    with pytest.raises(HistoryError, match="no message 9"):
        history.rate(id, 9, 1)
    history.rate(id, 2, 1)
    history.rate(id, 2, -1)
    assert history.ratings(id) == {2: -1}
    history.rate(id, 2, 0)
    assert history.ratings(id) == {}


def test_a_file_of_version_1_gets_the_new_tables(tmp_path: Path) -> None:
    from xlam_local.history.schema import VERSION_1

    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(f"{VERSION_1}PRAGMA user_version = 1;")
        database.execute("INSERT INTO conversation VALUES (3, 'Old', 1.0, 2.0, 'm', '/f')")
        database.execute("INSERT INTO message VALUES (5, 3, 0, 'user', '{\"text\": \"Hi\"}', 'Hi')")
        database.commit()
    history = History(path)
    assert history.note == ""
    assert history.messages(3) == [UserMessage("Hi")]
    assert history.replies(3) == {}
    assert history.search("hi")[0].conversation.title == "Old"
    assert history._rows("PRAGMA user_version") == [(2,)]


def test_records_and_ratings_are_recovered_from_a_damaged_file(tmp_path: Path) -> None:
    history = History(tmp_path / "history.db")
    engine = Scripted([CALL], ["4 degrees."])
    id, _ = play(history, engine, "Weather?")
    history.rate(id, 4, -1)
    history.close()
    new = History(tmp_path / "new.db")
    assert salvage(DatabaseImage(tmp_path / "history.db"), new._database, 1.0) == 1
    assert prompts_of(new, id) == engine.prompts
    assert new.ratings(id) == {4: -1}


def command(*words: str) -> bytes:
    return CliRunner().invoke(xlam_local, words, catch_exceptions=False).stdout_bytes


def test_the_command_prints_the_exact_prompt_and_rates(own_folders: Path) -> None:
    history = History(own_folders / "data" / "history.db")
    engine = Scripted([CALL], ["4 degrees."])
    id, _ = play(history, engine, "Weather?\r\n now")
    history.close()
    number = str(id)
    assert command("prompt", "--history", number) == engine.prompts[1].encode()
    assert command("prompt", "--history", number, "--position", "2") == engine.prompts[0].encode()
    assert run_command(["prompt", "--history", number, "--position", "1"]) == 1
    assert run_command(["prompt", "--history", "9"]) == 1
    assert run_command(["prompt", "--position", "1"]) == 2
    assert run_command(["prompt"]) == 2
    command("history", "rate", number, "up")
    command("history", "rate", number, "down", "--position", "2")
    with closing(History(own_folders / "data" / "history.db")) as again:
        assert again.ratings(id) == {2: -1, 4: 1}


def test_an_old_conversation_says_that_the_prompt_is_unknown(
    own_folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[Message] = [UserMessage("Hi"), AssistantMessage("Hello")]
    with closing(History(own_folders / "data" / "history.db")) as history:
        id = history.import_messages("Old", said)
    assert run_command(["prompt", "--history", str(id)]) == 1
    assert "was not saved" in capsys.readouterr().err
