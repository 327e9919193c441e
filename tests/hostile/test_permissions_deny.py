"""Attempts to run a denied call in another spelling."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.hostile_calls import DENY_POLICY, TOOLS, runs
from xlam_local.permissions import AllowVerdict, DenyVerdict, parse
from xlam_local.permissions.approver import Approver
from xlam_local.types import (
    Effect,
    Tool,
    ToolCall,
)

REMOVALS: list[object] = [
    "rm -rf x",
    " rm x",
    "RM x",
    "/bin/rm x",
    "sh -c 'rm x'",
    "ls; rm x",
    "env rm x",
    'r""m x',
    "r\\m x",
    "rm\tx",
    "rm\u00a0x",
    "\uff52m x",
    "r\u200bm x",
    ["rm", "x"],
    ["sh", "-c", "rm x"],
]


DENIED: list[tuple[str, dict[str, Any]]] = [
    *(
        ("read", {"path": path})
        for path in [
            "secret/key",
            "./secret//key",
            "open/../secret/key",
            "open/way/key",
            "notes/key",
            "SECRET/key",
            "Secret/Key",
            "\uff53ecret/key",
            "secret",
            "notes/to-secret",
            "/proc/self/cwd/secret/../secret/key",
            ".",
            "{top}/secret/key",
            ["open/a", "secret/key"],
        ]
    ),
    ("read", {"options": {"file": "secret/key"}}),
    ("read", {"text": "key", "names": "*"}),
    ("read", {}),
    ("read_file", {"path": "{top}/secret/key"}),
    ("read_file", {"path": "secret/key"}),
    ("read_file", {"path": "~/secret"}),
    ("read_file", {"path": "file://{top}/secret/key"}),
    ("read_file", {"path": "{top}/%73ecret/key"}),
    ("run", {"command": "cat secret/key"}),
    *(
        ("fetch", {"url": url})
        for url in [
            "https://evil.com",
            "https://EVIL.com",
            "https://evil.com.",
            "https://www.evil.com/x",
            "https://user:pass@evil.com/",
            "https://good.org@evil.com",
            "https://evil\u3002com",
            "https://\uff45vil.com",
            "evil.com/x",
            "http://127.0.0.1",
            "http://127.1",
            "http://2130706433",
            "http://0x7f000001",
            "http://0x7f.0.0.1",
            "http://017700000001",
            "http://0177.0.0.1",
            "http://[::1]/",
            "http://[0:0:0:0:0:0:0:1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://169.254.169.254/latest/meta-data",
            "http://2852039166/",
            "http:\\\\evil.com\\x",
            "https://good.org\\@evil.com",
            "https://evil.com:443/",
            " https://evil.com",
            "https://evil.com\t",
            ["https://good.org", "https://evil.com"],
        ]
    ),
    ("fetch", {"request": {"url": "https://evil.com"}}),
    ("fetch", {"query": "no host at all"}),
    *(
        ("export", {"path": path})
        for path in [".env", "a/.env", "a/../.env", "x/.ENV", ".env/", "./.env", "a\u200b.env"]
    ),
    *(("run", {"command": command}) for command in REMOVALS),
    *(
        ("open", {"url": url})
        for url in [
            "https://bad.org/x",
            "HTTPS://BAD.org/x",
            "https://bad.org:443/x",
            "https://user@bad.org/x",
            "https://bad.org./x",
        ]
    ),
    *(
        ("send", {"to": to})
        for to in [
            "eve@evil.com",
            "Eve@Evil.com",
            "eve@evil.com ",
            "eve\u200b@evil.com",
            ["ann", "eve@evil.com"],
        ]
    ),
]


@pytest.mark.parametrize("command", REMOVALS)
def test_a_denied_command_within_another_is_denied(project: Path, command: object) -> None:
    text = """
        [[rule]]
        decision = "allow"
        [[rule]]
        decision = "deny"
        arguments = { command = "rm *" }
    """
    call = ToolCall("call_0", "run", {"command": command})
    approver = Approver(parse(text), project)
    assert isinstance(approver.verdict(TOOLS["run"], call, [], []), DenyVerdict)
    fine = ToolCall("call_0", "run", {"command": "ls farm x"})
    assert approver.verdict(TOOLS["run"], fine, [], []) == AllowVerdict()


def fill_in(value: Any, top: Path) -> Any:
    """Replace {top} by the project folder."""
    match value:
        case str():
            return value.replace("{top}", str(top))
        case list():
            return [fill_in(item, top) for item in value]
        case dict():
            return {key: fill_in(item, top) for key, item in value.items()}
    return value


@pytest.mark.parametrize(("name", "arguments"), DENIED)
def test_another_spelling_of_a_denied_call_does_not_run(
    project: Path, name: str, arguments: dict[str, Any]
) -> None:
    assert not runs(DENY_POLICY, project, name, fill_in(arguments, project))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("read", {"path": "open/a"}), ("fetch", {"url": "https://fine.org"}), ("save", {"path": "a"})],
)
def test_a_call_that_no_rule_denies_runs(
    project: Path, name: str, arguments: dict[str, Any]
) -> None:
    assert runs(DENY_POLICY, project, name, arguments)


@pytest.mark.parametrize(
    "name",
    [
        "delete_all",
        "Delete_All",
        "DELETE_ALL",
        "files_delete_all",
        "\uff44elete_all",
        "delete_all_",
    ],
)
def test_another_spelling_of_a_denied_tool_name_is_denied(project: Path, name: str) -> None:
    """Where names clash, a tool is called by its source as well; servers choose letters."""
    text = """
        [[rule]]
        decision = "allow"
        source = "*"
        [[rule]]
        decision = "deny"
        tool = "delete_*"
        source = "MCP: files"
    """
    tool = Tool(name, "", {}, Effect.WRITE, source="mcp: files")
    verdict = Approver(parse(text), project).verdict(tool, ToolCall("call_0", name, {}), [], [])
    assert isinstance(verdict, DenyVerdict)


@pytest.mark.parametrize(
    ("effect", "arguments"),
    [
        (Effect.WRITE, {"target": "secret/key"}),
        (Effect.WRITE, {"path": "open/a", "where": "open/way/key"}),
        (Effect.READ, {"what": ["open/a", "SECRET/key"]}),
        (Effect.NETWORK, {"url": "https://fine.org", "attach": "secret/key"}),
        (Effect.NETWORK, {"url": "https://fine.org", "relay": "evil.com"}),
        (Effect.NETWORK, {"url": "https://fine.org", "via": {"proxy": "127.1"}}),
    ],
)
def test_a_denied_path_or_host_is_found_in_any_argument(
    project: Path, effect: Effect, arguments: dict[str, Any]
) -> None:
    tool = Tool("do", "", {}, effect, source="mine")
    call = ToolCall("call_0", "do", arguments)
    assert Approver(parse(DENY_POLICY), project).verdict(tool, call, [], []) != AllowVerdict()


def test_matching_a_crafted_text_is_fast(project: Path) -> None:
    text = """
        [[rule]]
        decision = "allow"
        arguments = { command = "*a*b*c*d*e" }
        [[rule]]
        decision = "deny"
        arguments = { command = "*a*b*c*d*e" }
    """
    call = ToolCall("call_0", "run", {"command": "a b c d " * 2000})
    start = time.monotonic()
    assert Approver(parse(text), project).verdict(TOOLS["run"], call, [], []) != AllowVerdict()
    assert time.monotonic() - start < 2


def test_there_are_enough_attempts() -> None:
    assert len(DENIED) >= 70
