"""Limits of a turn: repetition, replies, time and tokens. The model is warned before the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..types import FinishReason, Message, UserMessage

MAX_REPETITIONS = 3
"""A turn ends when the same calls, or the same error, occur this often."""
LAST_REPLY = (
    "Do not call tools any more. Tell the user the answer in a sentence, with the results above."
)
"""What the model reads after a limit. Small models repeat a text that does not ask for one."""
MAX_QUOTED_CHARS = 500
"""The longest request that is quoted before `LAST_REPLY`."""
LAST_REPLY_TOKENS = 512
"""The maximum length of the reply after a limit was reached."""
LIMIT_NOTICES: Mapping[FinishReason, str] = {
    "loop": "The model repeated the same tool calls.",
    "repeated_error": "The same error occurred three times.",
    "max_steps": "The turn reached its maximum number of replies.",
    "timeout": "The turn reached its time limit.",
    "token_budget": "The turn used its token budget.",
    "length": "The calls of a reply were truncated at the token limit.",
}
"""The limits after which the model gets one last reply without calls, as notices to the user.

"length" is one only after earlier results.
"""
WARNING_SHARE = 0.75
"""The model is warned when it has used this share of the time or token budget."""
BUDGET_WARNING = "The budget of this turn is nearly used up. Answer with what you know."


def last_reply_request(messages: Sequence[Message]) -> str:
    """Return what the model reads after a limit: `LAST_REPLY`, after the user's request if short.

    Without the request, small models often tell only the last result, even if it is a refusal.
    """
    request = next((one.text for one in reversed(messages) if isinstance(one, UserMessage)), "")
    quoted = f"The question was: {request}\n" if 0 < len(request) <= MAX_QUOTED_CHARS else ""
    return quoted + LAST_REPLY


@dataclass(frozen=True, slots=True)
class TurnUsage:
    """What a turn has used so far."""

    replies: int = 0
    seconds: float = 0.0
    tokens: int = 0


@dataclass(slots=True)
class TurnLimits:
    """The limits of one turn, and what it has done so far."""

    max_replies: int
    max_seconds: float | None = None
    max_tokens: int | None = None
    call_counts: Counter[tuple[Hashable, bool]] = field(default_factory=Counter)
    """How often each set of calls was made, and whether it only reads."""
    error_counts: Counter[str] = field(default_factory=Counter)
    """After how many replies each error occurred."""
    warned: set[str] = field(default_factory=set)
    """The warnings that the model has read."""
    end_share: float = 1.0
    """The share of a budget at which the turn ends; over 1 if the warning came too late."""

    def note_calls(self, signature: Hashable, read_only: bool) -> bool:
        """Count the calls of a reply; return whether they are repeated too often."""
        key = (signature, read_only)
        self.call_counts[key] += 1
        return self.call_counts[key] >= MAX_REPETITIONS

    def note_change(self) -> None:
        """Count calls that only read from the start: they may have other results now."""
        for key in [key for key in self.call_counts if key[1]]:
            del self.call_counts[key]

    def note_errors(self, errors: Iterable[str]) -> FinishReason | None:
        """Count the errors of a reply; return "repeated_error" if one occurs too often."""
        self.error_counts.update(set(errors))
        return "repeated_error" if _highest(self.error_counts) >= MAX_REPETITIONS else None

    def reached(self, usage: TurnUsage) -> FinishReason | None:
        """Return the limit that forbids another reply; budgets count only after their warning."""
        if usage.replies >= self.max_replies:
            return "max_steps"
        return self.exhausted(usage) if BUDGET_WARNING in self.warned else None

    def exhausted(self, usage: TurnUsage) -> FinishReason | None:
        """Return the budget that is used up."""
        if _share(usage.seconds, self.max_seconds) >= self.end_share:
            return "timeout"
        if _share(usage.tokens, self.max_tokens) >= self.end_share:
            return "token_budget"
        return None

    def warnings(self, usage: TurnUsage) -> list[str]:
        """Return the warnings for the model before its next reply, each once in a turn."""
        new = [warning for warning in self._due(usage) if warning not in self.warned]
        if BUDGET_WARNING in new:
            share = self._used_share(usage)
            self.end_share = share + 1 - WARNING_SHARE if share >= 1 else 1.0
        self.warned.update(new)
        return new

    def _due(self, usage: TurnUsage) -> Iterable[str]:
        if _highest(self.error_counts) == MAX_REPETITIONS - 1:
            yield (
                "Do not make this call again. Make another call, or tell the user the answer in a "
                "sentence, with the results above."
            )
        if self._used_share(usage) >= WARNING_SHARE:
            yield BUDGET_WARNING

    def _used_share(self, usage: TurnUsage) -> float:
        return max(_share(usage.seconds, self.max_seconds), _share(usage.tokens, self.max_tokens))


def _share(used: float, budget: float | None) -> float:
    return used / budget if budget else 0.0


def _highest(counts: Mapping[Any, int]) -> int:
    return max(counts.values(), default=0)
