"""How a model is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

from ..model_shape import KvCacheType

GrammarBackend = Literal["llguidance", "llama.cpp"]
ALL_LAYERS = 999


@dataclass(frozen=True, slots=True)
class AdapterOption:
    """A LoRA adapter that changes the model, as a GGUF file."""

    name: str
    path: Path
    sha256: str
    """The file's hash, which is part of the prompt cache's keys."""
    scale: float = 1.0
    """How strongly it changes the model; 0 is not at all."""

    def __str__(self) -> str:
        """Return the name as in `-m MODEL+NAME:SCALE`."""
        return self.name if self.scale == 1 else f"{self.name}:{self.scale:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """How llama.cpp loads a model, and which of the engine's optimizations are on."""

    context_size: int = 8192
    """Tokens of each sequence; limited to what the model supports."""
    sequences: int = 1
    """How many replies are written at once."""
    adapt_sequences: bool = False
    """Whether fewer replies are written at once if measured batches show that to be faster."""
    threads: int | None = None
    """Threads to compute with; None takes as many fast cores as other programs leave free."""
    gpu_layers: int = ALL_LAYERS
    """Layers on the GPU; the output counts as one more layer."""
    kv_cache_type: KvCacheType = "f16"
    batch_size: int = 128
    """The maximum number of tokens that are decoded together."""
    grammar_backend: GrammarBackend = "llguidance"
    """The library that enforces grammars."""
    speculative: bool | None = None
    """Whether to draft tokens by prompt lookup; None drafts if the measured costs justify it."""
    fast_forward: bool = True
    """Whether to decode tokens that the grammar forces without sampling them."""
    adapters: tuple[AdapterOption, ...] = ()
    prompt_cache_folder: Path | None = None
    """Where the KV caches of prompts are saved; None saves none."""
    prompt_cache_bytes: int = 2 << 30
    """The maximum size of that folder."""

    def to_json(self) -> Mapping[str, Any]:
        """Return the options as JSON."""
        folder = self.prompt_cache_folder
        return {
            **asdict(self),
            "prompt_cache_folder": str(folder) if folder else None,
            "adapters": adapters_to_json(self.adapters),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Return the options that `to_json` was called on."""
        folder = fields["prompt_cache_folder"]
        return cls(
            **{
                **fields,
                "prompt_cache_folder": Path(folder) if folder else None,
                "adapters": adapters_from_json(fields["adapters"]),
            }
        )


def adapters_to_json(adapters: Sequence[AdapterOption]) -> list[Mapping[str, Any]]:
    """Return adapters as JSON."""
    return [{**asdict(adapter), "path": str(adapter.path)} for adapter in adapters]


def adapters_from_json(records: Sequence[Mapping[str, Any]]) -> tuple[AdapterOption, ...]:
    """Return the adapters that `adapters_to_json` was given."""
    return tuple(AdapterOption(**{**record, "path": Path(record["path"])}) for record in records)
