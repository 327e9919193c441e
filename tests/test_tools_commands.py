from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from xlam_local.errors import ToolError, ToolFileError
from xlam_local.tools import sandbox
from xlam_local.tools.described import described, told_kind
from xlam_local.tools.sandbox import Box, Limits
from xlam_local.types import Effect, Sandbox, Tool

ECHO = ["printf", "%s|"]
TEXT = {"type": "string"}


def one(item: Mapping[str, Any], folder: Path, box: Box | None = None) -> Tool:
    (made,) = described({"tool": [{"name": "f", **item}]}, box or Box(folder))
    return made


def run(made: Tool, **arguments: Any) -> Any:
    assert made.run is not None
    return made.run(**arguments)


def shown(made: Tool, **arguments: Any) -> str:
    assert made.preview is not None
    return made.preview(**arguments)


def test_blanks_are_filled_one_argument_each(tmp_path: Path) -> None:
    parameters = {"a": TEXT, "n": {"type": "integer"}, "on": {"type": "boolean"}}
    command = [*ECHO, "{a}", "--n={n}", "{on}{a}", "{{a}}", "{ a }"]
    made = one({"command": command, "parameters": parameters}, tmp_path)
    assert run(made, a="x; $(id) `id` *", n=3, on=True) == (
        "x; $(id) `id` *|--n=3|truex; $(id) `id` *|{a}|{ a }|"
    )
    assert made.parameters["required"] == ["a", "n", "on"]
    assert (made.effect, made.sandbox, made.seconds) == (Effect.EXECUTE, Sandbox.LIMITS, 30)


def test_a_value_with_braces_is_no_blank(tmp_path: Path) -> None:
    made = one({"command": [*ECHO, "{a}"], "parameters": {"a": TEXT, "b": TEXT}}, tmp_path)
    assert run(made, a="{b}", b="x") == "{b}|"


def test_what_has_no_value_is_left_out_with_its_group(tmp_path: Path) -> None:
    parameters = {"n": {"type": "integer", "optional": True}, "d": {**TEXT, "default": "x"}}
    made = one({"command": [*ECHO, ["-n", "{n}"], "{d}"], "parameters": parameters}, tmp_path)
    assert run(made) == "x|"
    assert run(made, n=2, d="y") == "-n|2|y|"
    assert made.parameters["required"] == []
    assert made.parameters["properties"]["n"] == {"type": "integer"}


def test_a_list_is_an_argument_for_each_item(tmp_path: Path) -> None:
    parameters = {"files": {"type": "array", "items": TEXT}}
    made = one({"command": [*ECHO, "{files}"], "parameters": parameters}, tmp_path)
    assert run(made, files=["a b", "c"]) == "a b|c|"
    with pytest.raises(ToolError, match="'-c' would be read as an option"):
        run(made, files=["a", "-c"])


@pytest.mark.parametrize("value", ["-rf", "--exec=sh", "-", "-1"])
def test_a_value_is_no_option(tmp_path: Path, value: str) -> None:
    made = one({"command": [*ECHO, "{a}"], "parameters": {"a": TEXT}}, tmp_path)
    for call in (run, shown):
        with pytest.raises(ToolError, match="would be read as an option"):
            call(made, a=value)
    for command in ([*ECHO, "--", "{a}"], [*ECHO, "--a={a}"], [*ECHO, "-a{a}"]):
        assert value in run(one({"command": command, "parameters": {"a": TEXT}}, tmp_path), a=value)


def test_a_path_leads_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "out").symlink_to(tmp_path)
    parameters = {"p": {"type": "string", "format": "path"}}
    made = one({"command": [*ECHO, "{p}"], "parameters": parameters}, tmp_path / "work")
    assert run(made, p="a/../b") == f"{tmp_path}/work/b|"
    for path in ("../x", "/etc/passwd", "out/x"):
        with pytest.raises(ToolError, match="outside the working folder"):
            run(made, p=path)


def test_a_list_of_paths_leads_nowhere_else(tmp_path: Path) -> None:
    paths = {"type": "array", "items": {"type": "string", "format": "path"}}
    made = one({"command": [*ECHO, "{p}"], "parameters": {"p": paths}}, tmp_path)
    assert run(made, p=["a", "b/../c"]) == f"{tmp_path}/a|{tmp_path}/c|"
    for path in ("../x", "/etc/passwd"):
        with pytest.raises(ToolError, match="outside the working folder"):
            run(made, p=["a", path])


