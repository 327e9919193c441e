"""Tools that a command does not offer: each is named with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fakes.command_line import run

PYTHON = """
from xlam_local import Effect, tool

@tool(Effect.READ)
def good(city: str) -> str:
    '''Tell the weather in a city.

    Args:
        city: Its name.
    '''
    return city

@tool(Effect.READ)
def bad(thing) -> str:
    '''Tell what a thing is.'''
    return ""
"""
LEFT_OUT = "mixed: Tool 'bad': parameter 'thing' has no type"
REFUSED = {"type": "object", "properties": {"q": {"type": "file"}}}
TWO = [{"name": "fine", "description": "Is fine."}, {"name": "odd", "parameters": REFUSED}]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("mixed.py").write_text(PYTHON)
    Path("two.json").write_text(json.dumps(TWO))
    Path("in.jsonl").write_text('{"id": "1", "prompt": "hi"}\n')
    return tmp_path


PYTHON_COMMANDS = (
    ("call hi --tools mixed.py --trust -m nowhere", 3),
    ("ask hi --no-tools --tools mixed.py --trust -m nowhere", 3),
    ("ask hi --grammar-file any.gbnf --tools mixed.py --trust -m nowhere", 3),
    ("batch in.jsonl out.jsonl --tools mixed.py --trust -m nowhere", 3),
    ("eval own in.jsonl --tools mixed.py --trust -m nowhere", 2),
    ("grammar mixed.py --trust", 0),
    ("tools list --tools mixed.py --trust", 0),
    ("tools add mixed.py --trust", 0),
    ("tools test bad {} --tools mixed.py --trust", 2),
    ('tools test good {"city":"x"} --tools mixed.py --trust', 0),
    ("tools show bad --tools mixed.py --trust", 2),
)


@pytest.mark.slow
@pytest.mark.parametrize(("command", "code"), PYTHON_COMMANDS)
def test_a_function_that_is_left_out_is_named(command: str, code: int) -> None:
    Path("any.gbnf").write_text('root ::= "a"')
    done = run(*command.split())
    assert done.returncode == code, done
    assert done.stderr.count(LEFT_OUT) == 1, done


@pytest.mark.slow
def test_lint_tells_which_functions_and_files_cannot_be_used(own_folders: Path) -> None:
    done = run("tools", "lint", "--tools", "mixed.py", "--trust")
    assert (done.returncode, done.stdout.count(LEFT_OUT), done.stderr) == (1, 1, "")
    (row,) = json.loads(run("tools", "lint", "--tools", "mixed.py", "--trust", "--json").stdout)
    assert row["fault"].startswith(LEFT_OUT)
    run("tools", "add", "mixed.py", "--trust")
    (own_folders / "config" / "tools" / "broken.toml").write_text("[[")
    (own_folders / "config" / "tools" / "new.py").write_text(f"{PYTHON}# new")
    done = run("tools", "lint")
    assert (done.returncode, done.stdout.count(LEFT_OUT)) == (1, 1)
    assert "broken: " in done.stdout
    assert "No tools from 'new': it is not trusted yet" in done.stderr


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("call hi --tools two.json -m nowhere", 3),
        ("ask hi --no-tools --tools two.json -m nowhere", 3),
        ("batch in.jsonl out.jsonl --tools two.json -m nowhere", 3),
        ("eval own in.jsonl --tools two.json -m nowhere", 2),
        ("grammar two.json", 0),
        ("tools list --tools two.json", 0),
        ("tools add two.json", 0),
        ("tools test odd {} --tools two.json", 2),
        ("tools lint --tools two.json", 1),
    ],
)
def test_a_tool_that_is_refused_is_named(command: str, code: int) -> None:
    done = run(*command.split())
    assert done.returncode == code, done
    assert '"file" is not a type' in done.stdout + done.stderr
    assert "odd" in done.stdout + done.stderr


def test_the_others_of_a_file_are_offered_to_rows_of_a_batch(qwen_path: Path) -> None:
    words = ["--tools", "two.json", "-m", str(qwen_path), "--no-prompt-cache", "-q"]
    done = run("batch", "in.jsonl", "out.jsonl", *words)
    assert "Tool 'odd' is not offered" in done.stderr
    assert json.loads(Path("out.jsonl").read_text())["error"] is None


def test_tools_of_several_files_with_one_name_are_named() -> None:
    Path("own.json").write_text('[{"name": "calculate"}, {"name": "fine"}]')
    files = ["--tools", "two.json", "--tools", "own.json"]
    for words in (["tools", "list", *files], ["ask", "hi", "-v", "-m", "nowhere", *files]):
        said = run(*words).stderr
        assert "The built-in tool 'calculate' is replaced by that of own." in said
        assert "The tool 'fine' of own is offered as 'fine_', because another tool has" in said
    assert "replaced" not in run("tools", "list").stderr
    both = run("call", "hi", *files)
    assert (both.returncode, both.stderr) == (2, "Error: There are two tools named 'fine'.\n")
