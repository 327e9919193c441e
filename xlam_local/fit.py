"""From weights and a machine to the plan that fits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """What the memory a model needs depends on, beside the size of its file."""

    layers: int
    kv_heads: int
    head: int
    """Numbers in one attention head."""
    heads: int
    width: int
    """Numbers in an embedding."""
    vocabulary: int
    context: int
    """Tokens of context that the model was trained on."""
