"""Choose the next token from its logits, as llama.cpp's samplers do.

The order is that of llama.cpp: penalties, top_k, top_p, min_p, temperature. The tokens that a
grammar forbids have a logit of -inf before that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ..types import Sampling
from .llama_context import Logits

TokenIds = npt.NDArray[np.intp]

MIN_TEMPERATURE = 1e-6
"""A lower temperature is as 0: its inverse overflows 32-bit floats sooner or later."""
INITIAL_SORTED_TOKENS = 256
"""How many of the most likely tokens are sorted first."""
SORTED_TOKENS_GROWTH = 16
COMPARED_TOKENS = 64
"""How many of the most likely tokens `sample_side` assigns to its group."""
BLOCK_TOKENS = 256
"""How many tokens are drawn from at once."""


def sample(logits: Logits, sampling: Sampling, random: np.random.Generator) -> int:
    """Return the next token: the most likely one at temperature 0, else a random one.

    `logits` has the shape (vocab_size,), with -inf for tokens that are not allowed. One random
    number is drawn for each token, so that a seed always leads to the same reply.
    """
    best = int(logits.argmax())
    if sampling.temperature < MIN_TEMPERATURE or logits[best] == -np.inf:
        return best
    tokens = candidates(logits, sampling)
    kept = logits if tokens is None else logits[tokens]
    index = _draw(np.exp((kept - logits[best]) * np.float32(1 / sampling.temperature)), random)
    return index if tokens is None else int(tokens[index])


def _draw(weights: Logits, random: np.random.Generator) -> int:
    """Return a random index, each as likely as its weight says.

    First a block is drawn, because the cumulative sum of all weights takes several milliseconds.
    """
    starts = np.arange(0, len(weights), BLOCK_TOKENS)
    ends = np.add.reduceat(weights, starts).cumsum(dtype=np.float64)
    drawn = min(random.random() * ends[-1], np.nextafter(ends[-1], 0))
    block = int(ends.searchsorted(drawn, side="right"))
    start = block * BLOCK_TOKENS
    within = weights[start : start + BLOCK_TOKENS].cumsum(dtype=np.float64)
    rest = min(drawn - (ends[block - 1] if block else 0.0), np.nextafter(within[-1], 0))
    return start + int(within.searchsorted(rest, side="right"))


def candidates(logits: Logits, sampling: Sampling) -> TokenIds | None:
    """Return the tokens that top_k, top_p and min_p keep; None if these keep all tokens."""
    tokens: TokenIds | None = None
    if 0 < sampling.top_k < len(logits):
        tokens = logits.argpartition(-sampling.top_k)[-sampling.top_k :]
    if sampling.top_p < 1:
        tokens = _subset(tokens, _top_p(logits if tokens is None else logits[tokens], sampling))
    if sampling.min_p > 0:
        kept = logits if tokens is None else logits[tokens]
        likely = np.flatnonzero(kept >= kept.max() + math.log(sampling.min_p))
        tokens = _subset(tokens, likely)
    return tokens


def truncates(sampling: Sampling) -> bool:
    """Return whether top_k, top_p or min_p exclude unlikely tokens."""
    return sampling.top_k > 0 or sampling.top_p < 1 or sampling.min_p > 0


def apply_repeat_penalty(logits: Logits, tokens: Sequence[int], sampling: Sampling) -> Logits:
    """Return a copy of `logits` in which the last `repeat_last_n` of the tokens are less likely.

    As in CTRL (Keskar et al., 2019): positive logits are divided by the penalty, others
    multiplied.
    """
    last = tokens[max(len(tokens) - sampling.repeat_last_n, 0) :]
    repeated = np.unique(np.asarray(last, dtype=np.intp))
    penalized = logits.copy()
    values, penalty = penalized[repeated], np.float32(sampling.repeat_penalty)
    penalized[repeated] = np.where(values > 0, values / penalty, values * penalty)
    return penalized


def _subset(tokens: TokenIds | None, indices: TokenIds) -> TokenIds:
    return indices if tokens is None else tokens[indices]


def _top_p(logits: Logits, sampling: Sampling) -> TokenIds:
    """Return the fewest most likely tokens whose probabilities add up to top_p; at least one.

    Sorting the whole vocabulary takes longer than a step of a small model, so more tokens are
    sorted only if the first ones are not enough.
    """
    best = logits.max()
    total = np.exp(logits - best).sum(dtype=np.float64)
    count = INITIAL_SORTED_TOKENS
    while True:
        order = most_likely(logits, count)
        shares = np.exp((logits[order] - best).astype(np.float64)).cumsum() / total
        if shares[-1] >= sampling.top_p or count >= len(logits):
            return order[: int(shares.searchsorted(sampling.top_p)) + 1]
        count *= SORTED_TOKENS_GROWTH


def most_likely(logits: Logits, count: int) -> TokenIds:
    """Return the `count` most likely tokens in order."""
    if count >= len(logits):
        return np.argsort(-logits, kind="stable")
    top = logits.argpartition(-count)[-count:]
    return top[np.argsort(-logits[top], kind="stable")]


def sample_side(
    logits: Logits,
    in_group: Callable[[int], bool],
    temperature: float,
    random: np.random.Generator,
) -> Logits:
    """Sample either a group of tokens or all others, and return the logits of only these.

    The probability of each side is the sum over its tokens. The temperature changes the two sums
    as `sample` changes the probabilities of tokens: at temperature 0 the likelier side is taken.
    `in_group` is called with the `COMPARED_TOKENS` most likely tokens; all other tokens count as
    outside.
    """
    likely = most_likely(logits, COMPARED_TOKENS)
    group = likely[np.fromiter((in_group(int(token)) for token in likely), np.bool_, len(likely))]
    sides = np.stack([logits, np.full_like(logits, -np.inf)])
    sides[1, group] = logits[group]
    sides[0, group] = -np.inf
    with np.errstate(divide="ignore"):  # A side without tokens has the total 0.
        totals = np.log(np.exp(sides - logits[likely[0]]).sum(axis=1))
    chosen: Logits = sides[sample(totals, Sampling(temperature=temperature), random)]
    return chosen
