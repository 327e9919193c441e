"""A GGUF model and its vocabulary, through llama.cpp's low-level API."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import llama_cpp

from ..errors import ModelError, ModelMissing, OutOfMemory
from ..types import Prompt
from .llama_log import start_log

YARN_ARCHITECTURE = "qwen2"
YARN_TRAINED_CONTEXT = 32768
YARN_MAX_CONTEXT = 131072
"""Qwen2 models trained on 32,768 tokens support this context with YaRN, by their model cards."""
TOKEN_BUFFER_BYTES = 1024
METADATA_BUFFER_BYTES = 256
TOKEN_KEYS = (
    ("unk_token", "unknown_token_id"),
    ("pad_token", "padding_token_id"),
    ("sep_token", "seperator_token_id"),
    ("cls_token", "cls_token_id"),
    ("mask_token", "mask_token_id"),
)
"""For each name in Transformers the key in GGUF, with its spelling of "separator"."""


class LlamaModel:
    """The weights and the vocabulary of a GGUF file.

    `progress` is called with the loaded share of the file, from 0 to 1.

    Raises:
        ModelMissing: there is no such file.
        OutOfMemory: the weights do not fit into memory.
        ModelError: llama.cpp cannot load the file; the message contains its reason.
    """

    def __init__(
        self, path: Path, gpu_layers: int, progress: Callable[[float], object] | None = None
    ) -> None:
        self.path = path
        if not path.is_file():
            raise ModelMissing(f"There is no model file {path}.")
        llama_log = start_log()
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        if progress is not None:
            callback = _progress_callback(progress)
            params.progress_callback = callback
        self._handle: Any = llama_cpp.llama_model_load_from_file(os.fsencode(path), params)
        if not self._handle:
            error = OutOfMemory if llama_log.out_of_memory() else ModelError
            raise error(f"llama.cpp cannot load {path.name}: {llama_log.reason()}.")
        self.vocab: Any = llama_cpp.llama_model_get_vocab(self._handle)
        """llama.cpp's pointer to the vocabulary."""
        self.vocab_size: int = llama_cpp.llama_vocab_n_tokens(self.vocab)
        self.trained_context: int = llama_cpp.llama_model_n_ctx_train(self._handle)
        self._adapters: dict[Path, Any] = {}
        self._token_buffer = ctypes.create_string_buffer(TOKEN_BUFFER_BYTES)

    def adapter(self, path: Path) -> Any:
        """Return llama.cpp's pointer to a LoRA adapter, loaded once; the model frees it.

        Raises:
            ModelError: llama.cpp cannot load it for this model.
        """
        if path not in self._adapters:
            llama_log = start_log()
            pointer = llama_cpp.llama_adapter_lora_init(self._handle, os.fsencode(path))
            if not pointer:
                raise ModelError(
                    f"llama.cpp cannot load the adapter {path.name} for {self.path.name}: "
                    f"{llama_log.reason()}."
                )
            self._adapters[path] = pointer
        return self._adapters[path]

    def close(self) -> None:
        """Free the memory."""
        if self._handle:
            llama_cpp.llama_model_free(self._handle)
            self._handle = None

    @property
    def handle(self) -> Any:
        """llama.cpp's pointer to the model."""
        return self._handle

    @property
    def max_context(self) -> int:
        """The most tokens of context that the model supports, with YaRN if that is known."""
        uses_yarn = self.metadata.get("general.architecture") == YARN_ARCHITECTURE
        if uses_yarn and self.trained_context == YARN_TRAINED_CONTEXT:
            return YARN_MAX_CONTEXT
        return self.trained_context

    @cached_property
    def metadata(self) -> dict[str, str]:
        """The file's metadata, with every value as text."""
        key_at = llama_cpp.llama_model_meta_key_by_index
        value_at = llama_cpp.llama_model_meta_val_str_by_index
        return {
            _metadata_text(key_at, self._handle, index): _metadata_text(
                value_at, self._handle, index
            )
            for index in range(llama_cpp.llama_model_meta_count(self._handle))
        }

    @cached_property
    def named_tokens(self) -> tuple[tuple[str, str], ...]:
        """The names and texts of the tokens that Transformers passes to templates by name."""
        ids = [(name, self.metadata.get(f"tokenizer.ggml.{key}", "")) for name, key in TOKEN_KEYS]
        return tuple(
            (name, self.token_text(int(token)))
            for name, token in ids
            if token.isdecimal() and int(token) < self.vocab_size
        )

    @cached_property
    def end_tokens(self) -> frozenset[int]:
        """The tokens that end a reply."""
        is_end = llama_cpp.llama_vocab_is_eog
        return frozenset(token for token in self.control_tokens if is_end(self.vocab, token))

    @cached_property
    def control_tokens(self) -> tuple[int, ...]:
        """The tokens that are not text, including the end tokens."""
        vocab, is_end = self.vocab, llama_cpp.llama_vocab_is_eog
        control = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL
        return tuple(
            token
            for token, attributes in enumerate(self._attributes)
            if attributes & control or is_end(vocab, token)
        )

    @cached_property
    def control_texts(self) -> tuple[str, ...]:
        """The names of the control tokens that are longer than one character."""
        texts = (self.token_text(token) for token in self.control_tokens)
        return tuple(text for text in texts if len(text) > 1)

    @cached_property
    def user_defined_texts(self) -> tuple[str, ...]:
        """The names of the tokens that llama.cpp reads in any text, also if it is not special."""
        return tuple(
            self.token_text(token)
            for token, attributes in enumerate(self._attributes)
            if attributes & llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED
        )

    @cached_property
    def _attributes(self) -> list[int]:
        """What kind of token each token is, as llama.cpp's flags."""
        vocab, attributes = self.vocab, llama_cpp.llama_vocab_get_attr
        return [attributes(vocab, token) for token in range(self.vocab_size)]

    def token_text(self, token: int) -> str:
        """Return a token's name in the vocabulary; "" for the token -1, which means none."""
        if token < 0:
            return ""
        text: bytes = llama_cpp.llama_vocab_get_text(self.vocab, token)
        return text.decode("utf-8", "replace")

    def token_bytes(self, token: int) -> bytes:
        """Return the text of a token in UTF-8, which may be a part of a character.

        A control token has none.
        """
        buffer = self._token_buffer
        size = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, False)
        if size < 0:
            self._token_buffer = ctypes.create_string_buffer(-size)
            return self.token_bytes(token)
        return buffer.raw[:size]

    def tokenize(self, prompt: Prompt) -> list[int]:
        """Return the tokens of a prompt; only its special parts can become control tokens."""
        return [token for part in prompt for token in self._tokenize(part.text, part.special)]

    def _tokenize(self, text: str, special: bool) -> list[int]:
        data = text.encode("utf-8", "replace")
        capacity = len(data) + 8
        tokens = (llama_cpp.llama_token * capacity)()
        count = llama_cpp.llama_tokenize(
            self.vocab, data, len(data), tokens, capacity, False, special
        )
        if count < 0:
            raise ModelError(f"llama.cpp cannot tokenize a text of {len(data)} bytes.")
        return list(tokens[:count])


def _progress_callback(progress: Callable[[float], object]) -> Any:
    def report(done: float, _data: object) -> bool:
        progress(done)
        return True

    return llama_cpp.llama_progress_callback(report)


def _metadata_text(read: Any, handle: Any, index: int) -> str:
    """Read a metadata key or value of any length."""
    buffer = ctypes.create_string_buffer(METADATA_BUFFER_BYTES)
    size = read(handle, index, buffer, len(buffer))
    if size >= len(buffer):
        buffer = ctypes.create_string_buffer(size + 1)
        read(handle, index, buffer, len(buffer))
    return buffer.value.decode("utf-8", "replace")
