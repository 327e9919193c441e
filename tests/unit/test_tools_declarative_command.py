from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.tool_calls import CAN_ISOLATE, preview, run
from xlam_local.errors import ToolError, ToolFileError
from xlam_local.tools.declarative.loader import describe_tools, file_kind, load_tools
from xlam_local.tools.sandbox.config import Limits, SandboxConfig
from xlam_local.types import Effect, Sandbox, Tool

ECHO = ["printf", "%s|"]
TEXT = {"type": "string"}


def load(table: Mapping[str, Any], folder: Path, **limits: int) -> Tool:
    sandbox = SandboxConfig(folder, limits=Limits(**limits))
    (tool,) = load_tools({"tool": [{"name": "f", **table}]}, sandbox)
    return tool


def test_each_placeholder_fills_one_argument(tmp_path: Path) -> None:
    parameters = {"a": TEXT, "n": {"type": "integer"}, "on": {"type": "boolean"}}
    command = [*ECHO, "{a}", "--n={n}", "{on}{a}", "{{a}}", "{ a }"]
    tool = load({"command": command, "parameters": parameters}, tmp_path)
    assert run(tool, a="x; $(id) `id` *", n=3, on=True) == (
        "x; $(id) `id` *|--n=3|truex; $(id) `id` *|{a}|{ a }|"
    )
    assert tool.parameters["required"] == ["a", "n", "on"]
    assert (tool.effect, tool.sandbox, tool.timeout) == (Effect.EXECUTE, Sandbox.LIMITS, 30)


@pytest.mark.parametrize(
    ("template", "arguments", "expected"),
    [
        ('{{"t": "{a}", "n": {n}}}', {"a": 'x "y" \\ \n', "n": 3}, {"t": 'x "y" \\ \n', "n": 3}),
        ('{{"t": {a}}}', {"a": 'x", "evil": "1'}, {"t": 'x", "evil": "1'}),
        ('{{"t": "<{a}>", "{a}": [{n}]}}', {"a": '"', "n": -1.5}, {"t": '<">', '"': [-1.5]}),
        ('["{a}", {n}, {{"k": {on}}}]', {"a": "]", "n": 1, "on": True}, ["]", 1, {"k": True}]),
        ('{{"items": {list}}}', {"list": ['"', {"b": None}]}, {"items": ['"', {"b": None}]}),
        (r'{{"\"": "\\{a}"}}', {"a": "\x01"}, {'"': "\\\x01"}),
        (
            r'{{"body": "{{\"q\": \"{a}\", \"n\": {n}}}"}}',
            {"a": 'x "y" \\ \n', "n": 3},
            {"body": '{"q": "x \\"y\\" \\\\ \\n", "n": 3}'},
        ),
        (r'{{"body": "[\"{a}\"]"}}', {"a": '"'}, {"body": '["\\""]'}),
        (r'{{"body": "{{\"{a}\""}}', {"a": '"'}, {"body": '{"""'}),
        ('{{"list": "[{a}]"}}', {"a": '"'}, {"list": '["]'}),
    ],
)
def test_a_value_within_json_is_written_as_json(
    tmp_path: Path, template: str, arguments: dict[str, Any], expected: Any
) -> None:
    properties = {"a": TEXT, "n": {"type": "number"}, "on": {"type": "boolean"}, "list": {}}
    parameters = {name: properties[name] for name in arguments}
    tool = load({"command": ["printf", "%s", template], "parameters": parameters}, tmp_path)
    assert json.loads(str(run(tool, **arguments))) == expected
    tool = load({"command": ["cat"], "stdin": template, "parameters": parameters}, tmp_path)
    assert json.loads(str(run(tool, **arguments))) == expected


@pytest.mark.parametrize(
    ("template", "value", "expected"),
    [
        ('--data={{"q": "{a}"}}', '"', '--data={"q": "\\""}'),
        ('say "{a}"', '"', 'say """'),
        ("x[{a}]", '"', 'x["]'),
        ("{{}} {a}", '"', '{} "'),
        ("{{{a}}}", "k", "{k}"),
    ],
)
def test_a_value_beside_json_is_written_as_it_is(
    tmp_path: Path, template: str, value: str, expected: str
) -> None:
    tool = load({"command": ["printf", "%s", template], "parameters": {"a": TEXT}}, tmp_path)
    assert run(tool, a=value) == expected


