"""What keeps a turn from going on and on: the model is told first, then the turn ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from .types import Reason

MOST_REPEATS = 3
"""How often the same calls, or the same error, come in a turn before it ends."""
WARN_AT = 0.75
"""The share of a budget after which the model is told that it comes to its end."""
ENDING = "This turn has nearly used up what it may take. Answer with what you know."


@dataclass(frozen=True, slots=True)
class Spent:
    """What a turn has taken so far."""

    replies: int = 0
    seconds: float = 0.0
    tokens: int = 0


@dataclass(slots=True)
class Guards:
    """What one turn may take, and what came of it so far."""

    replies: int
    seconds: float | None = None
    tokens: int | None = None
    made: Counter[Hashable] = field(default_factory=Counter)
    """How often each set of calls was made."""
    failed: Counter[str] = field(default_factory=Counter)
    """After how many replies each error came."""
    told: set[str] = field(default_factory=set)
    """What the model was told already."""
    until: float = 1.0
    """The share of a budget at which the turn ends; more than all where the model was told late."""

    def calls(self, said: Hashable) -> Reason | None:
        """Count the calls of a reply; a reason if they come too often."""
        self.made[said] += 1
        return "loop" if self.made[said] >= MOST_REPEATS else None

    def errors(self, outputs: Iterable[str]) -> Reason | None:
        """Count the errors after a reply; a reason if one comes too often."""
        for output in set(outputs):
            self.failed[output] += 1
        return "errors" if max(self.failed.values(), default=0) >= MOST_REPEATS else None

    def over(self, spent: Spent) -> Reason | None:
        """Why the turn cannot have another reply; one that was not told yet is told first."""
        if spent.replies >= self.replies:
            return "steps"
        return self.spent(spent) if ENDING in self.told else None

    def spent(self, spent: Spent) -> Reason | None:
        """Which budget is used up."""
        if _share(spent.seconds, self.seconds) >= self.until:
            return "time"
        return "tokens" if _share(spent.tokens, self.tokens) >= self.until else None

    def warnings(self, spent: Spent) -> list[str]:
        """What the model has to be told before its next reply, each once in a turn."""
        new = [words for words in self._due(spent) if words not in self.told]
        if ENDING in new:
            used = max(_share(spent.seconds, self.seconds), _share(spent.tokens, self.tokens))
            self.until = used + 1 - WARN_AT if used >= 1 else 1.0
        self.told.update(new)
        return new

    def _due(self, spent: Spent) -> Iterable[str]:
        if max(self.made.values(), default=0) == MOST_REPEATS - 1:
            yield "You have made the same call twice. Make another one, or answer."
        if max(self.failed.values(), default=0) == MOST_REPEATS - 1:
            yield "The same error came twice. Try something else, or answer with what you know."
        if self.replies > 1 and spent.replies == self.replies - 1:
            yield "This is the last reply of this turn. Answer with what you know."
        used = max(_share(spent.seconds, self.seconds), _share(spent.tokens, self.tokens))
        if used >= WARN_AT:
            yield ENDING


def _share(taken: float, most: float | None) -> float:
    return taken / most if most else 0.0
