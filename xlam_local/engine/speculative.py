"""Prompt-lookup speculative decoding.

The tokens that followed an earlier occurrence of the last tokens are drafted, and decoded in one
batch with a token that is certain. Drafts that turn out wrong are removed from the KV cache.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from .constraint import Constraint
from .llama_context import DecodeRequest, LlamaContext, LlamaSequence, Logits

Decoding = Generator[DecodeRequest, None, None]
"""Yields requests, and is resumed when they are decoded."""

MAX_DRAFT_TOKENS = 8
NGRAM_TOKENS = 2
"""How many tokens must match for the tokens after them to be drafted."""
INITIAL_ACCEPTANCE = 0.7
"""The assumed share of correct drafts before any was checked."""
COST_MARGIN = 1.05
"""How much more time a draft must be expected to save than it costs."""
EQUAL_SPEED = 0.97
"""The share of the highest speed from which another size is as fast."""
NEW_VALUE_WEIGHT = 0.2
"""The weight of the newest measurement in a moving average."""
REPLAN_READS = 32
"""How many reads a computed draft length is used for."""


class BatchCosts:
    """Moving averages of the seconds that a batch takes, by its number of tokens."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}

    def record(self, size: int, seconds: float) -> None:
        """Record that a batch of `size` tokens took `seconds`."""
        average = self._seconds.get(size, seconds)
        self._seconds[size] = average + NEW_VALUE_WEIGHT * (seconds - average)

    def seconds(self, size: int) -> float | None:
        """Return the seconds of a batch, interpolated between recorded sizes.

        None means that no smaller or no larger size was recorded.
        """
        if size in self._seconds:
            return self._seconds[size]
        smaller = max((known for known in self._seconds if known < size), default=None)
        larger = min((known for known in self._seconds if known > size), default=None)
        if smaller is None or larger is None:
            return None
        share = (size - smaller) / (larger - smaller)
        return self._seconds[smaller] * (1 - share) + self._seconds[larger] * share

    def best_size(self, most: int) -> int:
        """Return the size with the most tokens a second, at most `most`, the larger if close.

        It is `most` while too few sizes were recorded.
        """
        speeds = {}
        for size in range(1, most + 1):
            seconds = self.seconds(size)
            if seconds is None:
                return most
            speeds[size] = size / seconds
        fast = EQUAL_SPEED * max(speeds.values())
        return max(size for size, speed in speeds.items() if speed >= fast)

    def curve(self) -> dict[int, float]:
        """Return the recorded seconds by size, the smallest first."""
        return dict(sorted(self._seconds.items()))


