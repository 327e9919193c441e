"""`ask` and `call`: tools, conversations, schemas and progress, with a model of random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.command_line import Finished, run, write_tools
from tests.fakes.mcp_servers import entry, written
from xlam_local.history import History

WEATHER = {
    "name": "get_weather",
    "description": "Get the weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"enum": ["Oslo"]}}},
}
LONG = {"name": "long", "description": "word " * 1200}
YES = 'root ::= "Yes."'


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "yes.gbnf").write_text(YES)


def ask(model: Path, *arguments: str, stdin: str = "") -> Finished:
    options = ["-m", str(model), "--threads", "1", "--max-tokens", "60"]
    return run("ask", *options, *arguments, stdin=stdin)


def say_yes(model: Path, *arguments: str) -> dict[str, Any]:
    done = ask(model, *arguments, "--grammar-file", "yes.gbnf", "--json")
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def contents(result: dict[str, Any]) -> list[str]:
    return [message["content"] for message in result["messages"]]


def offered(done: Finished) -> str:
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("Tools offered"))
    return line


@pytest.mark.slow
def test_tools_and_sources_that_are_not_offered_are_named(
    qwen_path: Path, own_folders: Path
) -> None:
    (own_folders / "config").mkdir(parents=True)
    servers = {"one": entry("odd"), "new": entry(), "dies": entry("banner-dies")}
    written(own_folders / "config", **servers)
    assert run("tools", "trust", "one", "--trust").returncode == 0
    done = ask(qwen_path, "Hi", "-v")
    assert "one: 'no_schema' is left out: it has no inputSchema.\n" in done.stderr
    untrusted = "No tools from 'new': it is not trusted yet; run `xlam-local tools trust new`.\n"
    assert untrusted in done.stderr
    assert "No tools from 'dies': " in done.stderr
    assert "null_schema" not in offered(done)
    assert "echo (" in offered(done)


@pytest.mark.slow
def test_only_the_named_tools_are_offered(qwen_path: Path, tmp_path: Path) -> None:
    tools = write_tools(tmp_path, [WEATHER, {"name": "other"}])
    done = ask(qwen_path, "Hi", "-v", "-T", "calculate", "--only", "read_file")
    assert "Tools offered: 2, " in offered(done)
    assert "calculate (" in offered(done)
    done = ask(qwen_path, "Hi", "-v", "--tools", tools, "-T", "get_weather")
    assert ": 1, " in offered(done)
    done = ask(qwen_path, "Hi", "-v", "--tools", tools, "--no-tools")
    assert ": 2, " in offered(done)
    assert "get_weather (" in offered(done)
    assert "other (" in offered(done)
    assert offered(ask(qwen_path, "Hi", "-v", "--no-tools")) == "Tools offered: none"
    done = run("call", "Hi", "--tools", tools, "-T", "other", "-v", "-m", str(qwen_path))
    assert offered(done).startswith("Tools offered: 1, ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-T", "nope"], "--only: there is no tool 'nope'. The tools are: current_time, "),
        (["-T", "run_command"], "--only: the tool 'run_command' is off; run `xlam-local tools en"),
        (["-T", "calculate", "--no-tools"], "there is no tool 'calculate'. The tools are: none."),
        (["-T", "calculate", "--allow", "read_file"], "--allow: there is no tool 'read_file'"),
        (["-T", "calculate", "--tool-choice", "read_file"], "there is no tool 'read_file'"),
        (["--schema", "a str", "--allow", "f"], "--allow has no effect with --schema"),
        (["--schema", "a str", "--cwd", "."], "--cwd has no effect with --schema"),
        (["--grammar-file", "yes.gbnf", "--tool-choice", "auto"], "--tool-choice has no effect"),
        (["--grammar-file", "yes.gbnf", "--no-parallel"], "--no-parallel has no effect"),
        (["--grammar-file", "yes.gbnf", "--schema", "a"], "exclude each other"),
        (["--preset", "bold"], "There is no preset 'bold'"),
        (["--conversation", "1", "-c"], "exclude each other"),
        (["--messages", "none.json"], "none.json does not exist"),
    ],
)
def test_what_has_no_effect_is_an_error(
    arguments: list[str], message: str, qwen_path: Path
) -> None:
    done = ask(qwen_path, "Hi", *arguments)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert message in done.stderr


@pytest.mark.slow
def test_tools_that_cost_much_and_were_not_called_are_named(
    qwen_path: Path, tmp_path: Path
) -> None:
    tools = write_tools(tmp_path, [WEATHER, LONG])
    options = ["--tools", tools, "--no-tools", "--tool-choice", "get_weather"]
    done = ask(qwen_path, "Weather?", *options)
    assert "1 of 2 tools were not called; they took 12" in done.stderr
    assert "-T NAME" in done.stderr
    assert "were not called" not in ask(qwen_path, "Weather?", *options).stderr, "it is cached"
    assert "were not called" not in ask(qwen_path, "Hi", *options, "-T", "get_weather").stderr


@pytest.mark.slow
def test_a_conversation_is_saved_and_continued(qwen_path: Path) -> None:
    first = say_yes(qwen_path, "One?", "--system", "Be brief.")
    assert first["conversation"] == 1
    assert contents(first) == ["Be brief.", "One?", "Yes."]
    assert say_yes(qwen_path, "Two?")["conversation"] == 2
    latest = say_yes(qwen_path, "Three?", "-c")
    assert latest["conversation"] == 2
    assert contents(latest) == ["Two?", "Yes.", "Three?", "Yes."]
    other = say_yes(qwen_path, "Four?", "--conversation", "1")
    assert contents(other) == ["Be brief.", "One?", "Yes.", "Four?", "Yes."]
    assert contents(say_yes(qwen_path, "Five?", "--continue"))[-2] == "Five?"
    shown = run("history", "show", "1").stdout
    assert shown.count("## You") == 3
    assert "xLAM-2-tiny" in shown


@pytest.mark.slow
def test_an_ephemeral_conversation_is_not_saved(qwen_path: Path, own_folders: Path) -> None:
    long = "One? " * 200  # The prompts of short requests are not cached.
    assert say_yes(qwen_path, long, "--ephemeral")["conversation"] is None
    assert not (own_folders / "data" / "history.db").exists()
    assert run("cache").stdout == ""
    say_yes(qwen_path, long)
    assert run("cache").stdout != ""
    assert len(contents(say_yes(qwen_path, "Three?", "-c", "--ephemeral"))) == 4
    assert "2 messages" in run("history", "list").stdout


@pytest.mark.slow
def test_a_conversation_begins_with_those_of_a_file(qwen_path: Path, tmp_path: Path) -> None:
    said = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "Yes."},
    ]
    (tmp_path / "chat.json").write_text(json.dumps(said))
    result = say_yes(qwen_path, "Two?", "--messages", "chat.json")
    assert contents(result) == ["Be brief.", "One?", "Yes.", "Two?", "Yes."]
    assert run("history", "show", "1").stdout.count("## ") == 5
    (tmp_path / "asked.json").write_text(json.dumps(said[:2]))
    assert contents(say_yes(qwen_path, "--messages", "asked.json")) == ["Be brief.", "One?", "Yes."]
    done = ask(qwen_path, "--messages", "chat.json")
    assert (done.returncode, "the last message is not the user's" in done.stderr) == (2, True)
    done = ask(qwen_path, "Two?", "--messages", "chat.json", "--system", "Be long.")
    assert (done.returncode, "--system is for a new conversation" in done.stderr) == (2, True)


def test_a_conversation_that_does_not_exist_is_an_error(qwen_path: Path) -> None:
    done = ask(qwen_path, "Hi", "-c")
    assert (done.returncode, "no conversation to continue" in done.stderr) == (1, True)
    done = ask(qwen_path, "Hi", "--conversation", "7")
    assert (done.returncode, "no conversation 7" in done.stderr) == (1, True)


@pytest.mark.slow
def test_an_answer_is_printed_though_the_history_cannot_be_opened(
    qwen_path: Path, own_folders: Path
) -> None:
    (own_folders / "data" / "history.db").mkdir(parents=True)
    done = ask(qwen_path, "Hi", "--grammar-file", "yes.gbnf")
    assert (done.returncode, done.stdout) == (0, "Yes.\n")
    assert "This conversation is not saved." in done.stderr


@pytest.mark.slow
def test_a_schema_makes_the_answer_json(qwen_path: Path, tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {"hot": {"type": "boolean"}},
        "required": ["hot"],
        "additionalProperties": False,
    }
    (tmp_path / "hot.json").write_text(json.dumps(schema))
    for value in ("hot.json", json.dumps(schema), "hot bool", "hot boolean: whether it is hot"):
        done = ask(qwen_path, "Hot?", "--schema", value)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) in ({"hot": True}, {"hot": False})
    history = History(Path(tmp_path / "home" / "data" / "history.db"))
    assert len(history.messages(1)) == 2
    history.close()


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("", "--schema is empty"),
        ("name str, age years", "the field 'age' has the type 'years'; the types are"),
        ("3rd", "'3rd' is not a field"),
        ("a, a int", "names a field twice"),
        ("none.json", "none.json does not exist"),
        ("{", "--schema is not valid JSON"),
        ('{"type": "nothing"}', "nothing"),
        ('{"enum": []}', "no value"),
    ],
)
def test_an_invalid_schema_is_an_error(schema: str, message: str, qwen_path: Path) -> None:
    done = ask(qwen_path, "Hot?", "--schema", schema)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


@pytest.mark.slow
def test_a_preset_of_the_settings_is_used(qwen_path: Path, own_folders: Path) -> None:
    folder = own_folders / "config"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text('system = "A"\n[presets.b]\nsystem = "B"\n')
    assert contents(say_yes(qwen_path, "Hi"))[0] == "A"
    assert contents(say_yes(qwen_path, "Hi", "--preset", "b"))[0] == "B"
    assert contents(say_yes(qwen_path, "Hi", "--preset", "b", "--system", "C"))[0] == "C"
    assert contents(say_yes(qwen_path, "Hi", "--system", ""))[0] == "Hi"
