"""llama.cpp through its low-level API: a model, its vocabulary, and a context to decode in."""

from __future__ import annotations

import ctypes
import logging
from collections import deque
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import numpy.typing as npt

from ..errors import ModelError, ModelMissing, OutOfMemory
from ..types import Prompt

log = logging.getLogger(__name__)

Logits = npt.NDArray[np.float32]

ALL_LAYERS = 999
BATCH = 512
"""The most tokens in one call of llama_decode."""


LEVELS = {2: logging.INFO, 3: logging.WARNING, 4: logging.ERROR}
"""ggml's levels as those of logging."""


class _Log:
    """What llama.cpp says, kept for error messages and passed on to logging."""

    def __init__(self) -> None:
        self.errors: deque[str] = deque(maxlen=20)
        self.callback = llama_cpp.llama_log_callback(self._write)

    def _write(self, level: int, text: bytes, _data: object) -> None:
        line = text.decode("utf-8", "replace").strip()
        if not line:
            return
        log.log(LEVELS.get(level, logging.DEBUG), "%s", line)
        if level == 4:
            self.errors.append(line)

    def why(self) -> str:
        """The first error since the last `clear`, in llama.cpp's words."""
        return next(iter(self.errors), "it gives no reason")


@lru_cache(maxsize=1)
def _started() -> _Log:
    """llama.cpp made ready, its log going to us instead of the terminal."""
    sink = _Log()
    llama_cpp.llama_log_set(sink.callback, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    return sink


class Model:
    """A GGUF file's weights and vocabulary.

    Raises:
        ModelMissing: there is no such file.
        ModelError: llama.cpp cannot load it; the message gives its reason.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise ModelMissing(f"There is no model file {path}.")
        sink = _started()
        sink.errors.clear()
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = ALL_LAYERS
        self._handle: Any = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        if not self._handle:
            raise ModelError(f"llama.cpp cannot load {path.name}: {sink.why()}.")
        self.vocab: Any = llama_cpp.llama_model_get_vocab(self._handle)
        self.vocab_size: int = llama_cpp.llama_vocab_n_tokens(self.vocab)
        self.trained_context: int = llama_cpp.llama_model_n_ctx_train(self._handle)
        self._piece_buffer = ctypes.create_string_buffer(1024)

    def close(self) -> None:
        """Give the memory back."""
        if self._handle:
            llama_cpp.llama_model_free(self._handle)
            self._handle = None

    @property
    def handle(self) -> Any:
        """The model as llama.cpp knows it."""
        return self._handle

    @cached_property
    def metadata(self) -> dict[str, str]:
        """What the file says of itself, every value as text."""
        count = llama_cpp.llama_model_meta_count(self._handle)
        return {
            _meta(llama_cpp.llama_model_meta_key_by_index, self._handle, index): _meta(
                llama_cpp.llama_model_meta_val_str_by_index, self._handle, index
            )
            for index in range(count)
        }

    @cached_property
    def ends(self) -> frozenset[int]:
        """The tokens that end a turn."""
        return frozenset(t for t in self.controls if llama_cpp.llama_vocab_is_eog(self.vocab, t))

    @cached_property
    def controls(self) -> tuple[int, ...]:
        """The tokens that are no text, those that end a turn among them."""
        vocab, control, end = (
            self.vocab,
            llama_cpp.llama_vocab_is_control,
            llama_cpp.llama_vocab_is_eog,
        )
        return tuple(t for t in range(self.vocab_size) if control(vocab, t) or end(vocab, t))

    @cached_property
    def specials(self) -> tuple[str, ...]:
        """The texts of the control tokens."""
        texts = (self.token_text(token) for token in self.controls)
        return tuple(text for text in texts if len(text) > 1)

    def token_text(self, token: int) -> str:
        """A token's name in the vocabulary; empty for a token that is not there."""
        if token < 0:
            return ""
        text: bytes = llama_cpp.llama_vocab_get_text(self.vocab, token)
        return text.decode("utf-8", "replace")

    def piece(self, token: int) -> bytes:
        """The bytes that a token writes; none for a special one."""
        buffer = self._piece_buffer
        size = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, False)
        if size < 0:
            self._piece_buffer = ctypes.create_string_buffer(-size)
            return self.piece(token)
        return buffer.raw[:size]

    def tokenize(self, prompt: Prompt) -> list[int]:
        """A prompt's tokens, where only pieces marked so are read as special ones."""
        return [t for piece in prompt for t in self._tokens(piece.text, piece.special)]

    def _tokens(self, text: str, special: bool) -> list[int]:
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        tokens = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(self.vocab, data, len(data), tokens, room, False, special)
        if count < 0:
            raise ModelError(f"{len(data)} bytes of text cannot be tokenized.")
        return list(tokens[:count])


class Context:
    """A KV cache of `size` tokens, in which a model reads and writes.

    Raises:
        OutOfMemory: the cache does not fit.
    """

    def __init__(self, model: Model, size: int, threads: int) -> None:
        sink = _started()
        sink.errors.clear()
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = size
        params.n_batch = params.n_ubatch = min(BATCH, size)
        params.n_threads = params.n_threads_batch = threads
        self._model = model
        self._handle: Any = llama_cpp.llama_init_from_model(model.handle, params)
        if not self._handle:
            raise OutOfMemory(
                f"A context of {size} tokens cannot be made for {model.path.name}: {sink.why()}."
            )
        self.size: int = llama_cpp.llama_n_ctx(self._handle)
        self.batch_size: int = params.n_batch
        self._batch: Any = llama_cpp.llama_batch_init(self.batch_size, 0, 1)
        self._memory: Any = llama_cpp.llama_get_memory(self._handle)
        self.tokens: list[int] = []
        """What the KV cache holds."""

    def close(self) -> None:
        """Give the memory back."""
        if self._handle:
            llama_cpp.llama_batch_free(self._batch)
            llama_cpp.llama_free(self._handle)
            self._handle = None

    def keep(self, count: int) -> None:
        """Forget all but the first `count` tokens; all of them where the cache cannot be cut."""
        if count == len(self.tokens):
            return
        if not llama_cpp.llama_memory_seq_rm(self._memory, 0, count, -1):
            llama_cpp.llama_memory_clear(self._memory, True)
            count = 0
        del self.tokens[count:]

    def decode(self, tokens: Sequence[int]) -> None:
        """Read at most `batch_size` more tokens, and compute the logits after the last."""
        batch, start = self._batch, len(self.tokens)
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i] = token
            batch.pos[i] = start + i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = 0
            batch.logits[i] = i == len(tokens) - 1
        if code := llama_cpp.llama_decode(self._handle, batch):
            self.keep_valid()
            raise ModelError(f"llama.cpp stopped with code {code} at token {start}.")
        self.tokens.extend(tokens)

    def keep_valid(self) -> None:
        """Take out of the cache what a decode that failed may have left there."""
        llama_cpp.llama_memory_seq_rm(self._memory, 0, len(self.tokens), -1)

    def logits(self) -> Logits:
        """The logits after the last token: a view of shape (vocab_size,), until the next decode."""
        pointer = llama_cpp.llama_get_logits_ith(self._handle, -1)
        return np.ctypeslib.as_array(pointer, shape=(self._model.vocab_size,))


def _meta(read: Any, handle: Any, index: int) -> str:
    """A key or a value of a model's metadata, however long it is."""
    buffer = ctypes.create_string_buffer(256)
    size = read(handle, index, buffer, len(buffer))
    if size >= len(buffer):
        buffer = ctypes.create_string_buffer(size + 1)
        read(handle, index, buffer, len(buffer))
    return buffer.value.decode("utf-8", "replace")
