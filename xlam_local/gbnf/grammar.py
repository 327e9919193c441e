"""The grammar: named rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..regular.nodes import Node

CallCount = Literal["none", "one", "many"]


@dataclass(frozen=True, slots=True)
class Grammar:
    """Named rules; the first one is the start."""

    rules: Mapping[str, Node]
    comments: Mapping[str, str] = field(default_factory=dict)
    """A comment for each rule that has one, by the rule's name."""
    json_schema: Mapping[str, Any] | None = field(default=None, compare=False)
    """A JSON Schema of the same texts, for servers that take no grammar; it may allow more."""
    call_count: CallCount = field(default="none", compare=False)
    """How many calls its texts list. "none" also means that they are not lists of calls."""