def test_an_unknown_placeholder_of_the_environment_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ToolFileError, match=r"env, A: the placeholder \$\{input:x\} is not"):
        load({"command": ["true"], "env": {"A": "${input:x}"}}, tmp_path)
    with pytest.raises(ToolFileError, match=r"env, A: write \$\{B\} instead of \$B\."):
        load({"command": ["true"], "env": {"A": "$B"}}, tmp_path)


def test_braces_in_a_value_are_not_a_placeholder(tmp_path: Path) -> None:
    tool = load({"command": [*ECHO, "{a}"], "parameters": {"a": TEXT, "b": TEXT}}, tmp_path)
    assert run(tool, a="{b}", b="x") == "{b}|"


def test_a_group_without_a_value_is_left_out(tmp_path: Path) -> None:
    parameters = {"n": {"type": "integer", "optional": True}, "d": {**TEXT, "default": "x"}}
    tool = load({"command": [*ECHO, ["-n", "{n}"], "{d}"], "parameters": parameters}, tmp_path)
    assert run(tool) == "x|"
    assert run(tool, n=2, d="y") == "-n|2|y|"
    assert tool.parameters["required"] == []
    assert tool.parameters["properties"]["n"] == {"type": "integer"}


def test_a_list_becomes_one_argument_per_item(tmp_path: Path) -> None:
    parameters = {"files": {"type": "array", "items": TEXT}}
    tool = load({"command": [*ECHO, "{files}"], "parameters": parameters}, tmp_path)
    assert run(tool, files=["a b", "c"]) == "a b|c|"
    with pytest.raises(ToolError, match="'-c' starts with '-' and would be read as an option"):
        run(tool, files=["a", "-c"])


@pytest.mark.parametrize("value", ["-rf", "--exec=sh", "-", "-1"])
def test_a_value_cannot_be_an_option(tmp_path: Path, value: str) -> None:
    tool = load({"command": [*ECHO, "{a}"], "parameters": {"a": TEXT}}, tmp_path)
    for call in (run, preview):
        with pytest.raises(ToolError, match="would be read as an option"):
            call(tool, a=value)
    for command in ([*ECHO, "--", "{a}"], [*ECHO, "--a={a}"], [*ECHO, "-a{a}"]):
        tool = load({"command": command, "parameters": {"a": TEXT}}, tmp_path)
        assert value in run(tool, a=value)


def test_a_path_must_be_in_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "out").symlink_to(tmp_path)
    parameters = {"p": {"type": "string", "format": "path"}}
    tool = load({"command": [*ECHO, "{p}"], "parameters": parameters}, tmp_path / "work")
    assert run(tool, p="a/../b") == f"{tmp_path}/work/b|"
    for path in ("../x", "/etc/passwd", "out/x"):
        with pytest.raises(ToolError, match="outside the working folder"):
            run(tool, p=path)


def test_each_path_of_a_list_must_be_in_the_working_folder(tmp_path: Path) -> None:
    paths = {"type": "array", "items": {"type": "string", "format": "path"}}
    tool = load({"command": [*ECHO, "{p}"], "parameters": {"p": paths}}, tmp_path)
    assert run(tool, p=["a", "b/../c"]) == f"{tmp_path}/a|{tmp_path}/c|"
    for path in ("../x", "/etc/passwd"):
        with pytest.raises(ToolError, match="outside the working folder"):
            run(tool, p=["a", path])


def test_env_cwd_and_stdin_are_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.setenv("MY_TOKEN", "t0k3n")
    table = {
        "command": ["sh", "-c", 'cat; echo "$TOKEN $LEVEL"; pwd'],
        "parameters": {"text": TEXT},
        "stdin": "<{text}>",
        "cwd": "sub",
        "env": {"TOKEN": "Bearer ${MY_TOKEN}", "LEVEL": "${MY_LEVEL:-info}"},
    }
    tool = load(table, tmp_path)
    assert run(tool, text="{x}") == f"<{{x}}>Bearer t0k3n info\n{tmp_path}/sub\n"
    assert "t0k3n" not in preview(tool, text="x")
    monkeypatch.delenv("MY_TOKEN")
    with pytest.raises(ToolError, match="The environment variable MY_TOKEN is not set"):
        run(tool, text="x")


