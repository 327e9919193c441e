"""Every file that a user names: each fault in it is one sentence with its name, and exit code 2."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.command_line import run

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
    Path("t.json").write_text('[{"name": "f"}]')
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
