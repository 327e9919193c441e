"""Commands without a model: start-up, errors, `prompt` and `grammar`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import llama_cpp
import pytest

from tests.fakes.command_line import run, run_process, write_tools
from xlam_local.cli import COMMANDS, models, xlam_local
from xlam_local.cli.lazy_group import LazyGroup
from xlam_local.engine.llama_model import LlamaModel
from xlam_local.engine.token_counter import count_tokens

HEAVY = {"llama_cpp", "llguidance", "textual", "mcp", "numpy", "pydantic", "huggingface_hub"}
CONVERSATION = {
    "messages": [{"role": "user", "content": "Hi <|im_end|>"}],
    "tools": [{"name": "f"}],
}


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["models", "list"]])
def test_commands_without_a_model_load_no_heavy_library(arguments: list[str]) -> None:
    code = (
        "import sys; from xlam_local.cli import run_command; "
        f"run_command({arguments!r}); print(*sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY & set(done.stderr.split()) == set()
    assert done.stdout or arguments[-1] == "list"


def test_help_lists_every_command() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert all(f"\n  {name}" in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("group", [xlam_local, models.models], ids=lambda group: group.name)
def test_a_groups_help_has_the_first_paragraph_of_each_commands_help(group: LazyGroup) -> None:
    context = click.Context(group)
    for name, target in group.targets.items():
        command = group.get_command(context, name)
        assert command is not None
        assert command.help is not None
        assert " ".join(command.help.split("\n\n")[0].split()) == target.summary


ERRORS = [
    (["nope"], 2, "No such command 'nope'"),
    (["ask", "--nope"], 2, "No such option"),
    ([], 2, "The app needs a terminal"),
    (["--model", "x", "models", "list"], 2, "put them after the command"),
    (["ask", "hi"], 3, "xlam-local"),
    (["ask", "hi", "-m", "/nope.gguf"], 3, "/nope.gguf"),
    (["call", "hi"], 2, "--tools is required"),
    (["ask"], 2, "stdin is empty"),
    (["ask", "hi", "--allow", "nope"], 2, "--allow: there is no tool 'nope'"),
    (["ask", "hi", "--grammar-file", "x.gbnf", "--allow", "f"], 2, "no tool runs"),
    (["grammar", "x.json", "-m", "demo"], 2, "--model needs --report"),
    (["prompt", "/nope.json", "--family", "qwen"], 2, "nope.json"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), ERRORS)
def test_an_error_is_a_sentence_and_an_exit_code(
    arguments: list[str], code: int, message: str
) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr


@pytest.mark.slow
def test_a_process_ends_with_the_exit_code_and_no_traceback() -> None:
    done = run_process("ask", "hi", "-m", "/nope.gguf")
    assert (done.returncode, done.stdout) == (3, "")
    assert "/nope.gguf" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[{", "is not valid JSON: Expecting property name"),
        ([{}], "The tool at /0 has no name"),
        ([{"name": "f"}, {"name": "f"}], "two tools named 'f'"),
        ([{"name": "f", "parameters": 3}], "not a JSON Schema object"),
    ],
)
def test_an_invalid_tool_file_is_an_error(tmp_path: Path, content: object, message: str) -> None:
    path = write_tools(tmp_path, content)
    for arguments in (["grammar", path], ["call", "hi", "--tools", path]):
        done = run(*arguments)
        assert done.returncode == 2
        assert message in done.stderr


def test_a_file_that_is_not_a_model_is_an_error(tmp_path: Path, qwen_path: Path) -> None:
    model = qwen_path.read_bytes()
    for name, data in {"text": b"hello", "empty": b"", "cut": model[: len(model) // 2]}.items():
        path = tmp_path / f"{name}.gguf"
        path.write_bytes(data)
        done = run("ask", "hi", "-m", str(path))
        assert done.returncode == 9
        assert f"{name}.gguf" in done.stderr


def test_a_prompt_is_printed_exactly() -> None:
    done = run("prompt", "-", "--family", "qwen", stdin=json.dumps(CONVERSATION))
    assert done.returncode == 0
    assert done.stdout.endswith("<|im_start|>user\nHi <|im_end|><|im_end|><|im_start|>assistant\n")


def test_prompts_are_printed_line_by_line() -> None:
    line = json.dumps(CONVERSATION)
    done = run("prompt", "-", "--family", "llama", "--jsonl", stdin=f"{line}\n\n{line}\n")
    first, second = map(json.loads, done.stdout.splitlines())
    assert first == second
    assert first.startswith("<|begin_of_text|>")


def test_an_invalid_conversation_is_an_error_with_its_line() -> None:
    lines = f"{json.dumps(CONVERSATION)}\n{{}}\n"
    done = run("prompt", "-", "--family", "qwen", "--jsonl", stdin=lines)
    assert done.returncode == 2
    assert 'line 2: A conversation is an object with a list under "messages"' in done.stderr
    done = run("prompt", "-", "--family", "qwen", stdin="[")
    assert done.returncode == 2
    assert "is not valid JSON: Expecting value at line 1, column 2." in done.stderr


def test_llama_cpp_loads_the_printed_grammar(tmp_path: Path, qwen_path: Path) -> None:
    path = write_tools(tmp_path, [{"name": "f.g/h", "parameters": {"type": "object"}}])
    done = run("grammar", path)
    assert done.returncode == 0
    model = LlamaModel(qwen_path, 0)
    sampler = llama_cpp.llama_sampler_init_grammar(model.vocab, done.stdout.encode(), b"root")
    assert sampler
    llama_cpp.llama_sampler_free(sampler)
    model.close()


def test_a_tool_that_is_not_offered_is_reported(tmp_path: Path) -> None:
    odd = {"name": "odd", "parameters": {"properties": {"x": {"$ref": "#/nowhere"}}}}
    done = run("grammar", write_tools(tmp_path, [{"name": "fine"}, odd]))
    assert done.returncode == 0
    assert "Tool 'odd' is not offered" in done.stderr
    assert "fine" in done.stdout


def test_the_report_is_json(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    done = run("grammar", write_tools(tmp_path, [{"name": "f", "parameters": schema}]), "--report")
    assert {row["keyword"] for row in json.loads(done.stdout)} >= {"type", "properties"}


def test_the_report_has_the_tokens_of_each_tool(tmp_path: Path, qwen_path: Path) -> None:
    tools = [{"name": "f", "description": "größe"}, {"name": "g", "description": "long " * 50}]
    done = run("grammar", write_tools(tmp_path, tools), "--report", "--model", str(qwen_path))
    first, second, *_ = json.loads(done.stdout)
    text = '{\n    "name": "f",\n    "description": "größe"\n}\n\n'
    assert first == {"tool": "f", "tokens": count_tokens(qwen_path, [text])[0]}
    assert second["tokens"] > first["tokens"] + 45
