"""The verdict of a policy on a call: default policy, rule order, sandbox levels, grants."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.policies import CONTEXT, READ, RUN, WRITE, decide, tool
from xlam_local.permissions import (
    AllowVerdict,
    AskVerdict,
    DenyVerdict,
    grant_for_call,
    grant_for_tool,
)
from xlam_local.types import Effect, Sandbox, Tool, ToolCall


def test_reading_inside_the_working_folder_is_allowed() -> None:
    assert decide("", READ, {"path": "a/b.txt"}) == AllowVerdict()
    assert decide("", READ) == AllowVerdict()


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x"])
def test_reading_outside_the_working_folder_asks_and_says_where(path: str) -> None:
    verdict = decide("", READ, {"path": path})
    assert isinstance(verdict, AskVerdict)
    assert "outside the working folder" in verdict.reason


@pytest.mark.parametrize(
    "path", ["~/.local/id", "~root/x", "$HOME/x", "a/%2e%2e/x", "file:///etc/x"]
)
def test_a_path_that_a_tool_may_expand_asks(path: str) -> None:
    used = Tool("f", "", {}, Effect.READ, file="/tools/a.py")
    verdict = decide("", used, {"path": path})
    assert isinstance(verdict, AskVerdict)
    assert verdict.reason.endswith("may be outside the working folder.")
    assert decide("", READ, {"path": path}) == AllowVerdict()
    for inside in ("a/b", "./a/../b~", "*.py"):
        assert decide("", used, {"path": inside}) == AllowVerdict()


@pytest.mark.parametrize("effect", [Effect.WRITE, Effect.EXECUTE, Effect.NETWORK])
def test_every_other_effect_asks(effect: Effect) -> None:
    assert isinstance(decide("", tool(effect), {"path": "a"}), AskVerdict)


def test_a_read_only_tool_of_a_server_asks() -> None:
    verdict = decide("", tool(Effect.READ, "mcp: files"))
    assert isinstance(verdict, AskVerdict)
    assert "MCP server 'files' declares this tool read-only" in verdict.reason


# Rules


def test_the_last_rule_that_matches_wins() -> None:
    text = """
        [[rule]]
        decision = "allow"
        effect = "write"
        [[rule]]
        decision = "deny"
        tool = "f"
        reason = "Not this tool."
    """
    assert decide(text, WRITE) == DenyVerdict("Not this tool.")
    assert decide(text, tool(Effect.WRITE, name="g")) == AllowVerdict()
    other = """
        [[rule]]
        decision = "deny"
        tool = "f"
        [[rule]]
        decision = "allow"
        effect = "write"
    """
    assert decide(other, WRITE) == AllowVerdict()


def test_a_denial_without_a_reason_names_its_rule() -> None:
    assert decide('[[rule]]\ndecision = "deny"', READ) == DenyVerdict(
        "Rule 1 of the policy denies this call."
    )


def test_a_rule_can_ask_for_what_the_default_policy_allows() -> None:
    assert isinstance(decide('[[rule]]\ndecision = "ask"\ntool = ["f", "g"]', READ), AskVerdict)


def test_a_rule_in_doubt_does_not_weaken_an_earlier_denial() -> None:
    text = """
        [[rule]]
        decision = "deny"
        tool = "f"
        [[rule]]
        decision = "deny"
        path = "~/.ssh"
    """
    assert decide(text, RUN, {"command": "ls"}) == DenyVerdict(
        "Rule 1 of the policy denies this call."
    )
    context = replace(CONTEXT, session_grants=(grant_for_tool(RUN, CONTEXT, False),))
    assert isinstance(decide(text, RUN, {"command": "ls"}, context), DenyVerdict)
    other = tool(Effect.EXECUTE, name="g")
    assert isinstance(decide(text, other, {"command": "ls"}), AskVerdict)


def test_a_rule_in_doubt_does_not_lift_a_required_sandbox() -> None:
    text = """
        [[rule]]
        decision = "allow"
        sandbox = "isolated"
        [[rule]]
        decision = "deny"
        path = "~/.ssh"
        reason = "Keys are private."
    """
    isolated = Tool("f", "", {}, Effect.EXECUTE, sandbox=Sandbox.ISOLATED)
    assert isinstance(decide(text, RUN, {"command": "ls"}), DenyVerdict)
    assert decide(text, isolated, {"command": "ls"}) == AskVerdict(
        "Rule 2 of the policy may apply; the call's arguments do not show it. Keys are private."
    )


# Sandbox levels


def test_a_tool_below_the_required_sandbox_level_is_denied() -> None:
    isolated = Tool("f", "", {}, Effect.EXECUTE, sandbox=Sandbox.ISOLATED)
    text = 'sandbox = "limits"\n[[rule]]\ndecision = "allow"'
    assert decide(text, RUN) == DenyVerdict(
        "The policy requires sandbox level 'limits'; the tool f runs at level 'none'."
    )
    assert decide(text, isolated) == AllowVerdict()
    assert decide(text, READ) == AllowVerdict()
    for_one_rule = '[[rule]]\ndecision = "allow"\nsandbox = "isolated"'
    assert isinstance(decide(for_one_rule, RUN), DenyVerdict)


@pytest.mark.parametrize(
    ("level", "effect", "file", "expected"),
    [
        (Sandbox.LIMITS, Effect.READ, "/tools/a.py", DenyVerdict),
        (Sandbox.NONE, Effect.READ, "/tools/a.toml", DenyVerdict),
        (Sandbox.LIMITS, Effect.NETWORK, "/tools/a.py", DenyVerdict),
        (Sandbox.ISOLATED, Effect.READ, "/tools/a.py", AllowVerdict),
        (Sandbox.NONE, Effect.NETWORK, "/tools/request.toml", AskVerdict),
        (Sandbox.NONE, Effect.READ, "", AllowVerdict),
    ],
)
def test_the_sandbox_level_for_all_code_ignores_the_declared_effect(
    level: Sandbox, effect: Effect, file: str, expected: type
) -> None:
    used = Tool("f", "", {}, effect, sandbox=level, file=file)
    assert isinstance(decide('sandbox = "isolated"', used), expected)


# Grants


def test_a_grant_for_a_tool_covers_all_its_calls() -> None:
    context = replace(CONTEXT, session_grants=(grant_for_tool(RUN, CONTEXT, False),))
    assert decide("", RUN, {"command": "x"}, context) == AllowVerdict()
    assert isinstance(decide("", tool(source="mcp: x"), {}, context), AskVerdict)
    assert isinstance(decide('[[rule]]\ndecision = "deny"', RUN, {}, context), DenyVerdict)


def test_a_grant_for_a_call_covers_no_other_call() -> None:
    call = ToolCall("call_0", "f", {"a": 1, "path": "x"})
    context = replace(CONTEXT, session_grants=(grant_for_call(WRITE, call, CONTEXT, False),))
    assert decide("", WRITE, {"path": "x", "a": 1}, context) == AllowVerdict()
    for other in ({"a": 1}, {"a": 1.0, "path": "x"}, {"a": True, "path": "x"}, {"path": "x"}):
        assert isinstance(decide("", WRITE, other, context), AskVerdict)
    elsewhere = replace(context, cwd=Path("/home/u/other"))
    assert isinstance(decide("", WRITE, {"path": "x", "a": 1}, elsewhere), AskVerdict)