class PromptLookupDecoder:
    """Asks for a reply's tokens to be decoded, with a draft of further ones if that saves time.

    `speculative` drafts always or never; None drafts if the measured costs justify it. Nothing is
    drafted while `may_draft` returns False.
    """

    def __init__(
        self,
        context: LlamaContext,
        sequence: LlamaSequence,
        costs: BatchCosts,
        speculative: bool | None,
        may_draft: Callable[[], bool] = lambda: True,
    ) -> None:
        self._context = context
        self._sequence = sequence
        self._costs = costs
        self._speculative = speculative
        self._may_draft = may_draft
        self._draft: list[int] = []
        """Drafted tokens at the end of the sequence."""
        self._acceptance = INITIAL_ACCEPTANCE
        """Moving average of the share of correct drafts."""
        self._draft_lengths: dict[int, int] = {}
        """The best draft length by the number of certain tokens."""
        self._reads = 0
        self.drafted = 0
        """Tokens drafted so far."""
        self.accepted = 0
        """Drafted tokens that were correct."""

    def read(self, tokens: Sequence[int], constraint: Constraint) -> Decoding:
        """Append tokens that the grammar has accepted; `logits` are then those after the last."""
        correct = common_prefix_length(tokens, self._draft)
        self._record_acceptance(correct, rejected=correct < len(tokens))
        if correct == len(tokens):
            self._draft = self._draft[correct:]
            return
        if self._draft:
            self._sequence.truncate(len(self._sequence.tokens) - len(self._draft) + correct)
        self._draft = self._propose(tokens[correct:], constraint)
        yield from self._decode([*tokens[correct:], *self._draft])

    def replace(self, tokens: Sequence[int]) -> Decoding:
        """Make `tokens` all that is in the sequence; `logits` are then those after the last."""
        held = self._sequence.tokens
        common = common_prefix_length(tokens, held)
        if common == len(tokens) < len(held):
            common -= 1  # The logits after a token are lost when a later one is removed.
        self._draft = []
        self._sequence.truncate(common)
        if rest := tokens[len(held) :]:
            yield from self._decode(rest)

    def logits(self) -> Logits:
        """Return the logits after the last accepted token, shape (vocab_size,)."""
        return self._sequence.logits(back=len(self._draft))

    def accepted_tokens(self) -> list[int]:
        """Return the tokens in the sequence without the draft."""
        tokens = self._sequence.tokens
        return tokens[: len(tokens) - len(self._draft)]

    def finish(self) -> None:
        """Remove the draft from the sequence."""
        if self._draft:
            self._sequence.truncate(len(self._sequence.tokens) - len(self._draft))
            self._draft = []

    def _record_acceptance(self, correct: int, rejected: bool) -> None:
        if not self._draft:
            return
        self.accepted += correct
        for outcome in [1.0] * correct + [0.0] * rejected:
            self._acceptance += NEW_VALUE_WEIGHT * (outcome - self._acceptance)

    def _decode(self, tokens: Sequence[int]) -> Decoding:
        size = self._context.batch_size
        for start in range(0, len(tokens), size):
            last = start + size >= len(tokens)
            outputs = 1 + len(self._draft) if last else 1
            yield DecodeRequest(self._sequence, tokens[start : start + size], outputs)

    def _propose(self, tokens: Sequence[int], constraint: Constraint) -> list[int]:
        """Return a draft to decode after `tokens`, as far as the grammar allows it."""
        context, held = self._context, self._sequence.tokens
        if not self._may_draft():
            return []
        length = MAX_DRAFT_TOKENS if self._speculative else 0
        if self._speculative is None:
            length = self._best_draft_length(len(tokens))
        # The draft shares one batch with the tokens, and the context must have room for both.
        free = min(context.batch_size, context.size - len(held)) - len(tokens)
        length = min(length, free)
        if length <= 0:
            return []
        draft = constraint.valid_prefix(prompt_lookup([*held, *tokens], length))
        self.drafted += len(draft)
        return draft

    def _best_draft_length(self, certain: int) -> int:
        """Return `_compute_draft_length`, cached because it takes longer than a draft may cost."""
        self._reads += 1
        if self._reads % REPLAN_READS == 0:
            self._draft_lengths.clear()
        if certain not in self._draft_lengths:
            self._draft_lengths[certain] = self._compute_draft_length(certain)
        return self._draft_lengths[certain]

    def _compute_draft_length(self, certain: int) -> int:
        """Return the draft length that saves most time in a batch with `certain` tokens."""
        single = self._costs.seconds(1)
        without_draft = self._costs.seconds(certain)
        if single is None or without_draft is None:
            return 0
        best, best_gain = 0, 0.0
        expected_tokens = 0.0
        for length in range(1, MAX_DRAFT_TOKENS + 1):
            expected_tokens += self._acceptance**length
            with_draft = self._costs.seconds(certain + length)
            if with_draft is None:
                break
            gain = expected_tokens * single - (with_draft - without_draft) * COST_MARGIN
            if gain > best_gain:
                best, best_gain = length, gain
        return best


def prompt_lookup(tokens: Sequence[int], max_tokens: int) -> list[int]:
    """Return the tokens after the last earlier occurrence of the final NGRAM_TOKENS tokens."""
    ngram = list(tokens[-NGRAM_TOKENS:])
    first = ngram[0]
    for start in range(len(tokens) - NGRAM_TOKENS - 1, -1, -1):
        if tokens[start] == first and list(tokens[start : start + NGRAM_TOKENS]) == ngram:
            return list(tokens[start + NGRAM_TOKENS : start + NGRAM_TOKENS + max_tokens])
    return []


def common_prefix_length(a: Sequence[int], b: Sequence[int]) -> int:
    """Return how many tokens two sequences share at the start."""
    for index, (left, right) in enumerate(zip(a, b, strict=False)):
        if left != right:
            return index
    return min(len(a), len(b))
