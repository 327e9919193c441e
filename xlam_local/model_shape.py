"""The dimensions of a model, and the number formats of its KV cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

KvCacheType = Literal["f16", "q8_0", "q4_0"]
"""The number formats of llama.cpp's KV cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """The dimensions of a model that its memory depends on."""

    layers: int
    kv_heads: int
    head_size: int
    heads: int
    embedding_size: int
    feed_forward_size: int
    vocabulary_size: int
    trained_context: int
    """Tokens."""
    yarn_context: int = 0
    """Tokens that the model can use with YaRN; 0 if that is unknown."""

    @property
    def max_context(self) -> int:
        """The most tokens of context that the model can use."""
        return max(self.trained_context, self.yarn_context)
