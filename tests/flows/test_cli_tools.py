from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from tests.fakes.mcp_servers import entry, written
from tests.fakes.terminal_command import run_in_terminal
from xlam_local import prompt
from xlam_local.cli import run_command
from xlam_local.engine.token_counter import count_tokens
from xlam_local.tools import builtin_tools

PYTHON = """
import os
from xlam_local import Effect, tool

print("loading")

@tool(Effect.READ)
def get_weather(city: str) -> str:
    '''Get the weather in a city.

    Args:
        city: Its name.
    '''
    os.write(1, b"noise")
    return f"It is sunny in {city}."

@tool
def fail() -> None:
    raise ValueError("broken")
"""
COMMANDS = """
[[tool]]
name = "say"
command = ["echo", "{words}"]
parameters.words.type = "string"
"""


@pytest.fixture
def python_file(tmp_path: Path) -> str:
    path = tmp_path / "my_tools.py"
    path.write_text(PYTHON)
    return str(path)


@pytest.fixture
def command_file(tmp_path: Path) -> str:
    path = tmp_path / "words.toml"
    path.write_text(COMMANDS)
    return str(path)


@dataclass
class CommandResult:
    exit_code: int
    out: str
    err: str


class Run(Protocol):
    def __call__(self, *arguments: str) -> CommandResult: ...


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `xlam-local tools` with some arguments."""

    def run_tools(*arguments: str) -> CommandResult:
        exit_code = run_command(["tools", *arguments])
        return CommandResult(exit_code, *capsys.readouterr())

    return run_tools


def test_list_shows_states_and_tokens(run: Run) -> None:
    result = run("list")
    assert result.exit_code == 0
    assert "calculate        on   read" in result.out
    assert "run_command      off  execute" in result.out
    assert "tokens of a prompt (an estimate, as no model is installed)." in result.err
    rows = json.loads(run("list", "--json").out)
    assert {"name", "state", "effect", "source", "description", "reason"} < set(rows[0])
    assert {row["counted_by"] for row in rows} == {"estimate"}


def test_an_installed_model_counts_the_tokens(run: Run, qwen_path: Path) -> None:
    estimates = {row["name"]: row["tokens"] for row in json.loads(run("list", "--json").out)}
    assert "about" in run("show", "calculate").out
    assert run_command(["models", "import", str(qwen_path)]) == 0
    run("list")
    rows = json.loads(run("list", "--json").out)
    counts = {row["name"]: row["tokens"] for row in rows}
    assert {row["counted_by"] for row in rows} == {qwen_path.name}
    assert counts.keys() == estimates.keys()
    (calculate,) = (tool for tool in builtin_tools(Path.cwd()) if tool.name == "calculate")
    assert counts["calculate"] == count_tokens(qwen_path, [prompt.tool_text(calculate)])[0]
    assert f"{counts['calculate']} tokens in the prompt (counted by xLAM-2" in (
        run("show", "calculate").out
    )
    assert f"(counted by {qwen_path.name})" in run("list").err
    assert run("list", "-m", "nope").exit_code == 3


def test_list_shows_refused_tools_with_the_reason(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "two.json"
    bad = {"type": "object", "properties": {"q": {"type": "file"}}}
    path.write_text(json.dumps([{"name": "ok_tool"}, {"name": "bad_tool", "parameters": bad}]))
    result = run("list", "--tools", str(path))
    assert "ok_tool          on       execute" in result.out
    assert "bad_tool         refused  execute" in result.out
    assert 'bad_tool (two): refused\n  /properties/q/type: "file" is not a type.' in result.err
    rows = {row["name"]: row for row in json.loads(run("list", "--json", "--tools", str(path)).out)}
    assert rows["bad_tool"]["state"] == "refused"
    assert "is not a type" in rows["bad_tool"]["reason"]
    assert rows["ok_tool"]["reason"] == ""


@pytest.mark.slow
def test_list_shows_refused_tools_of_a_server(run: Run, own_folders: Path) -> None:
    (own_folders / "config").mkdir(parents=True, exist_ok=True)
    written(own_folders / "config", one=entry("unknown-type"))
    run("trust", "one", "--trust")
    result = run("list")
    assert re.search(r"send +refused", result.out)
    assert re.search(r"echo +on", result.out)
    assert 'send (mcp: one): refused\n  /properties/q/type: "file" is not a type.' in result.err


def test_show_prints_one_tool(run: Run) -> None:
    result = run("show", "run_command")
    assert result.exit_code == 0
    assert "effect execute, sandbox" in result.out
    assert '"command"' in result.out
    assert run("show", "nope").exit_code == 2


@pytest.mark.slow
def test_only_python_must_be_trusted_to_be_shown(
    run: Run, command_file: str, python_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = run("show", "say", "--tools", command_file).out
    assert "effect execute, sandbox limits, from words" in shown
    listed = run("list", "--tools", command_file).out
    assert "say              untrusted  execute" in listed
    assert run("test", "say", '{"words": "x"}', "--tools", command_file).exit_code == 2
    assert run("list", "--tools", python_file).exit_code == 2
    assert run_command(["grammar", command_file]) == 0
    assert '"say\\""' in capsys.readouterr().out
    assert run_command(["grammar", python_file]) == 2
    assert run_command(["grammar", python_file, "--trust"]) == 0


@pytest.mark.slow
def test_test_runs_a_tool(run: Run, python_file: str) -> None:
    assert run("test", "calculate", '{"expression": "2^10"}').out == "1024\n"
    result = run("test", "get_weather", '{"city": "Oslo"}', "--tools", python_file, "--trust")
    assert (result.exit_code, result.out) == (0, "It is sunny in Oslo.\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["calculate", "{"], 2, "The argument ARGUMENTS is not valid JSON"),
        (["calculate", "[]"], 2, "The arguments must be a JSON object"),
        (["calculate", "{}"], 2, "The arguments are invalid"),
        (["calculate", '{"expression": "1/0"}'], 7, "Division by zero"),
        (["nope"], 2, "There is no tool 'nope'"),
        (["fail", "--tools", "my_tools.py", "--trust"], 7, "ValueError: broken"),
        (["fail", "--tools", "my_tools.py"], 2, "is not trusted yet, and there is no terminal"),
        (["f", "--tools", "f.json"], 2, "is only a schema; it cannot be run"),
        (["f", "--tools", "nope.py"], 2, "nope.py does not exist"),
    ],
)
def test_test_reports_errors(
    run: Run,
    python_file: str,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    exit_code: int,
    message: str,
) -> None:
    monkeypatch.chdir(Path(python_file).parent)
    Path("f.json").write_text('[{"name": "f"}]')
    result = run("test", *arguments)
    assert (result.exit_code, result.out) == (exit_code, "")
    assert message in result.err
    assert "Traceback" not in result.err


@pytest.mark.slow
def test_an_added_file_must_be_trusted_again_when_it_changes(
    run: Run, python_file: str, own_folders: Path
) -> None:
    installed = own_folders / "config" / "tools" / "my_tools.py"
    test = ("test", "get_weather", '{"city": "x"}')
    assert run("add", python_file).exit_code == 2
    assert not installed.exists()
    assert "get_weather, fail" in run("add", python_file, "--trust").err
    assert run("add", python_file, "--trust").exit_code == 0
    assert run(*test).exit_code == 0
    installed.write_text(PYTHON + "# changed")
    assert run(*test).exit_code == 2
    assert "my_tools (python): untrusted\n  get_weather (read): Get" in run("list").err
    assert "There is another my_tools.py already" in run("add", python_file, "--trust").err
    assert run("trust", "my_tools").exit_code == 2
    assert run("trust", "my_tools", "--trust").exit_code == 0
    assert run("trust", "my_tools").exit_code == 2
    assert run(*test).exit_code == 0


def test_an_invalid_file_is_not_added(run: Run, tmp_path: Path, own_folders: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0")
    result = run("add", str(tmp_path / "broken.py"), "--trust")
    assert result.exit_code == 2
    assert "ZeroDivisionError" in result.err
    assert not (own_folders / "config" / "tools" / "broken.py").exists()


@pytest.mark.slow
def test_a_server_can_be_trusted(run: Run, own_folders: Path) -> None:
    (own_folders / "config").mkdir(parents=True)
    written(own_folders / "config", one=entry(), broken={"command": "no-such-program"})
    assert "one (mcp): untrusted" in run("list").err
    assert run("trust", "one").exit_code == 2
    assert run("trust", "broken", "--trust").exit_code == 2
    assert run("trust", "one", "--trust").exit_code == 0
    assert run("test", "echo", '{"text": "hi"}').out == "hi\n"


def test_tools_are_enabled_and_disabled(run: Run) -> None:
    run("enable", "run_command", "fetch_page")
    run("disable", "calculate")
    states = {row["name"]: row["state"] for row in json.loads(run("list", "--json").out)}
    assert (states["run_command"], states["fetch_page"], states["calculate"]) == ("on", "on", "off")
    assert run("enable", "nope").exit_code == 2


def test_lint_names_keys_without_effect(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text(json.dumps([{"name": "now", "description": "Get the time.", "returns": {}}]))
    result = run("lint", "--tools", str(path))
    assert result.exit_code == 1
    assert result.out.startswith("now: The key /0/returns of its definition has no effect.")


def test_lint_prints_problems(run: Run, command_file: str) -> None:
    result = run("lint", "--tools", command_file)
    assert result.exit_code == 1
    assert "say: The description is missing" in result.out
    assert "say: The parameter 'words' has no description" in result.out
    assert json.loads(run("lint", "--tools", command_file, "--json").out)[0]["tool"] == "say"
    no_problems = run("lint")
    assert (no_problems.exit_code, no_problems.out) == (0, "")
    assert "No problems in 9 tools" in no_problems.err


@pytest.mark.slow
def test_trust_tells_what_is_wrong_with_a_server_or_its_file(run: Run, own_folders: Path) -> None:
    (own_folders / "config").mkdir(parents=True, exist_ok=True)
    written(
        own_folders / "config",
        one=entry("odd"),
        dies=entry("banner-dies"),
        asks={"command": "x", "env": {"A": "${input:key}"}},
        off=entry(disabled=True),
        empty=entry("no-tools"),
    )
    assert "empty: it has no tools." in run("trust", "empty").err
    assert "asks: env: the placeholder ${input:key} is not supported" in run("trust", "asks").err
    assert "off: it is disabled; enable it with" in run("trust", "off").err
    assert "the last line of its stderr is 'Error: TOKEN is" in run("trust", "dies").err
    left_out = "one: 'no_schema' is left out: it has no inputSchema."
    assert left_out in run("trust", "one", "--trust").err
    assert left_out in run("list").err
    assert "one: all of its tools are trusted already." in run("trust", "one", "--trust").err
    assert (
        "There is no tool file or server 'two'; untrusted ones: dies, empty."
        in run("trust", "two").err
    )
    (own_folders / "config" / "mcp.json").write_text("{")
    assert "mcp.json is not valid JSON" in run("trust", "one").err


@pytest.mark.slow
def test_a_file_can_be_trusted_on_a_terminal(command_file: str) -> None:
    command = ["-m", "xlam_local", "tools", "test", "say", '{"words": "hello"}']
    command += ["--tools", command_file]
    screen = run_in_terminal(command, "n\n")
    assert "was not trusted" in screen
    assert "say (execute): echo {words}" in screen
    assert "hello" in run_in_terminal(command, "y\n")
    assert "hello" in run_in_terminal(command, "")
