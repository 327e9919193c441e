from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.servers import entry, written
from xlam_local.cli import run_command
from xlam_local.tools import tool
from xlam_local.tools.lint import faults
from xlam_local.types import Effect, Tool

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
def python(tmp_path: Path) -> str:
    path = tmp_path / "my_tools.py"
    path.write_text(PYTHON)
    return str(path)


@pytest.fixture
def commands(tmp_path: Path) -> str:
    path = tmp_path / "words.toml"
    path.write_text(COMMANDS)
    return str(path)


class Done:
    """What a command did."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    def command(*arguments: str) -> Done:
        code = run_command(["tools", *arguments])
        return Done(code, *capsys.readouterr())

    return command


def test_tools_are_listed_with_what_they_cost(run) -> None:  # type: ignore[no-untyped-def]
    done = run("list")
    assert done.code == 0
    assert "calculate        on   read" in done.out
    assert "run_command      off  execute" in done.out
    assert "tokens for those that are on" in done.err
    rows = json.loads(run("list", "--json").out)
    assert {"name", "state", "effect", "source", "tokens", "description"} == set(rows[0])


def test_a_tool_is_shown(run) -> None:  # type: ignore[no-untyped-def]
    done = run("show", "run_command")
    assert done.code == 0
    assert "effect execute, sandbox" in done.out
    assert '"command"' in done.out
    assert run("show", "nope").code == 2


def test_what_is_only_looked_at_need_not_be_agreed_to(  # type: ignore[no-untyped-def]
    run, commands: str, python: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        "effect execute, sandbox limits, from words" in run("show", "say", "--tools", commands).out
    )
    assert "say              not agreed  execute" in run("list", "--tools", commands).out
    assert run("test", "say", '{"words": "x"}', "--tools", commands).code == 2
    assert run("list", "--tools", python).code == 2
    assert run_command(["grammar", commands]) == 0
    assert '"say\\""' in capsys.readouterr().out
    assert run_command(["grammar", python]) == 2
    assert run_command(["grammar", python, "--trust"]) == 0


def test_a_tool_is_tried(run, python: str) -> None:  # type: ignore[no-untyped-def]
    assert run("test", "calculate", '{"expression": "2^10"}').out == "1024\n"
    done = run("test", "get_weather", '{"city": "Oslo"}', "--tools", python, "--trust")
    assert (done.code, done.out) == (0, "It is sunny in Oslo.\n")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["calculate", "{"], 2, "The arguments are not JSON"),
        (["calculate", "[]"], 2, "The arguments are an object"),
        (["calculate", "{}"], 2, "The arguments do not fit"),
        (["calculate", '{"expression": "1/0"}'], 7, "Division by zero"),
        (["nope"], 2, "There is no tool 'nope'"),
        (["fail", "--tools", "my_tools.py", "--trust"], 7, "ValueError: broken"),
        (["fail", "--tools", "my_tools.py"], 2, "nobody has agreed to that; --trust does"),
        (["f", "--tools", "f.json"], 2, "only described; there is nothing to run"),
        (["f", "--tools", "nope.py"], 2, "nope.py cannot be read"),
    ],
)
def test_what_cannot_be_tried_is_told(  # type: ignore[no-untyped-def]
    run, python: str, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, told: str
) -> None:
    monkeypatch.chdir(Path(python).parent)
    Path("f.json").write_text('[{"name": "f"}]')
    done = run("test", *arguments)
    assert (done.code, done.out) == (code, "")
    assert told in done.err
    assert "Traceback" not in done.err


def test_a_file_is_added_and_agreed_to_anew_when_it_changes(  # type: ignore[no-untyped-def]
    run, python: str, own_folders: Path
) -> None:
    there = own_folders / "config" / "tools" / "my_tools.py"
    assert run("add", python).code == 2
    assert not there.exists()
    assert "get_weather, fail" in run("add", python, "--trust").err
    assert run("add", python, "--trust").code == 0
    assert run("test", "get_weather", '{"city": "x"}').code == 0
    there.write_text(PYTHON + "# changed")
    assert run("test", "get_weather", '{"city": "x"}').code == 2
    assert "my_tools (python): not agreed\n  get_weather (read): Get" in run("list").err
    assert "There is another my_tools.py already" in run("add", python, "--trust").err
    assert run("agree", "my_tools").code == 2
    assert run("agree", "my_tools", "--trust").code == 0
    assert run("agree", "my_tools").code == 2
    assert run("test", "get_weather", '{"city": "x"}').code == 0


def test_a_file_that_cannot_be_used_is_not_added(  # type: ignore[no-untyped-def]
    run, tmp_path: Path, own_folders: Path
) -> None:
    (tmp_path / "broken.py").write_text("1 / 0")
    done = run("add", str(tmp_path / "broken.py"), "--trust")
    assert (done.code, "ZeroDivisionError" in done.err) == (2, True)
    assert not (own_folders / "config" / "tools" / "broken.py").exists()


def test_a_server_is_shown_and_agreed_to(run, own_folders: Path) -> None:  # type: ignore[no-untyped-def]
    (own_folders / "config").mkdir(parents=True)
    written(own_folders / "config", one=entry(), broken={"command": "no-such-program"})
    assert "one (mcp): not agreed" in run("list").err
    assert run("agree", "one").code == 2
    assert run("agree", "broken", "--trust").code == 2
    assert run("agree", "one", "--trust").code == 0
    assert run("test", "echo", '{"text": "hi"}').out == "hi\n"


def test_tools_are_switched(run) -> None:  # type: ignore[no-untyped-def]
    run("on", "run_command", "fetch_page")
    run("off", "calculate")
    state = {row["name"]: row["state"] for row in json.loads(run("list", "--json").out)}
    assert (state["run_command"], state["fetch_page"], state["calculate"]) == ("on", "on", "off")
    assert run("on", "nope").code == 2


def test_faults_are_found(run, tmp_path: Path, commands: str) -> None:  # type: ignore[no-untyped-def]
    done = run("lint", "--tools", commands)
    assert done.code == 1
    assert "say: It has no description" in done.out
    assert "say: The parameter 'words' has no description" in done.out
    assert json.loads(run("lint", "--tools", commands, "--json").out)[0]["tool"] == "say"
    fine = run("lint")
    assert (fine.code, fine.out) == (0, "")
    assert "nothing to mend" in fine.err


def said(*tools: Tool) -> str:
    return "\n".join(f"{fault.tool}: {fault.text}" for fault in faults(tools))


def test_what_a_model_would_stumble_over_is_told() -> None:
    text = {"type": "string", "description": "x"}
    good = Tool("find_user", "Find a user by their name.", {"properties": {"a": text}})
    assert said(good) == ""
    assert "nearly that of 'find_user'" in said(good, Tool("findUsers", "Find many users.", {}))
    assert "nearly that of 'find_user'" in said(good, Tool("user_find", "Look a user up.", {}))
    assert "same as that of" in said(good, Tool("get", good.description, {}))
    assert "other characters" in said(Tool("a b", "Do this and that.", {}))
    assert "no more than the name" in said(Tool("find_user", "Find user.", {}))
    assert "700 characters" in said(Tool("f", "x" * 700, {}))
    many = {str(n): text for n in range(9)}
    assert "9 parameters" in said(Tool("f", "Do this and that.", {"properties": many}))
    refused = Tool("f", "Do this and that.", {"properties": {"a": {"$ref": "#/nope"}}})
    assert "is refused" in said(refused)
    assert "17 tools at once" in said(
        *(Tool(f"{n}" * 4, f"Do it {n} times.", {}) for n in range(17))
    )


def test_a_file_is_agreed_to_on_a_terminal(python: str) -> None:
    command = ["-m", "xlam_local", "tools", "test", "get_weather", '{"city": "Oslo"}']
    for answer, told in (("n\n", "was not agreed to"), ("y\n", "It is sunny in Oslo")):
        assert told in on_a_terminal([*command, "--tools", python], answer)
    assert "It is sunny" in on_a_terminal([*command, "--tools", python], "")


def on_a_terminal(arguments: list[str], answer: str) -> str:
    """What is on the screen after a command asked, and was answered."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, *arguments], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    screen, deadline = "", time.monotonic() + 30
    while time.monotonic() < deadline and child.poll() is None:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                screen += os.read(ours, 4096).decode()
            except OSError:
                break
        if answer and "[y/N]" in screen:
            assert "get_weather (read): Get the weather in a city." in screen
            os.write(ours, answer.encode())
            answer = ""
    child.wait(10)
    while select.select([ours], [], [], 0)[0]:
        try:
            piece = os.read(ours, 4096)
        except OSError:
            break
        screen += piece.decode()
        if not piece:
            break
    os.close(ours)
    return screen


def test_a_function_is_a_tool_without_saying_what_it_does() -> None:
    @tool
    def f() -> None:
        """Do it."""

    assert f.effect is Effect.EXECUTE
