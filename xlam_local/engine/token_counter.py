"""Count the tokens of texts with only a model's vocabulary loaded."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import llama_cpp

from ..errors import ModelError, ModelMissing


def count_tokens(path: Path, texts: Sequence[str]) -> list[int]:
    """Return the number of tokens of each text, without control tokens.

    Raises:
        ModelMissing: there is no such file.
        ModelError: llama.cpp cannot load its vocabulary.
    """
    if not path.is_file():
        raise ModelMissing(f"There is no model file {path}.")
    llama_cpp.llama_log_set(_discard_log(), ctypes.c_void_p(0))
    params = llama_cpp.llama_model_default_params()
    params.vocab_only = True
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        raise ModelError(f"llama.cpp cannot load the vocabulary of {path.name}.")
    try:
        vocab = llama_cpp.llama_model_get_vocab(model)
        return [_count(vocab, text.encode("utf-8", "replace")) for text in texts]
    finally:
        llama_cpp.llama_model_free(model)


def _count(vocab: object, data: bytes) -> int:
    # Given an array that is too small, llama.cpp returns the needed size as a negative number.
    empty = (llama_cpp.llama_token * 0)()
    return -int(llama_cpp.llama_tokenize(vocab, data, len(data), empty, 0, False, False))


@lru_cache(maxsize=1)
def _discard_log() -> object:
    """Return a log callback that does nothing; llama.cpp may call it until the process ends."""

    @llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
    def discard(level: int, text: bytes, data: object) -> None:
        pass

    return discard
