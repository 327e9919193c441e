"""The results of a turn's earlier calls, with which repeated calls are answered."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

from ..types import ToolCall, ToolResult

ALREADY_KNOWN = "You already have the result of this call; use it. It is: "
NOT_RUN_AGAIN = "Not run: the same call a third time."
NOT_COMPLETE = "Not run: the calls were truncated at the token limit."
REFUSED_BEFORE = "Not run: the user refused this call before."


@dataclass(slots=True)
class EarlierResults:
    """Results that repeated calls would return again, refusals among them."""

    results: dict[tuple[str, str], ToolResult] = field(default_factory=dict)

    def repeat(self, call: ToolCall) -> ToolResult | None:
        """Return the answer to a call that repeats an earlier one; None if it must run."""
        earlier = self.results.get(signature(call))
        if earlier is None:
            return None
        if earlier.refused:
            return ToolResult(call, REFUSED_BEFORE, ok=False, skipped=True)
        return replace(earlier, call=call, output=ALREADY_KNOWN + earlier.output, skipped=True)

    def was_refused(self, call: ToolCall) -> bool:
        """Return whether the user refused an identical call."""
        earlier = self.results.get(signature(call))
        return earlier is not None and earlier.refused

    def clear(self) -> None:
        """Forget all results: they may be outdated."""
        self.results.clear()

    def note(self, result: ToolResult) -> None:
        """Note the result of a call that ran or was refused."""
        if result.ok or result.refused:
            self.results[signature(result.call)] = result


def signature(call: ToolCall) -> tuple[str, str]:
    """Return what identical calls have in common."""
    return call.name, json.dumps(call.arguments, sort_keys=True)
