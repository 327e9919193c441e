"""mcp.json is read in the formats of other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.mcp_servers import call, entry, running
from xlam_local.errors import ToolFileError
from xlam_local.tools.mcp.config import ServerConfig, load_servers

SERVER = {"command": "x", "args": ["a"]}


def servers(top: Path, text: str) -> list[ServerConfig]:
    path = top / "mcp.json"
    path.write_text(text, encoding="utf-8")
    return list(load_servers(path))


@pytest.mark.parametrize(
    "text",
    [
        '{"mcpServers": {"s": {"command": "x", "args": ["a"],}, }, }',
        '\ufeff{"servers": {"s": {"type": "stdio", "command": "x", "args": ["a"]}}, "inputs": []}',
        '// VS Code\n{"servers": /* all */ {"s": {"command": "x", // here\n "args": ["a"]}}}',
        '{"mcp": {"servers": {"s": {"command": "x", "args": ["a"]}}}}',
        '{"mcp": {"s": {"type": "local", "command": ["x", "a"], "enabled": true}}}',
        '{"context_servers": {"s": {"command": "x", "args": ["a"], "env": null}}}',
        '{"mcpServers": {"s": {"command": "x", "args": ["a"]}}, "servers": {}, "theme": "dark"}',
        '{"mcpServers": {}, "servers": {"s": {"command": "x", "args": ["a"]}}}',
    ],
)
def test_the_formats_of_other_programs_say_the_same(tmp_path: Path, text: str) -> None:
    (found,) = servers(tmp_path, text)
    assert (found.name, found.command, found.args, found.fault) == ("s", "x", ("a",), "")
    assert not found.disabled


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (
            {**SERVER, "env": {"PORT": 8080, "ON": True, "R": 0.5}},
            {"PORT": "8080", "ON": "true", "R": "0.5"},
        ),
        ({**SERVER, "environment": {"A": "b"}}, {"A": "b"}),
        ({**SERVER, "env": {"A": "${env:B:-c}"}}, {"A": "${env:B:-c}"}),
    ],
)
def test_the_environment_may_have_numbers_and_other_names(
    tmp_path: Path, item: Any, expected: dict[str, str]
) -> None:
    (found,) = servers(tmp_path, json.dumps({"mcpServers": {"s": item}}))
    assert (found.env, found.fault) == (expected, "")


def test_arguments_and_headers_may_be_numbers_and_addresses_have_other_names(
    tmp_path: Path,
) -> None:
    items = {
        "a": {"command": "x", "args": ["--port", 8080, False]},
        "b": {"serverUrl": "https://x.org", "headers": {"Version": 2}},
        "c": {"httpUrl": "https://y.org", "enabled": False},
        "d": {"type": "remote", "url": "https://z.org"},
    }
    a, b, c, d = servers(tmp_path, json.dumps({"mcpServers": items}))
    assert a.args == ("--port", "8080", "false")
    assert (b.url, b.headers) == ("https://x.org", {"Version": "2"})
    assert (c.url, c.disabled) == ("https://y.org", True)
    assert (d.url, d.fault) == ("https://z.org", "")


@pytest.mark.parametrize(
    ("item", "fault"),
    [
        ({**SERVER, "enabled": "false"}, "enabled must be true or false, not 'false'."),
        ({**SERVER, "disabled": True, "enabled": True}, "contradict each other; remove one."),
        ({**SERVER, "env": {"KEY": "secret", "B": None}}, "; 'B' is null."),
        ({**SERVER, "env": {"KEY": "secret", "A=B": "x"}}, "; 'A=B' is not a valid name."),
        ({**SERVER, "timeout": True}, "at most 3600, not true."),
        ({**SERVER, "disabled": []}, "disabled must be true or false"),
        ({**SERVER, "type": "http"}, "The type http needs url, but the entry has command."),
        (
            {"url": "https://x.org", "type": "stdio"},
            "The type stdio needs command, but the entry has url.",
        ),
        ({"url": "https://x.org", "transport": "sse"}, "The transport sse is not supported"),
        ({"comand": "x"}, "Exactly one of command and url is required; the keys are comand."),
        ({}, "Exactly one of command and url is required; the keys are none."),
    ],
)
def test_the_fault_of_an_entry_is_named_without_its_secrets(
    tmp_path: Path, item: Any, fault: str
) -> None:
    (found,) = servers(tmp_path, json.dumps({"mcpServers": {"s": item}}))
    assert found.fault.endswith(fault) or fault in found.fault
    assert "secret" not in found.fault
    assert not found.disabled


@pytest.mark.parametrize(
    "item",
    [
        {**SERVER, "isActive": False},
        {**SERVER, "active": False},
        {"disabled": True},
        {**SERVER, "env": {"A": "${input:key}"}, "enabled": False},
    ],
)
def test_an_entry_that_is_turned_off_is_off_even_with_a_fault(tmp_path: Path, item: Any) -> None:
    (found,) = servers(tmp_path, json.dumps({"mcpServers": {"s": item}}))
    assert found.disabled


@pytest.mark.parametrize(
    ("item", "notices"),
    [
        (
            {**SERVER, "transport": "stdio", "headers": {"A": "b"}},
            "headers has no effect beside command.",
        ),
        (
            {"url": " https://x.org ", "transport": "streamable_http", "env": {"A": "b"}},
            "env has no effect beside url.",
        ),
        (
            {"url": "https://x.org", "cwd": "/x", "headers": {}, "args": []},
            "cwd has no effect beside url.",
        ),
    ],
)
def test_keys_of_the_other_transport_are_named(tmp_path: Path, item: Any, notices: str) -> None:
    (found,) = servers(tmp_path, json.dumps({"mcpServers": {"s": item}}))
    assert (found.notices, found.unknown_keys, found.fault) == ((notices,), (), "")
    assert found.url == found.url.strip()


@pytest.mark.parametrize(
    "text",
    [
        *("$KEY", "{env:KEY}", "%KEY%", "$env:KEY", "{{KEY}}", "{{ env.KEY }}"),
        *("Bearer $KEY", "https://x.org/{env:KEY}/a", "%KEY%\\a", "--key=$KEY"),
    ],
)
def test_what_only_looks_like_a_variable_is_passed_as_it_is_with_a_notice(
    tmp_path: Path, text: str
) -> None:
    item = {**SERVER, "env": {"A": text, "B": "pa$$word"}}
    (found,) = servers(tmp_path, json.dumps({"mcpServers": {"s": item}}))
    assert (found.env["A"], found.fault) == (text, "")
    assert found.notices == (f"env: {text} is passed as it is; write ${{KEY}} for the variable.",)


def test_a_comment_within_a_string_is_text(tmp_path: Path) -> None:
    text = (
        '{"mcpServers": {"s": {"url": "https://x.org/*a*/", "headers": {"A": "b,}", "C": "//d"}}}}'
    )
    (found,) = servers(tmp_path, text)
    assert found.url == "https://x.org/*a*/"
    assert found.headers == {"A": "b,}", "C": "//d"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"server": {}}', 'no object "mcpServers" or "servers"; its keys are server'),
        ('{"mcpServers": [1]}', 'no object "mcpServers"'),
        ("{/* open", "is not valid JSON"),
        ('{"mcpServers": {"a": {"command" "x"}}}', "line 1, column 33"),
        (
            '{"mcpServers": {"a": {"command": "x"}}, "servers": {"a": {"command": "y"}}}',
            "two different",
        ),
    ],
)
def test_a_file_without_servers_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ToolFileError, match=message):
        servers(tmp_path, text)


def test_a_variable_of_the_user_reaches_the_server_in_the_form_of_vs_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "secret")
    with running(tmp_path, env={"KEY": "${env:MY_TOKEN}", "PORT": 80}) as found:
        seen = json.loads(str(call(found, "environment")))
    assert (seen["KEY"], seen["PORT"]) == ("secret", "80")
    assert entry()["command"]
