"""Generate with llama-cpp-python's high-level class, which our engine is compared with."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llama_cpp

from ..engine import AdapterOption
from ..errors import ModelError


class LlamaCppPython:
    """A model in llama-cpp-python, with the same context and threads as ours."""

    def __init__(
        self,
        path: Path,
        context_size: int,
        threads: int,
        adapters: Sequence[AdapterOption] = (),
    ) -> None:
        self._llama: Any = llama_cpp.Llama(
            str(path),
            n_ctx=context_size,
            n_threads=threads,
            n_threads_batch=threads,
            n_gpu_layers=-1,
            verbose=False,
        )
        if adapters:
            self._apply(adapters)

    def _apply(self, adapters: Sequence[AdapterOption]) -> None:
        """Apply LoRA adapters; the class itself takes one only, and then does not map the file."""
        load, count = llama_cpp.llama_adapter_lora_init, len(adapters)
        loaded = [load(self._llama.model, os.fsencode(adapter.path)) for adapter in adapters]
        if not all(loaded):
            raise ModelError("llama-cpp-python cannot load the adapters.")
        pointers = (llama_cpp.llama_adapter_lora_p_ctypes * count)(*loaded)
        scales = (ctypes.c_float * count)(*(adapter.scale for adapter in adapters))
        if llama_cpp.llama_set_adapters_lora(self._llama.ctx, pointers, count, scales):
            raise ModelError("llama-cpp-python cannot apply the adapters.")

    def close(self) -> None:
        """Free the memory."""
        self._llama.close()

    def speed(self, prompt: Sequence[int], gbnf: str | None, max_tokens: int) -> float:
        """Generate greedily after a prompt, and return the tokens per second after the first.

        `gbnf` is the grammar that LlamaGrammar enforces; None enforces none.
        """
        grammar = llama_cpp.LlamaGrammar.from_string(gbnf, verbose=False) if gbnf else None
        vocab = llama_cpp.llama_model_get_vocab(self._llama.model)
        count, first_at = 0, 0.0
        tokens = self._llama.generate(prompt, temp=0.0, top_k=1, grammar=grammar, reset=True)
        for token in tokens:
            if llama_cpp.llama_vocab_is_eog(vocab, token):
                break
            first_at = first_at or time.perf_counter()
            count += 1
            if count == max_tokens:
                break
        return (count - 1) / max(time.perf_counter() - first_at, 1e-9)
