"""Every file that a user names: each fault in it is one sentence with its name, and exit code 2."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.command_line import run, run_process

ANY_FILE: dict[str, Callable[[Path], object]] = {
    "latin-1": lambda path: path.write_bytes('{"a": "café"}'.encode("latin-1")),
    "utf-16": lambda path: path.write_bytes("{}".encode("utf-16")),
    "utf-16 without a mark": lambda path: path.write_bytes("{}".encode("utf-16-be")),
    "binary": lambda path: path.write_bytes(bytes(range(256))),
    "folder": lambda path: path.mkdir(),
    "named pipe": os.mkfifo,
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "device": lambda path: path.symlink_to("/dev/zero"),
    "socket": lambda path: path.symlink_to("/dev/full"),
}
JSON_FILE: dict[str, Callable[[Path], object]] = {
    **ANY_FILE,
    "empty": lambda path: path.write_text(""),
    "deep": lambda path: path.write_text("[" * 3000 + "]" * 3000),
    "number": lambda path: path.write_text('{"a": ' + "9" * 5000 + "}"),
    "exponent": lambda path: path.write_text('{"a": 1e999}'),
    "surrogate": lambda path: path.write_text('{"a": "\\ud83d"}'),
    "infinity": lambda path: path.write_text('{"a": Infinity}'),
    "twice": lambda path: path.write_text('{"a": 1, "a": 2}'),
}
TOML_FILE: dict[str, Callable[[Path], object]] = {
    **ANY_FILE,
    "deep": lambda path: path.write_text("a = " + "[" * 3000),
    "dots": lambda path: path.write_text(".".join("a" * 3000) + " = 1"),
    "number": lambda path: path.write_text("a = " + "9" * 5000),
    "surrogate": lambda path: path.write_text('a = "\\ud83d"'),
    "twice": lambda path: path.write_text("a = 1\na = 2"),
}
NAMED_FILES = {
    "prompt FILE.json --family qwen": JSON_FILE,
    "prompt FILE.jsonl --family qwen --jsonl": ANY_FILE,
    "history import FILE.json": JSON_FILE | {"surrogate": lambda path: path.write_text("\x00")},
    "history import FILE.jsonl": ANY_FILE,
    "grammar FILE.json": JSON_FILE,
    "grammar FILE.toml": TOML_FILE,
    "grammar FILE.py --trust": ANY_FILE,
    "tools lint --tools FILE.json": JSON_FILE,
    "tools add FILE.json --trust": JSON_FILE,
    "call hi --tools FILE.json": JSON_FILE,
    "ask hi --tools FILE.toml --trust": TOML_FILE,
    "ask hi --grammar-file FILE.gbnf": ANY_FILE,
    "models pick --machine FILE.json": JSON_FILE,
}


@pytest.mark.slow
@pytest.mark.parametrize("command", NAMED_FILES)
def test_a_fault_in_a_named_file_is_one_sentence(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, (fault, make) in enumerate(NAMED_FILES[command].items()):
        words = command.replace("FILE", f"file{number}").split()
        name = next(word for word in words if word.startswith("file"))
        make(Path(name))
        done = run(*words)
        assert (done.returncode, done.stdout) == (2, ""), (fault, done)
        assert done.stderr.count("\n") == 1, (fault, done.stderr)
        assert name in done.stderr, (fault, done.stderr)


SETTINGS = {
    "config.toml": ("call hi --tools t.json", TOML_FILE),
    "models.toml": ("models list", TOML_FILE),
    "policy.toml": ("ask hi --no-tools", TOML_FILE),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_a_fault_in_a_file_of_settings_is_one_sentence(
    name: str, tmp_path: Path, own_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.json").write_text('[{"name": "f"}]')
    command, faults = SETTINGS[name]
    for number, (fault, make) in enumerate(faults.items()):
        monkeypatch.setenv("XLAM_LOCAL_HOME", str(own_folders / str(number)))
        path = own_folders / str(number) / "config" / name
        path.parent.mkdir(parents=True)
        make(path)
        done = run(*command.split())
        assert (done.returncode, done.stdout) == (2, ""), (fault, done)
        assert done.stderr.count("\n") == 1, (fault, done.stderr)
        assert name in done.stderr, (fault, done.stderr)


@pytest.mark.parametrize("fault", JSON_FILE)
def test_a_fault_in_mcp_json_is_named_in_the_list_of_tools(own_folders: Path, fault: str) -> None:
    path = own_folders / "config" / "mcp.json"
    path.parent.mkdir(parents=True)
    JSON_FILE[fault](path)
    done = run("tools", "list")
    assert done.returncode == 0
    assert "mcp.json" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "text", "command", "expected"),
    [
        ("config/config.toml", "theme = 'nord'\n", "call hi --tools t.json", ""),
        ("config/models.toml", "[x]\nrepo = 'a/b'\nfile = 'f'\n", "models list", ""),
        ("config/mcp.json", '{"mcpServers": {"s": {"command": "x"}}}', "tools list", "s"),
        ("config/policy.toml", "[[rule]]\ntool = 'f'\naction = 'deny'\n", "ask hi --no-tools", ""),
        ("t.json", '[{"name": "abc"}]', "grammar t.json", "abc"),
        ("t.toml", "[[tool]]\nname = 'abc'\ncommand = ['x']\n", "grammar t.toml --trust", "abc"),
        (
            "t.py",
            "from xlam_local import tool\n\n@tool\ndef abc(a: int) -> int:\n    return a\n",
            "grammar t.py --trust",
            "abc",
        ),
        (
            "c.json",
            '{"messages": [{"role": "user", "content": "abc"}]}',
            "prompt c.json --family qwen",
            "abc",
        ),
        (
            "c.json",
            '{"messages": [{"role": "user", "content": "abc"}]}',
            "history import c.json",
            "",
        ),
    ],
)
def test_a_byte_order_mark_is_skipped(
    name: str,
    text: str,
    command: str,
    expected: str,
    own_folders: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (own_folders / "config").mkdir(parents=True)
    monkeypatch.chdir(own_folders)
    Path(name).write_text(text, encoding="utf-8")
    plain = run(*command.split())
    Path(name).write_text(text, encoding="utf-8-sig")
    marked = run(*command.split())
    if "history" in command:
        assert "1 imported before" in marked.stderr
    else:
        assert plain == marked
    assert "TOML" not in marked.stderr
    assert expected in marked.stdout


MARK = "\ufeff"
MARKED_INPUTS = {
    "grammar": ("ask hi --grammar-file FILE", 'root ::= "yes" | "no"'),
    "messages": ("ask hi --messages FILE", '[{"role": "user", "content": "Who?"}]'),
    "lines of messages": ("ask hi --messages FILE", '{"role": "user", "content": "Who?"}\n'),
    "attached file": ("ask hi -f FILE", "one two"),
    "stdin": ("ask hi", "one two"),
    "stdin for -": ("ask -", "one two"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", MARKED_INPUTS)
def test_a_byte_order_mark_does_not_reach_the_model(
    kind: str, qwen_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command, text = MARKED_INPUTS[kind]
    options = [
        "-m",
        str(qwen_path),
        "--max-tokens",
        "3",
        "--no-prompt-cache",
        "--json",
        "--no-tools",
    ]
    found = []
    for start in ("", MARK):
        Path("FILE").write_text(start + text)
        stdin = "" if "FILE" in command else start + text
        done = run_process(*command.split(), *options, stdin=stdin)
        assert "Traceback" not in done.stderr
        assert done.stdout, done.stderr
        found.append(re.findall(r'"prompt_tokens": (\d+)', done.stdout) or done.stdout)
    assert found[0] == found[1]


def test_a_byte_order_mark_in_a_batch_is_skipped(
    qwen_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    row = '{"id": "%s", "prompt": "hi"}\n'
    Path("in.jsonl").write_text(f"{MARK}{row % 1}{MARK}{row % 2}")
    done = run("batch", "in.jsonl", "out.jsonl", "-m", str(qwen_path), "--max-tokens", "3")
    assert done.returncode == 0, done
    results = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert sorted(result["custom_id"] for result in results) == ["1", "2"]


def test_arguments_and_stdin_are_read_by_the_same_rules() -> None:
    for piped in (
        "[" * 3000,
        "9" * 5000,
        '{"a": 1, "a": 2}',
        '{"a": NaN}',
        "[",
        '{"a": "\\ud800"}',
    ):
        for done in (
            run("tools", "test", "calculate", "-", stdin=piped),
            run("tools", "test", "calculate", piped),
        ):
            assert (done.returncode, done.stdout) == (2, "")
            assert done.stderr.startswith("Error: The argument ARGUMENTS ")
    for words, name in (
        (["ask", "caf\udce9", "--no-tools"], "The argument TEXT"),
        (["ask", "hi", "--system", "\udce9"], "The value of --system"),
        (["call", "hi", "--system", "\udce9"], "The value of --system"),
    ):
        done = run(*words)
        assert (done.returncode, done.stderr) == (2, f"Error: {name} is not UTF-8.\n")
