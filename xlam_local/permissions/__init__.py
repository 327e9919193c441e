"""Permissions: which tool calls run, which need approval and which are denied.

Everything here is pure logic except `approver`, which reads and writes policy.toml.
"""

from __future__ import annotations

from .context import PolicyContext
from .evaluate import (
    AllowVerdict,
    AskVerdict,
    DenyVerdict,
    Verdict,
    evaluate,
    grant_for_call,
    grant_for_tool,
)
from .rules import Grant, Policy, Rule, parse
from .save import add_grant
from .taint import can_exfiltrate, taint

__all__ = [
    "AllowVerdict",
    "AskVerdict",
    "DenyVerdict",
    "Grant",
    "Policy",
    "PolicyContext",
    "Rule",
    "Verdict",
    "add_grant",
    "can_exfiltrate",
    "evaluate",
    "grant_for_call",
    "grant_for_tool",
    "parse",
    "taint",
]
