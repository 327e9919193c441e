"""A user who answers approval requests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.fakes.fake_engine import Scripted
from xlam_local.permissions.approver import Approver
from xlam_local.session import Session
from xlam_local.types import ApprovalRequest, Decision, Tool, ToolResult


class FakeUser:
    """Gives scripted answers to approval requests, and keeps the requests."""

    def __init__(self, *answers: Decision) -> None:
        self.answers = list(answers)
        self.requests: list[ApprovalRequest] = []

    def __call__(self, request: ApprovalRequest) -> Decision:
        self.requests.append(request)
        return self.answers.pop(0)


def scripted_call(name: str, **arguments: Any) -> list[str]:
    """Return a scripted reply that calls a tool."""
    return [json.dumps([{"name": name, "arguments": arguments}])]


def call_results(
    approver: Approver, user: FakeUser, *calls: list[str], tools: Sequence[Tool]
) -> list[ToolResult]:
    """Return the results of the calls that a model makes in a session."""
    session = Session(Scripted(*calls, ["Done."]), tools, user, approver=approver)
    session.ask("Go.")
    return [message for message in session.messages if isinstance(message, ToolResult)]
