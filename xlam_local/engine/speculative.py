"""Prompt-lookup speculative decoding.

The tokens that followed an earlier occurrence of the last tokens are drafted, and decoded in one
batch with a token that is certain. Drafts that turn out wrong are removed from the KV cache.

While drafts cost more than they are expected to save, the next token is still predicted, without
decoding it. These predictions show when drafts become worthwhile.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator, Sequence

from .constraint import Constraint
from .llama_context import DecodeRequest, LlamaContext, LlamaSequence, Logits

Decoding = Generator[DecodeRequest, None, None]
"""Yields requests, and is resumed when they are decoded."""

MAX_DRAFT_TOKENS = 8
NGRAM_TOKENS = 2
"""How many tokens must match for the tokens after them to be drafted."""
INITIAL_ACCEPTANCE = 0.5
"""The assumed share of correct drafts before any prediction was checked."""
ACCEPTANCE_STEPS = 20
"""The resolution of the acceptance for which draft lengths are computed."""
COST_MARGIN = 1.05
"""How much more time a draft must be expected to save than it costs."""
EQUAL_SPEED = 0.97
"""The share of the highest speed from which another size is as fast."""
NEW_VALUE_WEIGHT = 0.2
"""The weight of the newest measurement in a moving average."""
REPLAN_READS = 32
"""How many reads a computed draft length is used for."""
TOKEN_TYPE = "i"
"""The array type of a token, as in llama.cpp."""


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
        self._predicted: int | None = None
        """The predicted next token, if nothing was drafted."""
        self._acceptance = INITIAL_ACCEPTANCE
        """Moving average of the share of correct drafts and predictions."""
        self._draft_lengths: dict[tuple[int, int], int] = {}
        """The best draft length by the number of certain tokens and the acceptance."""
        self._reads = 0
        self.drafted = 0
        """Tokens drafted so far."""
        self.accepted = 0
        """Drafted tokens that were correct."""

    def read(self, tokens: Sequence[int], constraint: Constraint) -> Decoding:
        """Append tokens that the grammar has accepted; `logits` are then those after the last."""
        correct = common_prefix_length(tokens, self._draft)
        self._record_acceptance(tokens, correct)
        if correct == len(tokens):
            self._draft = self._draft[correct:]
            return
        if self._draft:
            self._sequence.truncate(len(self._sequence.tokens) - len(self._draft) + correct)
        self._draft = self._propose(tokens[correct:], constraint)
        yield from self._decode([*tokens[correct:], *self._draft])

    def replace(
        self, tokens: Sequence[int], hidden: Sequence[int] = (), after: Sequence[int] = ()
    ) -> Decoding:
        """Make these all that is in the sequence; `logits` are then those after the last.

        `hidden` tokens are not part of the reply.
        """
        tokens = [*tokens, *hidden, *after]
        held = self._sequence.tokens
        common = common_prefix_length(tokens, held)
        if common == len(tokens) < len(held):
            common -= 1  # The logits after a token are lost when a later one is removed.
        self._draft, self._predicted = [], None
        self._sequence.truncate(common)
        if rest := tokens[len(held) :]:
            yield from self._decode(rest)

    def cut(self, count: int) -> Decoding:
        """Keep the first `count` tokens of the sequence, which end the reply."""
        self._draft, self._predicted = [], None
        self._sequence.truncate(count)
        yield from ()

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

    def _record_acceptance(self, tokens: Sequence[int], correct: int) -> None:
        """Record how many of the tokens were drafted, or whether the first was predicted."""
        outcomes: list[bool] = []
        if self._draft:
            self.accepted += correct
            outcomes = [True] * correct + [False] * (correct < len(tokens))
        elif self._predicted is not None and tokens:
            outcomes = [tokens[0] == self._predicted]
        self._predicted = None
        for outcome in outcomes:
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
        if self._speculative is False or not self._may_draft():
            return []
        best = MAX_DRAFT_TOKENS if self._speculative else self._best_draft_length(len(tokens))
        # The draft shares one batch with the tokens, and the context must have room for both.
        free = min(context.batch_size, context.size - len(held)) - len(tokens)
        length = max(0, min(best, free))
        found = prompt_lookup([*held, *tokens], max(length, 1))
        if not length:
            self._predicted = found[0] if found else None
            return []
        draft = constraint.valid_prefix(found)
        self.drafted += len(draft)
        return draft

    def _best_draft_length(self, certain: int) -> int:
        """Return `_compute_draft_length`, cached because it takes longer than a draft may cost."""
        self._reads += 1
        if self._reads % REPLAN_READS == 0:
            self._draft_lengths.clear()
        key = certain, round(self._acceptance * ACCEPTANCE_STEPS)
        if key not in self._draft_lengths:
            self._draft_lengths[key] = self._compute_draft_length(certain)
        return self._draft_lengths[key]

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
    packed = array(TOKEN_TYPE, tokens)
    data, size = packed.tobytes(), packed.itemsize
    ngram = data[-NGRAM_TOKENS * size :]
    end = len(data) - 1  # Leave out the final occurrence.
    while (start := data.rfind(ngram, 0, end)) >= 0:
        if start % size == 0:
            after = start // size + NGRAM_TOKENS
            return list(tokens[after : after + max_tokens])
        end = start + len(ngram) - 1
    return []


def common_prefix_length(a: Sequence[int], b: Sequence[int]) -> int:
    """Return how many tokens two sequences share at the start."""
    for index, (left, right) in enumerate(zip(a, b, strict=False)):
        if left != right:
            return index
    return min(len(a), len(b))
