"""How a model is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..fit import KvType

Executor = Literal["llguidance", "llama.cpp"]
ALL_LAYERS = 999


@dataclass(frozen=True, slots=True)
class Settings:
    """What llama.cpp is told when it loads a model, and what the engine may use."""

    context: int = 8192
    """Tokens; at most what the model can use."""
    threads: int | None = None
    """Threads that compute; every core when not set."""
    gpu_layers: int = ALL_LAYERS
    """Layers on the GPU; all of them and the output are one more than there are layers."""
    kv: KvType = "f16"
    batch: int = 128
    """The most tokens that go through the model together."""
    executor: Executor = "llguidance"
    """What runs grammars."""
    drafts: bool | None = None
    """Whether tokens are guessed from the prompt; where it pays when not set."""
    forced: bool = True
    """Whether tokens that the grammar forces are read without being sampled."""
    prefixes: Path | None = None
    """The folder that keeps the KV of prompts; none is kept when not set."""
    prefix_bytes: int = 2 << 30
    """The most that folder holds."""
