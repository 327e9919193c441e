from __future__ import annotations

import click
import pytest

from tests.fakes.fake_engine import Scripted
from tests.fakes.turns import ADD_2_3, PARAMETERS
from xlam_local.cli.ask import TOOL_FAILED, TOOL_REFUSED, approve_on_terminal, exit_code
from xlam_local.errors import ToolError
from xlam_local.session import Session
from xlam_local.types import (
    AllowAlways,
    AllowOnce,
    ApprovalRequest,
    Decision,
    Deny,
    Effect,
    Tool,
    ToolCall,
)

WRITE = Tool("add", "Add.", PARAMETERS, Effect.WRITE, lambda a, b: a + b)
REQUEST = ApprovalRequest(WRITE, ToolCall("call_0", "add", {"a": 2}), "It writes.", "+ a\x1b[2J")


def test_a_call_is_denied_without_a_terminal() -> None:
    decision = approve_on_terminal(REQUEST)
    assert isinstance(decision, Deny)
    assert "--allow add" in decision.reason


@pytest.mark.parametrize(
    ("answer", "decision"),
    [
        ("y", AllowOnce()),
        ("c", AllowAlways(exact_arguments=True)),
        ("t", AllowAlways()),
        ("C", AllowAlways(exact_arguments=True, permanent=True)),
        ("T", AllowAlways(permanent=True)),
        ("n", Deny()),
        ("yes please", Deny()),
    ],
)
def test_the_user_answers_on_the_terminal(
    answer: str,
    decision: Decision,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr(click, "prompt", lambda *_args, **_options: answer)
    assert approve_on_terminal(REQUEST) == decision
    printed = capsys.readouterr()
    assert printed.out == ""
    assert 'add (write, sandbox none) {"a": 2}' in printed.err
    assert "+ a\\u001b[2J" in printed.err
    assert "It writes." in printed.err


def fail(a: int, b: int) -> None:
    raise ToolError("The disk is full.")


def test_the_exit_code_says_whether_a_tool_was_refused_or_failed() -> None:
    codes = []
    for tool in (WRITE, Tool("add", "Add.", PARAMETERS, Effect.READ, fail)):
        session = Session(Scripted(ADD_2_3, ["No."]), [tool])
        session.ask("2 + 3?")
        codes.append(exit_code(session.messages))
    assert codes == [TOOL_REFUSED, TOOL_FAILED]
