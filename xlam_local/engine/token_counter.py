"""How many tokens texts have for a model, of which only the vocabulary is loaded."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from ..errors import ModelError, ModelMissing


def count(path: Path, texts: Sequence[str]) -> list[int]:
    """The number of tokens of each text, as plain text without special tokens.

    Raises:
        ModelMissing: there is no such file.
        ModelError: llama.cpp cannot load its vocabulary.
    """
    import llama_cpp

    if not path.is_file():
        raise ModelMissing(f"There is no model file {path}.")
    llama_cpp.llama_log_set(_silent(), ctypes.c_void_p(0))
    params = llama_cpp.llama_model_default_params()
    params.vocab_only = True
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        raise ModelError(f"llama.cpp cannot load the vocabulary of {path.name}.")
    try:
        vocab = llama_cpp.llama_model_get_vocab(model)
        return [_tokens(vocab, text.encode("utf-8", "replace")) for text in texts]
    finally:
        llama_cpp.llama_model_free(model)


def _tokens(vocab: object, data: bytes) -> int:
    import llama_cpp

    # Without room for the tokens, llama.cpp says how many there would be, as a negative number.
    nowhere = (llama_cpp.llama_token * 0)()
    return -int(llama_cpp.llama_tokenize(vocab, data, len(data), nowhere, 0, False, False))


@lru_cache(maxsize=1)
def _silent() -> object:
    """A log that keeps nothing; llama.cpp calls it as long as the process lives."""
    import llama_cpp

    @llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
    def silent(level: int, text: bytes, data: object) -> None:
        pass

    return silent
