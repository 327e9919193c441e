"""Which calls run, which are asked for, which are refused."""

from __future__ import annotations

from .judge import Allow, Asks, Deny, Verdict, allowance, judge
from .remember import remember
from .rules import Allowance, Policy, Rule, parse
from .state import State
from .taint import carries, taint

__all__ = [
    "Allow",
    "Allowance",
    "Asks",
    "Deny",
    "Policy",
    "Rule",
    "State",
    "Verdict",
    "allowance",
    "carries",
    "judge",
    "parse",
    "remember",
    "taint",
]