def test_environment_folder_and_input_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.setenv("MY_TOKEN", "t0k3n")
    item = {
        "command": ["sh", "-c", 'cat; echo "$TOKEN"; pwd'],
        "parameters": {"text": TEXT},
        "stdin": "<{text}>",
        "folder": "sub",
        "environment": {"TOKEN": "Bearer ${MY_TOKEN}"},
    }
    assert run(one(item, tmp_path), text="{x}") == f"<{{x}}>Bearer t0k3n\n{tmp_path}/sub\n"
    assert "t0k3n" not in shown(one(item, tmp_path), text="x")
    monkeypatch.delenv("MY_TOKEN")
    with pytest.raises(ToolError, match="The variable MY_TOKEN is not set"):
        run(one(item, tmp_path), text="x")


def test_json_is_read(tmp_path: Path) -> None:
    assert run(one({"command": ["echo", '{{"a": 1}}'], "output": "json"}, tmp_path)) == {"a": 1}
    with pytest.raises(ToolError, match="did not write JSON"):
        run(one({"command": ["echo", "nope"], "output": "json"}, tmp_path))


def test_the_command_line_is_shown_whole(tmp_path: Path) -> None:
    made = one({"command": ["git", "log", "--", "{p}"], "parameters": {"p": TEXT}}, tmp_path)
    assert shown(made, p="a b'; rm -rf ~") == f"git log -- 'a b'\"'\"'; rm -rf ~'\nin {tmp_path}"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo out; echo err >&2; exit 3", r"sh ended with exit code 3\.\nerr$"),
        ("echo out; exit 1", r"exit code 1\.\nout$"),
        ("kill -9 $$", "sh was killed"),
        ("kill -11 $$", "sh crashed"),
        ("kill -15 $$", "ended with signal 15"),
        ("echo said; sleep 9", r"did not end within 1 seconds\.\nsaid$"),
    ],
)
def test_a_program_that_fails_is_told(tmp_path: Path, script: str, told: str) -> None:
    with pytest.raises(ToolError, match=told):
        run(one({"command": ["sh", "-c", script], "seconds": 1}, tmp_path))


def test_a_flood_is_cut_and_told(tmp_path: Path) -> None:
    box = Box(tmp_path, limits=Limits(output=5000))
    with pytest.raises(ToolError, match=r"more than 5,000 bytes and was stopped\. It began:\ny\ny"):
        run(one({"command": ["yes"]}, tmp_path, box))


def test_memory_is_what_the_file_says(tmp_path: Path) -> None:
    made = one({"command": ["sh", "-c", "ulimit -v"], "memory": 0.5}, tmp_path)
    assert run(made) == f"{1 << 19}\n"


def test_what_is_not_utf_8_is_marked_and_what_is_binary_stays(tmp_path: Path) -> None:
    assert run(one({"command": ["printf", r"gr\374n"]}, tmp_path)) == "gr\ufffdn"
    assert run(one({"command": ["printf", r"\0\001"]}, tmp_path)) == b"\0\x01"


def test_what_a_program_says_of_nothing_is_told(tmp_path: Path) -> None:
    assert run(one({"command": ["sh", "-c", "echo note >&2"]}, tmp_path)) == "note\n"


def test_a_program_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="There is no program 'no-such'"):
        run(one({"command": ["no-such"]}, tmp_path))


