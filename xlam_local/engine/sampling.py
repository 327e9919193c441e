"""Choosing a token from logits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..types import Sampling
from .llama import Logits

Tokens = npt.NDArray[np.intp]
Probabilities = npt.NDArray[np.float64]


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


def cuts_off(sampling: Sampling) -> bool:
    """Whether some tokens are left out for being unlikely."""
    return sampling.top_k > 0 or sampling.top_p < 1 or sampling.min_p > 0


def _likeliest_first(logits: Logits, sampling: Sampling) -> tuple[Tokens, Probabilities]:
    """Tokens with their probabilities, the top_k likeliest ones or all, the likeliest first."""
    count = sampling.top_k if 0 < sampling.top_k < len(logits) else len(logits)
    top = np.argpartition(logits, -count)[-count:] if count < len(logits) else np.arange(count)
    order = top[np.argsort(-logits[top], kind="stable")]
    scaled = (logits[order].astype(np.float64) - logits[order[0]]) / sampling.temperature
    weights = np.exp(scaled)
    return order, weights / weights.sum()


def _cut(probabilities: Probabilities, sampling: Sampling) -> int:
    """How many of the likeliest tokens top_p and min_p leave; at least one."""
    enough = int(np.searchsorted(probabilities.cumsum(), sampling.top_p)) + 1
    likely = int((probabilities >= sampling.min_p * probabilities[0]).sum())
    return max(1, min(enough, likely, int((probabilities > 0).sum())))
