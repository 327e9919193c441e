"""The vocabulary of a GGUF file without its weights: from texts to tokens, and back."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

import llama_cpp

from ..errors import ModelError, ModelMissing
from ..types import Prompt, PromptPart
from .llama_log import start_log

PIECE_BYTES = 128


class GgufTokenizer:
    """Tokenizes as the engine does. Any thread may use it.

    Raises:
        ModelMissing: there is no such file.
        ModelError: llama.cpp cannot load its vocabulary.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise ModelMissing(f"There is no model file {path}.")
        llama_log = start_log()
        params = llama_cpp.llama_model_default_params()
        params.vocab_only = True
        # An empty list: a device that is only looked at keeps memory on the GPU.
        no_devices = (ctypes.c_void_p * 1)(None)
        params.devices = ctypes.cast(no_devices, ctypes.c_void_p)
        self._handle: Any = llama_cpp.llama_model_load_from_file(os.fsencode(path), params)
        if not self._handle:
            raise ModelError(f"llama.cpp cannot load {path.name}: {llama_log.reason()}.")
        self._vocab: Any = llama_cpp.llama_model_get_vocab(self._handle)
        self.size: int = llama_cpp.llama_vocab_n_tokens(self._vocab)
        """How many tokens there are; their ids begin at 0."""
        bos = llama_cpp.llama_vocab_bos(self._vocab)
        adds_bos = bool(llama_cpp.llama_vocab_get_add_bos(self._vocab))
        self.first_token: int | None = bos if adds_bos and bos >= 0 else None
        """The token that begins every prompt of the model; None if there is none."""

    def close(self) -> None:
        """Free the memory."""
        if self._handle:
            llama_cpp.llama_model_free(self._handle)
            self._handle = None

    def tokenize(self, prompt: Prompt) -> list[int]:
        """Return the tokens of a prompt; only its special parts can become control tokens."""
        return [token for part in prompt for token in self._tokenize(part)]

    def token_bytes(self, token: int) -> bytes:
        """Return the text of a token in UTF-8, which may be a part of a character."""
        size = PIECE_BYTES
        while True:
            buffer = ctypes.create_string_buffer(size)
            written = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, size, 0, True)
            if written >= 0:
                return buffer.raw[:written]
            size = -written

    def _tokenize(self, part: PromptPart) -> list[int]:
        data = part.text.encode("utf-8", "replace")
        capacity = len(data) + 8
        tokens = (llama_cpp.llama_token * capacity)()
        count = llama_cpp.llama_tokenize(
            self._vocab, data, len(data), tokens, capacity, False, part.special
        )
        if count < 0:
            raise ModelError(f"llama.cpp cannot tokenize a text of {len(data)} bytes.")
        return list(tokens[:count])