def test_a_sandbox_that_is_demanded_is_had_or_nothing_runs(tmp_path: Path) -> None:
    made = one({"command": ["echo", "ran"], "sandbox": "isolated"}, tmp_path)
    assert made.sandbox is Sandbox.ISOLATED
    if sandbox.available(Sandbox.ISOLATED):
        with pytest.raises(ToolError, match="bubblewrap"):
            run(made)
    else:
        assert run(made) == "ran\n"


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ({}, "needs either 'command' or 'http'"),
        ({"command": ["x"], "http": {}}, "needs either 'command' or 'http'"),
        ({"command": "ls -l"}, "'command' is not a list of arguments"),
        ({"command": []}, "'command' is not a list"),
        ({"command": ["ls", 3]}, "/command/1 is not text"),
        ({"command": ["ls", ["-n", 3]]}, "/command/1 is not text"),
        ({"command": ["{x}"], "parameters": {"x": TEXT}}, "the program, which comes first"),
        ({"command": [["ls"]]}, "the program, which comes first"),
        ({"command": [""]}, "the program, which comes first"),
        ({"command": ["ls", "{y}"], "parameters": {"x": TEXT}}, "blank {y}, but .* are: x"),
        ({"command": ["ls"], "stdin": "{y}"}, "'stdin' has a blank {y}"),
        ({"command": ["ls"], "stdin": 3}, "'stdin' is not text"),
        ({"command": ["ls"], "shell": True}, "'shell' is not known; known are command"),
        ({"command": ["ls"], "effect": "all"}, "effect 'all' is none of read, write"),
        ({"command": ["ls"], "sandbox": "best"}, "sandbox 'best' is none of none, limits"),
        ({"command": ["ls"], "folder": "a\0b"}, "folder 'a.x00b' is not a path"),
        ({"command": ["ls"], "folder": "~no-such-user/x"}, "is not a path"),
        ({"command": ["ls"], "network": "yes"}, "'network' is true or false"),
        ({"command": ["ls"], "seconds": 0}, "'seconds' is a number up to 3600"),
        ({"command": ["ls"], "memory": "2G"}, "'memory' is a number of GiB"),
        ({"command": ["ls"], "output": "xml"}, "not 'text' or 'json'"),
        ({"command": ["ls"], "environment": ["A"]}, "'environment' is not a table"),
        (
            {"command": ["ls"], "environment": {"LD_PRELOAD": "{x}"}, "parameters": {"x": TEXT}},
            "'environment' has the blank {x}",
        ),
        ({"command": ["ls"], "parameters": []}, "parameters are not a table"),
        ({"command": ["ls"], "parameters": {"x": {"default": date(2026, 1, 2)}}}, "not JSON"),
        ({"command": ["ls"], "parameters": {"x": {"maximum": float("inf")}}}, "not JSON"),
        ({"command": ["ls"], "parameters": {"properties": []}}, "properties are not a table"),
        ({"command": ["ls"], "parameters": {"x": "string"}}, "'x' is not a JSON Schema"),
        ({"command": ["ls"], "description": 3}, "description is not text"),
        (
            {"command": ["ls"], "parameters": {"x": {"anyOf": [{"format": "path"}, TEXT]}}},
            "stands elsewhere in its parameters",
        ),
    ],
)
def test_a_description_that_is_wrong_is_told(tmp_path: Path, item: Any, told: str) -> None:
    with pytest.raises(ToolFileError, match=told):
        one(item, tmp_path)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"tool": [3]}, "/tool/0 is not a table"),
        ({"tool": [{"command": ["ls"]}]}, "/tool/0 has no name"),
        ({"tool": [{"name": "f\ng (read): ls", "command": ["rm"]}]}, "name that cannot be shown"),
        ({"tool": [], "tols": []}, "'tols' is not known"),
        ({"tool": [{"name": "f", "command": ["ls"]}] * 2}, "two tools named 'f'"),
    ],
)
def test_a_file_that_is_wrong_is_told(tmp_path: Path, data: Any, told: str) -> None:
    with pytest.raises(ToolFileError, match=told):
        described(data, Box(tmp_path))


def test_a_whole_schema_is_taken_as_it_is(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"x": TEXT}, "additionalProperties": False}
    assert one({"command": ["ls", "{x}"], "parameters": schema}, tmp_path).parameters == schema


def test_what_a_file_would_run_is_told() -> None:
    data = {
        "tool": [
            {
                "name": "a",
                "command": ["git", ["-n", "{n}"], "a b"],
                "effect": "read",
                "sandbox": "none",
                "environment": {"KEY": "${MY_KEY}"},
            },
            {"name": "b", "http": {"url": "https://x.org", "private": True, "hosts": ["*"]}},
        ]
    }
    assert told_kind(data) == (
        "command",
        """a (read): git -n {n} 'a b'
  sandbox: "none"
  environment: {"KEY": "${MY_KEY}"}
b (network): GET https://x.org
  private: true
  hosts: ["*"]""",
    )


def test_a_command_can_be_stopped(tmp_path: Path) -> None:
    made = one({"command": ["sleep", "60"]}, tmp_path)
    assert made.stop is not None
    threading.Timer(0.2, made.stop).start()
    began = time.monotonic()
    with pytest.raises(ToolError, match="was killed"):
        run(made)
    assert time.monotonic() - began < 5


def test_no_command_outlives_the_program(tmp_path: Path) -> None:
    code = """
import sys, threading, time
from pathlib import Path
from xlam_local.tools import sandbox
box = sandbox.Box(Path(sys.argv[1]))
threading.Thread(target=sandbox.run, args=(["sleep", "6543"], box), daemon=True).start()
while not sandbox.LIVE: time.sleep(0.01)
print(next(iter(sandbox.LIVE)).process.pid)
"""
    words = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.kill(int(done.stdout), 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the command lives on")
