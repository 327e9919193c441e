from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from xlam_local.cli import COMMANDS, run_command

HEAVY = {"llama_cpp", "llguidance", "textual", "mcp", "numpy", "pydantic", "huggingface_hub"}
QUESTION = {"messages": [{"role": "user", "content": "Hi <|im_end|>"}], "tools": [{"name": "f"}]}


def run(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh process, as a script would start it."""
    return subprocess.run(
        [sys.executable, "-m", "xlam_local", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
        timeout=120,
    )


def tools_file(folder: Path, content: object) -> str:
    path = folder / "tools.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["models", "list"]])
def test_what_needs_no_model_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from xlam_local.cli import run_command; "
        f"run_command({arguments!r}); print(*sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stderr.split())
    assert done.stdout or arguments[-1] == "list"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name}" in shown for name in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["nope"], 2, "No such command 'nope'"),
        (["ask", "--nope"], 2, "No such option"),
        ([], 2, "The app needs a terminal"),
        (["--model", "x", "models", "list"], 2, "put it after the command"),
        (["ask", "hi"], 3, "xlam-local"),
        (["ask", "hi", "-m", "/nope.gguf"], 3, "/nope.gguf"),
        (["call", "hi"], 2, "Name a file of tools"),
        (["ask"], 2, "stdin is empty"),
        (["ask", "hi", "--allow", "nope"], 2, "no tool 'nope' to allow"),
        (["prompt", "/nope.json", "--family", "qwen"], 2, "nope.json"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_a_code(
    arguments: list[str], code: int, told: str
) -> None:
    done = run(*arguments)
    assert done.returncode == code
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[{", "is not JSON: Expecting property name"),
        ([{}], "The tool at /0 has no name"),
        ([{"name": "f"}, {"name": "f"}], "two tools named 'f'"),
        ([{"name": "f", "parameters": 3}], "not a JSON Schema object"),
    ],
)
def test_a_bad_file_of_tools_is_told(tmp_path: Path, content: object, told: str) -> None:
    path = tools_file(tmp_path, content)
    for arguments in (["grammar", path], ["call", "hi", "--tools", path]):
        done = run(*arguments)
        assert done.returncode == 2
        assert told in done.stderr


def test_a_file_that_is_no_model_is_told(tmp_path: Path, qwen_path: Path) -> None:
    whole = qwen_path.read_bytes()
    for name, data in {"text": b"hello", "empty": b"", "cut": whole[: len(whole) // 2]}.items():
        path = tmp_path / f"{name}.gguf"
        path.write_bytes(data)
        done = run("ask", "hi", "-m", str(path))
        assert done.returncode == 9
        assert f"{name}.gguf" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_prompt_is_shown_byte_for_byte() -> None:
    done = run("prompt", "-", "--family", "qwen", stdin=json.dumps(QUESTION))
    assert done.returncode == 0
    assert done.stdout.endswith("<|im_start|>user\nHi <|im_end|><|im_end|><|im_start|>assistant\n")


def test_prompts_are_shown_line_by_line() -> None:
    line = json.dumps(QUESTION)
    done = run("prompt", "-", "--family", "llama", "--jsonl", stdin=f"{line}\n\n{line}\n")
    first, second = map(json.loads, done.stdout.splitlines())
    assert first == second
    assert first.startswith("<|begin_of_text|>")


def test_a_bad_conversation_is_told_with_its_line() -> None:
    lines = f"{json.dumps(QUESTION)}\n{{}}\n"
    done = run("prompt", "-", "--family", "qwen", "--jsonl", stdin=lines)
    assert done.returncode == 2
    assert 'line 2: A conversation is an object with a list under "messages"' in done.stderr
    assert run("prompt", "-", "--family", "qwen", stdin="[").returncode == 2


def test_a_grammar_is_printed_and_llama_cpp_loads_it(tmp_path: Path, qwen_path: Path) -> None:
    import llama_cpp

    from xlam_local.engine.llama import Model

    path = tools_file(tmp_path, [{"name": "f.g/h", "parameters": {"type": "object"}}])
    done = run("grammar", path)
    assert done.returncode == 0
    model = Model(qwen_path, 0)
    sampler = llama_cpp.llama_sampler_init_grammar(model.vocab, done.stdout.encode(), b"root")
    assert sampler
    llama_cpp.llama_sampler_free(sampler)
    model.close()


def test_a_tool_that_is_not_offered_is_told(tmp_path: Path) -> None:
    odd = {"name": "odd", "parameters": {"properties": {"x": {"$ref": "#/nowhere"}}}}
    done = run("grammar", tools_file(tmp_path, [{"name": "fine"}, odd]))
    assert done.returncode == 0
    assert "Tool 'odd' is not offered" in done.stderr
    assert "fine" in done.stdout


def test_the_report_is_json(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    path = tools_file(tmp_path, [{"name": "f", "parameters": schema}])
    done = run("grammar", path, "--report")
    assert json.loads(done.stdout)


def test_the_report_tells_what_a_tool_costs_a_model(tmp_path: Path, qwen_path: Path) -> None:
    from xlam_local.engine.vocabulary import count

    short = {"name": "f", "description": "größe"}
    path = tools_file(tmp_path, [short, {"name": "g", "description": "long " * 50}])
    done = run("grammar", path, "--report", "--model", str(qwen_path))
    first, second, *_ = json.loads(done.stdout)
    whole = '{\n    "name": "f",\n    "description": "größe"\n}\n\n'
    assert first == {"tool": "f", "tokens": count(qwen_path, [whole])[0]}
    assert second["tokens"] > first["tokens"] + 45
    assert run("grammar", path, "--model", str(qwen_path)).returncode == 2
