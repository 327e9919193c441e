"""llama-cpp-python's own way to write under a grammar, to be measured beside ours."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llama_cpp


class Peer:
    """llama-cpp-python's high-level class, with the same file, context and threads."""

    def __init__(self, path: Path, context: int, threads: int) -> None:
        self._llama: Any = llama_cpp.Llama(
            str(path),
            n_ctx=context,
            n_threads=threads,
            n_threads_batch=threads,
            n_gpu_layers=-1,
            verbose=False,
        )

    def close(self) -> None:
        """Give the memory back."""
        self._llama.close()

    def write(self, tokens: Sequence[int], grammar: str | None, most: int) -> tuple[int, float]:
        """Write on greedily, under a GBNF grammar or freely: tokens a second after the first."""
        rules = llama_cpp.LlamaGrammar.from_string(grammar, verbose=False) if grammar else None
        vocab = llama_cpp.llama_model_get_vocab(self._llama.model)
        count, first = 0, 0.0
        steps = self._llama.generate(tokens, temp=0.0, top_k=1, grammar=rules, reset=True)
        for token in steps:
            if llama_cpp.llama_vocab_is_eog(vocab, token):
                break
            first = first or time.perf_counter()
            count += 1
            if count == most:
                break
        return count, (count - 1) / max(time.perf_counter() - first, 1e-9)