def test_json_output_is_parsed(tmp_path: Path) -> None:
    tool = load({"command": ["echo", '{{"a": 1}}'], "output": "json"}, tmp_path)
    assert run(tool) == {"a": 1}
    with pytest.raises(ToolError, match="The output is not JSON"):
        run(load({"command": ["echo", "nope"], "output": "json"}, tmp_path))


def test_the_preview_is_a_quoted_command_line(tmp_path: Path) -> None:
    tool = load({"command": ["git", "log", "--", "{p}"], "parameters": {"p": TEXT}}, tmp_path)
    assert preview(tool, p="a b'; rm -rf ~") == f"git log -- 'a b'\"'\"'; rm -rf ~'\nin {tmp_path}"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo out; echo err >&2; exit 3", r"sh exited with code 3\.\nerr$"),
        ("echo out; exit 1", r"sh exited with code 1\.\nout$"),
        ("kill -9 $$", "sh was killed"),
        ("kill -11 $$", r"sh crashed \(SIGSEGV\)"),
        ("kill -15 $$", "sh was ended by SIGTERM"),
        ("echo printed; sleep 9", r"was stopped: it ran longer than 0\.5 seconds\.\nprinted$"),
    ],
)
def test_a_program_that_fails_raises_an_error(tmp_path: Path, script: str, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        run(load({"command": ["sh", "-c", script], "timeout": 0.5}, tmp_path))


def test_a_program_that_prints_too_much_is_stopped(tmp_path: Path) -> None:
    message = r"yes was stopped: it printed more than 5,000 bytes\. The output starts with:\ny\ny"
    with pytest.raises(ToolError, match=message):
        run(load({"command": ["yes"]}, tmp_path, output_bytes=5000))


def test_a_file_can_set_the_memory_limit(tmp_path: Path) -> None:
    tool = load({"command": ["sh", "-c", "ulimit -v"], "memory_gib": 0.5}, tmp_path)
    assert run(tool) == f"{1 << 19}\n"


def test_output_is_decoded_unless_it_is_binary(tmp_path: Path) -> None:
    assert run(load({"command": ["printf", r"gr\374n"]}, tmp_path)) == "gr\ufffdn"
    assert run(load({"command": ["printf", r"\0\001"]}, tmp_path)) == b"\0\x01"


def test_stderr_is_returned_if_stdout_is_empty(tmp_path: Path) -> None:
    assert run(load({"command": ["sh", "-c", "echo note >&2"]}, tmp_path)) == "note\n"


def test_a_missing_program_raises_an_error(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="There is no program 'no-such'"):
        run(load({"command": ["no-such"]}, tmp_path))


def test_a_tool_declares_whether_it_may_use_the_network(tmp_path: Path) -> None:
    assert load({"command": ["echo"], "network": True}, tmp_path).network
    assert not load({"command": ["echo"]}, tmp_path).network


def test_nothing_runs_if_the_required_sandbox_is_missing(tmp_path: Path) -> None:
    tool = load({"command": ["echo", "ran"], "sandbox": "isolated"}, tmp_path)
    assert tool.sandbox is Sandbox.ISOLATED
    if CAN_ISOLATE:
        assert run(tool) == "ran\n"
    else:
        with pytest.raises(ToolError, match="bubblewrap"):
            run(tool)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "Either command or http is required"),
        ({"command": ["x"], "http": {}}, "Either command or http is required"),
        ({"command": "ls -l"}, "command must be a list of arguments, not 'ls -l'"),
        ({"command": []}, "command must be a list of arguments"),
        ({"command": ["ls", 3]}, "/command/1 must be a string or a list of strings, not 3"),
        ({"command": ["ls", ["-n", 3]]}, "/command/1 must be a string or a list of strings"),
        ({"command": ["{x}"], "parameters": {"x": TEXT}}, "first argument must be the name"),
        ({"command": [["ls"]]}, "The first argument must be the name of a program"),
        ({"command": [""]}, "The first argument must be the name of a program"),
        (
            {"command": ["ls", "{y}"], "parameters": {"x": TEXT}},
            "/command/1: The placeholder {y} is not a parameter; the parameters are x",
        ),
        ({"command": ["ls"], "stdin": "{y}"}, "stdin: The placeholder {y} is not a parameter"),
        ({"command": ["ls"], "stdin": 3}, "stdin must be a string, not 3"),
        ({"command": ["ls"], "shell": True}, "Unknown key 'shell'; the keys are command, cwd"),
        ({"command": ["ls"], "seconds": 5}, "Unknown key 'seconds'; the keys are command, cwd"),
        ({"command": ["ls"], "effect": "all"}, "effect must be read, write, execute or network"),
        ({"command": ["ls"], "sandbox": "best"}, "sandbox must be none, limits or isolated"),
        ({"command": ["ls"], "cwd": "a\0b"}, "cwd must be a path"),
        ({"command": ["ls"], "cwd": "~no-such-user/x"}, "cwd must be a path"),
        ({"command": ["ls"], "network": "yes"}, "network must be true or false, not 'yes'"),
        ({"command": ["ls"], "timeout": 0}, "timeout must be a number from 0.001 to 3600, not 0"),
        ({"command": ["ls"], "timeout": True}, "timeout must be a number from 0.001 to 3600"),
        ({"command": ["ls"], "memory_gib": "2G"}, "memory_gib must be a number of GiB, not '2G'"),
        ({"command": ["ls"], "output": "xml"}, "output must be text or json, not 'xml'"),
        ({"command": ["ls"], "env": ["A"]}, "env must be a table"),
        ({"command": ["ls"], "env": {"A": 1}}, "env must be a table of strings"),
        (
            {"command": ["ls"], "env": {"LD_PRELOAD": "{x}"}, "parameters": {"x": TEXT}},
            "env must not contain the placeholder {x}",
        ),
        ({"command": ["ls"], "parameters": []}, "parameters must be a table"),
        ({"command": ["ls"], "parameters": {"x": {"default": date(2026, 1, 2)}}}, "must be JSON"),
        ({"command": ["ls"], "parameters": {"x": {"maximum": float("inf")}}}, "must be JSON"),
        ({"command": ["ls"], "parameters": {"properties": []}}, "properties must be a table"),
        ({"command": ["ls"], "parameters": {"x": "string"}}, "x must be a table, not 'string'"),
        ({"command": ["ls"], "description": 3}, "description must be a string, not 3"),
        (
            {"command": ["ls"], "parameters": {"x": {"anyOf": [{"format": "path"}, TEXT]}}},
            'format = "path" is supported for a parameter or for the items',
        ),
    ],
)
def test_an_invalid_tool_raises_an_error(tmp_path: Path, table: Any, message: str) -> None:
    with pytest.raises(ToolFileError, match=f"Tool 'f'.*{message}"):
        load(table, tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"tool": [3]}, "The tool at /tool/0 must be a table"),
        ({"tool": [{"command": ["ls"]}]}, "/tool/0 has no name"),
        ({"tool": [{"name": "f\ng (read): ls", "command": ["rm"]}]}, "unprintable characters"),
        ({"tool": [], "tols": []}, "Unknown key 'tols'; the keys are tool"),
        ({"tool": [{"name": "f", "command": ["ls"]}] * 2}, "two tools named 'f'"),
    ],
)
def test_an_invalid_file_raises_an_error(tmp_path: Path, data: Any, message: str) -> None:
    with pytest.raises(ToolFileError, match=message):
        load_tools(data, SandboxConfig(tmp_path))


