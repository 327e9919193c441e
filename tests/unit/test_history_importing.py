"""Files of other programs: recognized by content, bad rows named, nothing imported twice."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.fakes.fake_engine import Scripted
from tests.fakes.recorded import CALL, play
from xlam_local.cli import xlam_local
from xlam_local.errors import UsageError
from xlam_local.history import History
from xlam_local.history.importing import read_import
from xlam_local.types import AssistantMessage, Message, ToolCall, ToolCalls, ToolResult, UserMessage

TOOL = {"name": "weather", "description": "Weather.", "parameters": {"type": "object"}}
WRAPPED = {"type": "function", "function": TOOL}
CALLED = ToolCall("c1", "weather", {"city": "Oslo"})
TALK: list[Message] = [
    UserMessage("Warm?"),
    ToolCalls((CALLED,)),
    ToolResult(CALLED, "4"),
    AssistantMessage("No."),
]
LISTED = [
    {
        "id": "c1",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city": "Oslo"}'},
    }
]
OPENAI = [
    {"role": "user", "content": "Warm?"},
    {"role": "assistant", "content": None, "tool_calls": LISTED},
    {"role": "tool", "tool_call_id": "c1", "content": "4"},
    {"role": "assistant", "content": "No."},
]
FLAT_CALL = {"id": "c1", "name": "weather", "arguments": {"city": "Oslo"}, "requestor": "assistant"}
FILES: dict[str, Any] = {
    "openai": {"messages": OPENAI, "tools": [WRAPPED]},
    "openai-functions": [{"messages": OPENAI, "tools": json.dumps([WRAPPED])}],
    "sharegpt": {
        "conversations": [
            {"from": "human", "value": "Warm?"},
            {
                "from": "function_call",
                "value": '{"name": "weather", "arguments": {"city": "Oslo"}}',
            },
            {"from": "observation", "value": "4"},
            {"from": "gpt", "value": "No."},
        ],
        "tools": json.dumps([TOOL]),
    },
    "tau-bench": [
        {"task_id": 3, "reward": 1.0, "info": {"task": {}}, "trial": 0, "traj": OPENAI},
    ],
    "tau2": {
        "timestamp": "2026-01-01",
        "simulations": [
            {
                "id": "x",
                "task_id": "3",
                "termination_reason": "user_stop",
                "messages": [
                    {"role": "user", "content": "Warm?", "turn_idx": 0, "cost": 0.1},
                    {"role": "user", "content": None, "tool_calls": [{**FLAT_CALL, "id": "u1"}]},
                    {"role": "tool", "id": "u1", "content": "x", "requestor": "user"},
                    {"role": "assistant", "content": None, "tool_calls": [FLAT_CALL]},
                    {
                        "role": "tool",
                        "tool_messages": [
                            {"role": "tool", "id": "c1", "content": "4", "requestor": "assistant"}
                        ],
                    },
                    {"role": "assistant", "content": "No.", "raw_data": {"a": "b"}},
                ],
            }
        ],
    },
    "atif": {
        "schema_version": "ATIF-v1.4",
        "session_id": "s",
        "agent": {"name": "a", "version": "1", "model_name": "m"},
        "steps": [
            {"step_id": 1, "source": "user", "message": "Warm?"},
            {
                "step_id": 2,
                "source": "agent",
                "message": "",
                "tool_calls": [
                    {
                        "tool_call_id": "c1",
                        "function_name": "weather",
                        "arguments": {"city": "Oslo"},
                    }
                ],
                "observation": {"results": [{"source_call_id": "c1", "content": "4"}]},
            },
            {"step_id": 3, "source": "agent", "message": "No.", "metrics": {"cost": 1}},
        ],
    },
}
OPEN_WEBUI = [
    {
        "id": "1",
        "title": "Sky",
        "chat": {
            "history": {
                "currentId": "d",
                "messages": {
                    "a": {"id": "a", "parentId": None, "role": "user", "content": "Blue?"},
                    "b": {"id": "b", "parentId": "a", "role": "assistant", "content": "Red."},
                    "d": {"id": "d", "parentId": "a", "role": "assistant", "content": "Yes."},
                },
            }
        },
    }
]
CHATGPT = [
    {
        "title": "Sky",
        "current_node": "y",
        "mapping": {
            "r": {"message": None, "parent": None},
            "x": {
                "message": {"author": {"role": "user"}, "content": {"parts": ["Blue?"]}},
                "parent": "r",
            },
            "y": {
                "message": {"author": {"role": "assistant"}, "content": {"parts": ["Yes."]}},
                "parent": "x",
            },
        },
    }
]


def write(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "file.bin"  # The name says nothing.
    path.write_text(content, encoding="utf-8")
    return path


def without_ids(messages: list[Message]) -> list[Message]:
    """Return messages whose calls have the id of TALK, as some formats have no ids."""

    def renamed(message: Message) -> Message:
        match message:
            case ToolCalls(_, text):
                return ToolCalls((CALLED,), text)
            case ToolResult(_, output):
                return ToolResult(CALLED, output)
            case _:
                return message

    return [renamed(message) for message in messages]


@pytest.mark.parametrize("name", list(FILES))
def test_a_format_is_recognized_by_its_content(tmp_path: Path, name: str) -> None:
    (one,) = read_import(write(tmp_path, json.dumps(FILES[name]))).conversations
    assert without_ids(one.messages) == TALK
    names = [tool.name for tool in one.tools]
    assert names == ([] if name.startswith(("tau", "atif")) else ["weather"])


@pytest.mark.parametrize("data", [OPEN_WEBUI, CHATGPT], ids=["open-webui", "chatgpt"])
def test_the_branch_of_a_tree_that_is_shown_is_imported(tmp_path: Path, data: Any) -> None:
    (one,) = read_import(write(tmp_path, json.dumps(data))).conversations
    assert one.messages == [UserMessage("Blue?"), AssistantMessage("Yes.")]
    assert one.summary.title == "Sky"


def llm_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            """
            CREATE TABLE _llm_migrations (name TEXT);
            CREATE TABLE conversations (id TEXT, name TEXT, model TEXT);
            CREATE TABLE responses (id TEXT, model TEXT, prompt TEXT, system TEXT, response TEXT,
                conversation_id TEXT, datetime_utc TEXT);
            CREATE TABLE tools (id INTEGER, hash TEXT, name TEXT, description TEXT,
                input_schema TEXT);
            CREATE TABLE tool_responses (tool_id INTEGER, response_id TEXT);
            CREATE TABLE tool_calls (id INTEGER, response_id TEXT, tool_id INTEGER, name TEXT,
                arguments TEXT, tool_call_id TEXT);
            CREATE TABLE tool_results (id INTEGER, response_id TEXT, tool_id INTEGER, name TEXT,
                output TEXT, tool_call_id TEXT, exception TEXT);
            INSERT INTO conversations VALUES ('k', 'Oslo', 'm');
            INSERT INTO responses VALUES ('1', 'm', 'Warm?', NULL, '', 'k', '2026-01-01T00:00:00');
            INSERT INTO responses VALUES ('2', 'm', '', NULL, 'No.', 'k', '2026-01-01T00:00:01');
            INSERT INTO tools VALUES (1, 'h', 'weather', 'Weather.', '{"type": "object"}');
            INSERT INTO tool_responses VALUES (1, '1'), (1, '2');
            INSERT INTO tool_calls VALUES (1, '1', 1, 'weather', '{"city": "Oslo"}', 'c1');
            INSERT INTO tool_results VALUES (1, '2', 1, 'weather', '4', 'c1', NULL);
            """
        )


def test_the_database_of_llm_is_read_with_its_tools(tmp_path: Path) -> None:
    path = tmp_path / "any.name"
    llm_database(path)
    before = path.read_bytes()
    (one,) = read_import(path).conversations
    assert one.messages == TALK
    assert one.tools[0].description == "Weather."
    assert one.summary.title == "Oslo"
    assert path.read_bytes() == before


@pytest.mark.parametrize("schema", ["[" * 100_000, "{", '{"a": 1, "a": 2}', "5"])
def test_a_tool_of_llm_with_an_invalid_schema_is_named(tmp_path: Path, schema: str) -> None:
    path = tmp_path / "logs.db"
    llm_database(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE tools SET input_schema = ?", (schema,))
        database.commit()
    with pytest.raises(UsageError, match=r"conversation k: Tool 'weather' \(/0/parameters\)"):
        read_import(path)


def test_another_database_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as database:
        database.execute("CREATE TABLE a (b)")
    with pytest.raises(UsageError, match="not one of llm"):
        read_import(tmp_path / "a.db")


def run(*words: str) -> Result:
    return CliRunner().invoke(xlam_local, ["history", *words], catch_exceptions=False)


def test_bad_rows_are_named_by_their_line_and_the_others_are_imported(
    own_folders: Path, tmp_path: Path
) -> None:
    good = {"messages": OPENAI, "tools": [WRAPPED]}
    bad = {"conversations": [{"from": "function_call", "value": "weather(Oslo)"}]}
    lines = [good, bad, good, {"messages": [{"role": "martian", "content": ""}]}, {"a": 1}]
    text = "".join(f"{json.dumps(line)}\n" for line in lines) + '{"messages": [\n'
    result = run("import", str(write(tmp_path, text)))
    assert len(result.stdout.split()) == 2
    for number in (2, 4, 5, 6):
        assert f"line {number}" in result.stderr
    assert "line 1:" not in result.stderr
    assert "2 imported, 0 imported before, 4 left out" in result.stderr


def test_importing_twice_adds_nothing(own_folders: Path, tmp_path: Path) -> None:
    path = str(write(tmp_path, json.dumps([{"messages": OPENAI}] * 2)))
    assert len(run("import", path).stdout.split()) == 2
    again = run("import", path)
    assert again.stdout == ""
    assert "0 imported, 2 imported before" in again.stderr
    assert len(run("import", "--again", path).stdout.split()) == 2
    run("remove", "1", "--yes")
    assert len(run("import", path).stdout.split()) == 1


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_our_own_export_keeps_the_tools(own_folders: Path, tmp_path: Path, suffix: str) -> None:
    with closing(History(own_folders / "data" / "history.db")) as history:
        id, session = play(history, Scripted([CALL], ["Cold."]), "Weather?")
        path = tmp_path / f"talk.{suffix}"
        run("export", str(id), str(path))
        number = int(run("import", str(path)).stdout)
        assert history.messages(number) == session.messages
        tools = [reply.tools for reply in history.replies(number).values()]
        assert [[tool.name for tool in one] for one in tools] == [["weather", "clock"]] * 2
        run("export", "--all", "--as", "turns", str(tmp_path / "rows"))
    rows = (tmp_path / "rows" / "train.jsonl").read_text().splitlines()
    assert len(rows) == 2  # The imported conversation gives the same rows.


def cut(text: str, dice: random.Random) -> str:
    return text[: dice.randrange(len(text))]


def swap(text: str, dice: random.Random) -> str:
    place = dice.randrange(len(text))
    return text[:place] + dice.choice('{}[]",:0x\\\x00\ud800é') + text[place + 1 :]


def retype(text: str, dice: random.Random) -> str:
    data = json.loads(text)
    nodes: list[tuple[Any, Any]] = []

    def visit(node: Any) -> None:
        pairs = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in list(pairs):
            nodes.append((node, key))
            if isinstance(value, dict | list):
                visit(value)

    visit(data)
    node, key = dice.choice(nodes)
    node[key] = dice.choice([None, 3, True, "x", [], {}, [[]], [None], {"a": []}, ["a"], 1e308])
    return json.dumps(data)


def deep(text: str, dice: random.Random) -> str:
    return text.replace('"Warm?"', "[" * dice.randrange(2000) + "1", 1)


MUTATIONS: list[Callable[[str, random.Random], str]] = [cut, swap, retype, retype, deep]


def test_200_mutated_files_never_crash(tmp_path: Path) -> None:
    dice = random.Random(19)
    contents = [json.dumps(data) for data in (*FILES.values(), OPEN_WEBUI, CHATGPT)]
    refusals: list[str] = []
    for number in range(200):
        text = dice.choice(MUTATIONS)(dice.choice(contents), dice)
        path = tmp_path / "file"
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        try:
            found = read_import(path)
        except UsageError as error:
            refusals.append(str(error))
        else:
            assert found.conversations, number
            assert all(str(path) in fault for fault in found.faults)
    assert 50 < len(refusals) < 200
    assert all(str(tmp_path / "file") in refusal for refusal in refusals)


def test_in_200_files_with_a_mutated_row_only_that_row_is_left_out(tmp_path: Path) -> None:
    dice, path = random.Random(20), tmp_path / "rows.jsonl"
    named = 0
    for _ in range(200):
        rows = [json.dumps({"messages": OPENAI, "tools": [WRAPPED]}) for _ in range(5)]
        place = dice.randrange(5)
        mutated = dice.choice(MUTATIONS)(rows[place], dice)
        rows[place] = mutated.replace("\n", " ") or "{"
        path.write_text("\n".join(rows) + "\n", encoding="utf-8", errors="surrogatepass")
        found = read_import(path)
        assert len(found.conversations) + len(found.faults) == 5
        assert len(found.conversations) >= 4
        for fault in found.faults:
            assert fault.startswith(f"{path}, line {place + 1}")
            named += 1
    assert named > 50


def test_mutated_databases_never_crash(tmp_path: Path) -> None:
    dice, path = random.Random(19), tmp_path / "logs.db"
    llm_database(path)
    whole = path.read_bytes()
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(dice.randrange(1, 40)):
            data[dice.randrange(16, len(data))] = dice.randrange(256)
        path.write_bytes(data[: dice.choice([len(data), dice.randrange(17, len(data))])])
        with suppress(UsageError):
            read_import(path)
