"""The results of a turn's earlier calls, with which repeated calls are answered."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

from ..types import ToolCall, ToolResult

ALREADY_KNOWN = "You already have the result of this call; use it. It is: "
NOT_RUN_AGAIN = "Not run: the same call a third time."


@dataclass(slots=True)
class EarlierResults:
    """Results that repeated calls would return again."""

    results: dict[tuple[str, str], ToolResult] = field(default_factory=dict)

    def repeat(self, call: ToolCall) -> ToolResult | None:
        """Return the answer to a call that repeats an earlier one; None if it must run."""
        earlier = self.results.get(signature(call))
        if earlier is None:
            return None
        return replace(earlier, call=call, output=ALREADY_KNOWN + earlier.output, skipped=True)

    def clear(self) -> None:
        """Forget all results: they may be outdated."""
        self.results.clear()

    def note(self, result: ToolResult) -> None:
        """Note the result of a call that ran."""
        if result.ok:
            self.results[signature(result.call)] = result


def signature(call: ToolCall) -> tuple[str, str]:
    """Return what identical calls have in common."""
    return call.name, json.dumps(call.arguments, sort_keys=True)