def test_a_whole_schema_is_used_as_it_is(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"x": TEXT}, "additionalProperties": False}
    assert load({"command": ["ls", "{x}"], "parameters": schema}, tmp_path).parameters == schema


def test_a_description_contains_everything_that_a_file_would_run() -> None:
    data = {
        "tool": [
            {
                "name": "a",
                "command": ["git", ["-n", "{n}"], "a b"],
                "effect": "read",
                "sandbox": "none",
                "env": {"KEY": "${MY_KEY}"},
            },
            {"name": "b", "http": {"url": "https://x.org", "private": True, "hosts": ["*"]}},
        ]
    }
    assert file_kind(data) == "command"
    assert (
        describe_tools(data)
        == """a (read): git -n {n} 'a b'
  sandbox: "none"
  env: {"KEY": "${MY_KEY}"}
b (network): GET https://x.org
  private: true
  hosts: ["*"]"""
    )


def test_a_command_can_be_cancelled(tmp_path: Path) -> None:
    tool = load({"command": ["sleep", "60"]}, tmp_path)
    assert tool.cancel is not None
    threading.Timer(0.2, tool.cancel).start()
    start = time.monotonic()
    with pytest.raises(ToolError, match="was killed"):
        run(tool)
    assert time.monotonic() - start < 5
