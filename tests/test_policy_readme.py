"""The README's examples of a policy and of MCP servers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from xlam_local.consent import Consent
from xlam_local.policy import Allow, Asks, Deny, parse
from xlam_local.tools.mcp.entries import entry
from xlam_local.types import Effect, Sandbox, Tool, ToolCall

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
(POLICY,) = (text for text in BLOCKS if "[[rule]]" in text)
(SERVERS,) = re.findall(r"```json\n(.*?)```", README, re.DOTALL)


def tool(name: str, effect: Effect, source: str = "built-in", **more: Any) -> Tool:
    return Tool(name, "", {}, effect, source=source, **more)


READ = tool("read_file", Effect.READ)
RUN = tool("run_command", Effect.EXECUTE, sandbox=Sandbox.ISOLATED)
FETCH = tool("fetch_page", Effect.NETWORK)
FILES = tool("list_directory", Effect.READ, "mcp: files")
HOME = Path.home()


@pytest.mark.parametrize(
    ("used", "arguments", "expected"),
    [
        (READ, {"path": "a"}, Allow),
        (READ, {"path": f"{HOME}/notes/a"}, Allow),
        (READ, {"path": "/etc/passwd"}, Asks),
        (READ, {"path": f"{HOME}/.ssh/id"}, Deny),
        (RUN, {"command": "git push"}, Asks),
        (tool("run_command", Effect.EXECUTE), {"command": "git push"}, Asks),
        (FETCH, {"url": "http://2852039166/"}, Deny),
        (FETCH, {"url": "https://a.evil.com"}, Deny),
        (FETCH, {"url": "https://example.org"}, Asks),
        (tool("x", Effect.READ, "mcp: other"), {"path": "/x"}, Asks),
    ],
)
def test_its_policy_is_one(
    tmp_path: Path, used: Tool, arguments: dict[str, Any], expected: type
) -> None:
    consent = Consent(parse(POLICY), tmp_path)
    call = ToolCall("call_0", used.name, arguments)
    assert isinstance(consent.verdict(used, call, [], []), expected)


@pytest.mark.parametrize(
    ("used", "arguments"), [(RUN, {"command": "git status"}), (FILES, {"path": "/x"})]
)
def test_its_allowances_hold_without_its_denials(
    tmp_path: Path, used: Tool, arguments: dict[str, Any]
) -> None:
    allows = POLICY[: POLICY.index('[[rule]]\ndecision = "deny"')]
    call = ToolCall("call_0", used.name, arguments)
    assert Consent(parse(allows), tmp_path).verdict(used, call, [], []) == Allow()


def test_a_command_that_is_not_isolated_is_refused_there(tmp_path: Path) -> None:
    allows = POLICY[: POLICY.index('[[rule]]\ndecision = "deny"')]
    call = ToolCall("call_0", "run_command", {"command": "git status"})
    loose = tool("run_command", Effect.EXECUTE, sandbox=Sandbox.LIMITS)
    assert isinstance(Consent(parse(allows), tmp_path).verdict(loose, call, [], []), Deny)


def test_its_servers_are_some() -> None:
    found = [entry(name, item) for name, item in json.loads(SERVERS)["mcpServers"].items()]
    assert [(one.name, one.fault, one.unknown) for one in found] == [
        ("files", "", ()),
        ("issues", "", ()),
    ]
