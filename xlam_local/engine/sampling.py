"""Choosing a token from logits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..types import Sampling
from .llama import Logits

Tokens = npt.NDArray[np.intp]
Probabilities = npt.NDArray[np.float64]

REMEMBERED = 64
"""How many of the last tokens a repeat penalty is for."""
SORTED = 256
"""How many of the likeliest tokens are sorted first."""


def choose(logits: Logits, sampling: Sampling, random: np.random.Generator) -> int:
    """The next token: the likeliest at temperature 0, else one drawn from what is not cut off.

    `logits` has the shape (vocab_size,); a token that is not allowed has -inf.
    """
    if sampling.temperature == 0:
        return int(logits.argmax())
    if not cuts_off(sampling):
        # The likeliest after Gumbel noise is drawn as by softmax, without sorting.
        noise = random.gumbel(size=len(logits)).astype(np.float32)
        return int((logits / sampling.temperature + noise).argmax())
    order, probabilities = _likeliest_first(logits, sampling)
    kept = probabilities[: _cut(probabilities, sampling)]
    return int(order[random.choice(len(kept), p=kept / kept.sum())])


def penalized(logits: Logits, tokens: Sequence[int], penalty: float) -> Logits:
    """A copy of `logits` in which the last REMEMBERED of `tokens` are less likely.

    As in the paper on CTRL (Keskar et al., 2019): what is above zero is divided, the rest
    multiplied.
    """
    again = np.unique(np.asarray(tokens[-REMEMBERED:], dtype=np.intp))
    changed = logits.copy()
    some = changed[again]
    changed[again] = np.where(some > 0, some / penalty, some * penalty)
    return changed


def cuts_off(sampling: Sampling) -> bool:
    """Whether some tokens are left out for being unlikely."""
    return sampling.top_k > 0 or sampling.top_p < 1 or sampling.min_p > 0


def _likeliest_first(logits: Logits, sampling: Sampling) -> tuple[Tokens, Probabilities]:
    """Tokens with their probabilities among all that top_k leaves, the likeliest first.

    Sorting a whole vocabulary takes longer than a small model's step, so as few are sorted as
    top_p and min_p can need.
    """
    count = sampling.top_k if 0 < sampling.top_k < len(logits) else len(logits)
    some = min(count, SORTED)
    while True:
        order, weights = _top(logits, some, sampling.temperature)
        total = weights.sum() if some == count else _total(logits, order[0], count, sampling)
        probabilities = weights / total
        if some == count or _enough(probabilities, sampling):
            return order, probabilities
        some = min(count, some * 16)


def _top(logits: Logits, count: int, temperature: float) -> tuple[Tokens, Probabilities]:
    """The likeliest tokens in order, each with its weight beside the likeliest one's 1."""
    top = np.argpartition(logits, -count)[-count:] if count < len(logits) else np.arange(count)
    order = top[np.argsort(-logits[top], kind="stable")]
    return order, np.exp((logits[order].astype(np.float64) - logits[order[0]]) / temperature)


def _total(logits: Logits, best: np.intp, count: int, sampling: Sampling) -> float:
    """The weights of the `count` likeliest tokens together."""
    kept = logits if count == len(logits) else np.partition(logits, -count)[-count:]
    return float(np.exp((kept - logits[best]) / np.float32(sampling.temperature)).sum())


def _enough(probabilities: Probabilities, sampling: Sampling) -> bool:
    """Whether the tokens that are left out would be cut off anyway."""
    unlikely = probabilities[-1] < sampling.min_p * probabilities[0]
    return bool(unlikely or probabilities.sum() > sampling.top_p)


def _cut(probabilities: Probabilities, sampling: Sampling) -> int:
    """How many of the likeliest tokens top_p and min_p leave; at least one."""
    enough = int(np.searchsorted(probabilities.cumsum(), sampling.top_p)) + 1
    likely = int((probabilities >= sampling.min_p * probabilities[0]).sum())
    return max(1, min(enough, likely, int((probabilities > 0).sum())))
