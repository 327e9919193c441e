"""Attempts to use a grant for another call, to lift a sandbox level and to send data out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.hostile_calls import ALLOW_POLICY, DENY_POLICY, TOOLS
from xlam_local.permissions import AllowVerdict, DenyVerdict, parse
from xlam_local.permissions.approver import Approver
from xlam_local.types import (
    AllowAlways,
    AllowOnce,
    Deny,
    Effect,
    Sandbox,
    Tool,
    ToolCall,
    ToolResult,
)


def is_allowed(approver: Approver, tool: Tool, arguments: dict[str, Any], *answers: Any) -> bool:
    """Return whether a call runs if the user gives these answers and then denies."""
    remaining = [*answers, Deny()]
    call = ToolCall("call_0", tool.name, arguments)
    decision = approver.decide(tool, call, [], list(TOOLS.values()), lambda _: remaining.pop(0))
    return isinstance(decision, AllowOnce | AllowAlways)


OTHER_CALLS: list[dict[str, Any]] = [
    {"command": "make test; rm x"},
    {"command": "make test "},
    {"command": "make  test"},
    {"command": "Make test"},
    {"command": "make test", "cwd": "/"},
    {"command": ["make test"]},
    {"command": ["make", "test"]},
    {"Command": "make test"},
    {"command": "make test\u200b"},
    {},
]


@pytest.mark.parametrize("arguments", OTHER_CALLS)
def test_a_grant_for_one_call_covers_no_other_call(
    project: Path, arguments: dict[str, Any]
) -> None:
    approver = Approver(cwd=project)
    assert is_allowed(
        approver, TOOLS["run"], {"command": "make test"}, AllowAlways(exact_arguments=True)
    )
    assert is_allowed(approver, TOOLS["run"], {"command": "make test"})
    assert not is_allowed(approver, TOOLS["run"], arguments)


@pytest.mark.parametrize(
    "other",
    [
        Tool("run", "", {}, Effect.EXECUTE, source="mcp: evil"),
        Tool("run", "", {}, Effect.EXECUTE, source="my_tools"),
        Tool("run", "", {}, Effect.EXECUTE),
        Tool("Run", "", {}, Effect.EXECUTE, source="built-in"),
        Tool("run ", "", {}, Effect.EXECUTE, source="built-in"),
        Tool("r\u200bun", "", {}, Effect.EXECUTE, source="built-in"),
        Tool("run2", "", {}, Effect.EXECUTE, source="built-in"),
    ],
)
def test_a_grant_for_one_tool_covers_no_other_tool(project: Path, other: Tool) -> None:
    approver = Approver(cwd=project)
    assert is_allowed(approver, TOOLS["run"], {}, AllowAlways())
    assert not is_allowed(approver, other, {})


def test_allow_once_covers_one_call(project: Path) -> None:
    approver = Approver(cwd=project)
    assert is_allowed(approver, TOOLS["run"], {"command": "x"}, AllowOnce())
    assert not is_allowed(approver, TOOLS["run"], {"command": "x"})


def test_a_saved_grant_for_a_call_holds_only_in_its_folder(project: Path, tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    first = Approver.open(path, project)
    assert is_allowed(
        first, TOOLS["save"], {"path": "a"}, AllowAlways(exact_arguments=True, permanent=True)
    )
    (tmp_path / "other").mkdir()
    assert is_allowed(Approver.open(path, project), TOOLS["save"], {"path": "a"})
    assert not is_allowed(Approver.open(path, tmp_path / "other"), TOOLS["save"], {"path": "a"})


@pytest.mark.parametrize(
    "name", ['x"\n[[rule]]\ndecision = "allow"\n#', "x'''", 'x"""', "\x00", "x\\", "\u2028[[rule]]"]
)
def test_a_tool_name_cannot_inject_a_rule(project: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "policy.toml"
    tool = Tool(name, "", {}, Effect.EXECUTE, source=name)
    assert is_allowed(
        Approver.open(path, project),
        tool,
        {name: name},
        AllowAlways(exact_arguments=True, permanent=True),
    )
    kept = Approver.open(path, project).policy
    assert kept.rules == ()
    assert [one.tool for one in kept.grants] == [name]


def test_a_link_changed_after_a_grant_asks(project: Path) -> None:
    approver = Approver(cwd=project)
    link = project / "link"
    link.symlink_to(project / "notes")
    assert is_allowed(
        approver, TOOLS["save"], {"path": "link/a"}, AllowAlways(exact_arguments=True)
    )
    link.unlink()
    link.symlink_to("/etc")
    assert not is_allowed(approver, TOOLS["save"], {"path": "link/a"})


def test_an_allowed_folder_replaced_by_a_link_asks(project: Path) -> None:
    approver = Approver(parse(ALLOW_POLICY), project)
    assert is_allowed(approver, TOOLS["save"], {"path": "notes/deep/a"})
    (project / "notes").rename(project / "was-notes")
    (project / "notes").mkdir()
    (project / "notes" / "deep").symlink_to("/etc")
    assert not is_allowed(approver, TOOLS["save"], {"path": "notes/deep/a"})


# Sandbox levels


@pytest.mark.parametrize("level", ["limits", "isolated"])
@pytest.mark.parametrize("name", ["run", "read_file"])
def test_a_grant_does_not_lift_a_required_sandbox_level(
    project: Path, level: str, name: str
) -> None:
    approver = Approver(parse(f'sandbox = "{level}"\n{DENY_POLICY}'), project)
    approver.allow(TOOLS[name])
    call = ToolCall("call_0", name, {"path": str(project / "open")})
    assert isinstance(approver.verdict(TOOLS[name], call, [], []), DenyVerdict)


def test_a_weaker_sandbox_level_is_denied(project: Path) -> None:
    limits = Tool("run", "", {}, Effect.EXECUTE, sandbox=Sandbox.LIMITS)
    approver = Approver(parse('sandbox = "isolated"'), project)
    assert isinstance(approver.verdict(limits, ToolCall("c", "run", {}), [], []), DenyVerdict)


# Exfiltration


def read(name: str, **arguments: Any) -> ToolResult:
    return ToolResult(ToolCall("call_0", name, arguments), "secret")


@pytest.mark.parametrize("name", ["fetch", "open", "send", "run"])
@pytest.mark.parametrize(
    "before",
    [
        read("read", path="open/a"),
        read("read"),
        read("read_file", path="/x"),
        read("export", path="a"),
        read("gone"),
    ],
)
def test_an_allowed_call_asks_again_after_a_file_was_read(
    project: Path, name: str, before: ToolResult
) -> None:
    approver = Approver(parse('[[rule]]\ndecision = "allow"\nsource = "*"'), project)
    approver.allow(TOOLS[name])
    call = ToolCall("call_1", name, {"url": "https://fine.org"})
    tools = list(TOOLS.values())
    assert approver.verdict(TOOLS[name], call, [], tools) == AllowVerdict()
    assert approver.verdict(TOOLS[name], call, [before], tools) != AllowVerdict()
