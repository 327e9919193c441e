"""The exfiltration check: calls that could send out data that another tool has read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.fakes.policies import CONTEXT, FETCH, READ, RUN, SERVER, WRITE, decide, tool
from xlam_local.permissions import (
    AllowVerdict,
    AskVerdict,
    PolicyContext,
    grant_for_tool,
    taint,
)
from xlam_local.types import Effect, Sandbox, Tool, ToolCall, ToolResult


def results(*calls: tuple[str, dict[str, Any]]) -> list[ToolResult]:
    return [ToolResult(ToolCall("call_0", name, arguments), "…") for name, arguments in calls]


FILE = tool(Effect.READ, name="read_file")


ALLOW = '[[rule]]\ndecision = "allow"\nsource = "*"'


def tainted(
    *calls: tuple[str, dict[str, Any]], tools: tuple[Tool, ...] = (FILE, READ, RUN)
) -> PolicyContext:
    return replace(CONTEXT, taint=taint(results(*calls), tools))


def test_a_network_call_asks_again_after_a_file_was_read() -> None:
    verdict = decide(ALLOW, FETCH, {"url": "https://x.org"}, tainted(("read_file", {"path": "a"})))
    assert verdict == AskVerdict(
        "read_file has read a, and this call could send the data out.", tainted=True
    )


def test_a_call_that_asks_anyway_gives_both_reasons() -> None:
    verdict = decide("", FETCH, {}, tainted(("read_file", {"path": "a"})))
    assert isinstance(verdict, AskVerdict)
    assert verdict.reason.startswith("It uses the network. read_file has read a")


def test_a_deterministic_tool_taints_nothing() -> None:
    clock = Tool("clock", "", {}, Effect.READ, deterministic=True)
    context = tainted(("clock", {"place": "here"}), ("fetch", {}), tools=(clock, FETCH))
    assert decide(ALLOW, FETCH, {}, context) == AllowVerdict()
    assert isinstance(decide(ALLOW, FETCH, {}, tainted(("f", {}), tools=(READ,))), AskVerdict)


def test_a_refused_read_taints_nothing() -> None:
    call = ToolCall("call_0", "read_file", {"path": "a"})
    assert taint([ToolResult(call, "No.", ok=False, refused=True)], [FILE]) == {}


@pytest.mark.parametrize(
    ("used", "message"),
    [
        (FILE, "read_file may have read a"),
        (RUN, "f may have opened a"),
        (SERVER, "read_file of the MCP server 'files' may have returned data"),
    ],
)
def test_a_failed_call_can_have_read_a_file(used: Tool, message: str) -> None:
    call = ToolCall("call_0", used.name, {"path": "a"})
    failed = [ToolResult(call, "cat ended with exit code 1.\nsecret", ok=False)]
    verdict = decide(ALLOW, FETCH, {}, replace(CONTEXT, taint=taint(failed, [used])))
    assert verdict == AskVerdict(f"{message}, and this call could send the data out.", tainted=True)


def test_code_that_is_not_isolated_asks_after_another_tool_has_read() -> None:
    context = tainted(("read_file", {"path": "a"}))
    assert isinstance(decide(ALLOW, RUN, {}, context), AskVerdict)
    assert isinstance(decide(ALLOW, SERVER, {}, context), AskVerdict)
    isolated = Tool("f", "", {}, Effect.EXECUTE, sandbox=Sandbox.ISOLATED)
    assert decide(ALLOW, isolated, {}, context) == AllowVerdict()
    with_network = replace(isolated, network=True)
    assert isinstance(decide(ALLOW, with_network, {}, context), AskVerdict)
    declared_read_only = replace(with_network, effect=Effect.READ)
    assert isinstance(decide(ALLOW, declared_read_only, {}, context), AskVerdict)
    assert decide(ALLOW, WRITE, {"path": "b"}, context) == AllowVerdict()


def test_a_tool_does_not_ask_for_what_only_it_has_read() -> None:
    assert decide(ALLOW, RUN, {}, tainted(("f", {}), tools=(RUN,))) == AllowVerdict()
    assert isinstance(decide(ALLOW, FETCH, {}, tainted(("f", {}), tools=(RUN,))), AskVerdict)


def test_a_tool_that_is_no_longer_available_can_have_read_anything() -> None:
    assert isinstance(decide(ALLOW, FETCH, {}, tainted(("gone", {}), tools=())), AskVerdict)


def test_a_tainted_rule_or_grant_skips_the_check() -> None:
    context = tainted(("read_file", {"path": "a"}))
    assert decide(f"{ALLOW}\ntainted = true", FETCH, {}, context) == AllowVerdict()
    plain_grant = replace(context, session_grants=(grant_for_tool(FETCH, context, False),))
    assert isinstance(decide("", FETCH, {}, plain_grant), AskVerdict)
    tainted_grant = replace(context, session_grants=(grant_for_tool(FETCH, context, True),))
    assert decide("", FETCH, {}, tainted_grant) == AllowVerdict()


REMOTE = replace(CONTEXT, remote_host="gpu.example.com")


def test_a_model_on_another_machine_receives_what_tools_read() -> None:
    verdict = decide("", FILE, {"path": "a"}, REMOTE)
    assert verdict == AskVerdict(
        "It reads data that would be sent to gpu.example.com, where the model runs."
    )
    assert decide("", FILE, {"path": "a"}, CONTEXT) == AllowVerdict()


def test_what_is_not_private_may_go_to_the_model() -> None:
    for harmless in (replace(FILE, deterministic=True), replace(FILE, public=True)):
        assert decide("", harmless, {}, REMOTE) == AllowVerdict()


def test_rules_and_grants_allow_reading_for_a_model_on_another_machine() -> None:
    assert decide(ALLOW, FILE, {"path": "a"}, REMOTE) == AllowVerdict()
    grant = grant_for_tool(FILE, REMOTE, tainted=False)
    granted = replace(REMOTE, session_grants=(grant,))
    assert decide("", FILE, {"path": "a"}, granted) == AllowVerdict()
