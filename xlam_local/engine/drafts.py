"""Tokens guessed from what stands before, read together with one that is sure."""

from __future__ import annotations

import time
from collections.abc import Sequence

from .constraint import Constraint
from .llama import Context, Logits

MOST = 8
"""The most tokens guessed at once."""
KEY = 2
"""Tokens that have to be the same for what followed them to be guessed again."""
HOPE = 0.7
"""The share of guesses that is taken to be right before any was tried."""
MARGIN = 1.05
"""How much more must be gained than is paid."""
MEMORY = 0.2
"""The weight of the newest measurement."""
RETHINK = 32
"""Reads after which it is worked out anew what pays."""


class Costs:
    """What batches of each size take on this machine, learned from those that are read anyway."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}

    def learn(self, size: int, seconds: float) -> None:
        """Note that a batch of `size` tokens took `seconds`."""
        known = self._seconds.get(size, seconds)
        self._seconds[size] = known + MEMORY * (seconds - known)

    def of(self, size: int) -> float | None:
        """Seconds of a batch, between the sizes that were seen; None where nothing was."""
        if size in self._seconds:
            return self._seconds[size]
        smaller = max((n for n in self._seconds if n < size), default=None)
        larger = min((n for n in self._seconds if n > size), default=None)
        if smaller is None or larger is None:
            return None
        share = (size - smaller) / (larger - smaller)
        return self._seconds[smaller] * (1 - share) + self._seconds[larger] * share

    def curve(self) -> dict[int, float]:
        """Seconds by size, the smallest first."""
        return dict(sorted(self._seconds.items()))


class Reader:
    """Reads a reply's tokens into the KV cache, and guesses on where that pays.

    `drafts` guesses always or never; without it, where the costs say so.
    """

    def __init__(self, context: Context, costs: Costs, drafts: bool | None) -> None:
        self._context = context
        self._costs = costs
        self._drafts = drafts
        self._ahead: list[int] = []
        """Guesses that are in the KV cache."""
        self._right = HOPE
        self._pays: dict[int, int] = {}
        self._reads = 0
        self.guessed = 0
        self.taken = 0

    def read(self, tokens: Sequence[int], constraint: Constraint) -> None:
        """Read tokens that the grammar has taken, so that `logits` are those after the last."""
        right = common(tokens, self._ahead)
        self._count(right, missed=right < len(tokens))
        if right == len(tokens):
            self._ahead = self._ahead[right:]
            return
        if self._ahead:
            self._context.keep(len(self._context.tokens) - len(self._ahead) + right)
        self._ahead = self._guess(tokens[right:], constraint)
        self._decode([*tokens[right:], *self._ahead])

    def logits(self) -> Logits:
        """The logits after the last token that is sure, of shape (vocab_size,)."""
        return self._context.logits(back=len(self._ahead))

    def sure(self) -> list[int]:
        """The tokens in the KV cache that are not guesses."""
        tokens = self._context.tokens
        return tokens[: len(tokens) - len(self._ahead)]

    def finish(self) -> None:
        """Take out of the KV cache what was only guessed."""
        if self._ahead:
            self._context.keep(len(self._context.tokens) - len(self._ahead))
            self._ahead = []

    def _count(self, right: int, missed: bool) -> None:
        if not self._ahead:
            return
        self.taken += right
        for hit in [1.0] * right + [0.0] * missed:
            self._right += MEMORY * (hit - self._right)

    def _decode(self, tokens: Sequence[int]) -> None:
        size = self._context.batch_size
        for start in range(0, len(tokens), size):
            part = tokens[start : start + size]
            last = start + size >= len(tokens)
            started = time.perf_counter()
            self._context.decode(part, outputs=1 + len(self._ahead) if last else 1)
            self._costs.learn(len(part), time.perf_counter() - started)

    def _guess(self, tokens: Sequence[int], constraint: Constraint) -> list[int]:
        """What followed the last time these tokens were read, as far as the grammar allows it."""
        most = MOST if self._drafts else 0
        if self._drafts is None:
            most = self._paying(len(tokens))
        context = self._context
        room = min(context.batch_size, context.size - len(context.tokens)) - len(tokens)
        most = min(most, room)
        if most <= 0:
            return []
        guess = constraint.allowed(lookup([*self._context.tokens, *tokens], most))
        self.guessed += len(guess)
        return guess

    def _paying(self, sure: int) -> int:
        """What `_worth` says, asked now and then: it takes longer than a guess may cost."""
        self._reads += 1
        if self._reads % RETHINK == 0:
            self._pays.clear()
        if sure not in self._pays:
            self._pays[sure] = self._worth(sure)
        return self._pays[sure]

    def _worth(self, sure: int) -> int:
        """How many guesses pay best beside `sure` tokens."""
        alone = self._costs.of(1)
        base = self._costs.of(sure)
        if alone is None or base is None:
            return 0
        best, gain = 0, 0.0
        expected = 0.0
        for count in range(1, MOST + 1):
            expected += self._right**count
            cost = self._costs.of(sure + count)
            if cost is None:
                break
            saved = expected * alone - (cost - base) * MARGIN
            if saved > gain:
                best, gain = count, saved
        return best


def lookup(tokens: Sequence[int], most: int) -> list[int]:
    """The tokens after the last place where the final KEY ones stood before."""
    key = list(tokens[-KEY:])
    first = key[0]
    for start in range(len(tokens) - KEY - 1, -1, -1):
        if tokens[start] == first and list(tokens[start : start + KEY]) == key:
            return list(tokens[start + KEY : start + KEY + most])
    return []


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences have in common from the start."""
    for number, (mine, yours) in enumerate(zip(one, other, strict=False)):
        if mine != yours:
            return number
    return min(len(one), len(other))
