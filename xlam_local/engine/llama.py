"""llama.cpp through its low-level API: a model, its vocabulary, and a context to decode in."""

from __future__ import annotations

import ctypes
import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import numpy.typing as npt

from ..errors import Cancelled, ModelError, ModelMissing, OutOfMemory
from ..types import Prompt
from .settings import Settings

log = logging.getLogger(__name__)

Logits = npt.NDArray[np.float32]

KV_TYPES = {
    "f16": llama_cpp.GGML_TYPE_F16,
    "q8_0": llama_cpp.GGML_TYPE_Q8_0,
    "q4_0": llama_cpp.GGML_TYPE_Q4_0,
}
PART = 64
"""Tokens of a prompt that a CPU reads at once; more at once are shown later and hardly faster."""
ABORTED = 2
"""What llama_decode returns when it was stopped."""
YARN_TRAINED = 32768
YARN_MOST = 131072
"""Qwen2 models trained on YARN_TRAINED tokens reach this far with YaRN."""
NO_ROOM = ("out of memory", "failed to allocate", "cannot allocate", "not enough memory")
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
        return next(iter(self.errors), "it gives no reason").rstrip(".")

    def no_room(self) -> bool:
        """Whether memory is what was missing."""
        return any(words in error.casefold() for error in self.errors for words in NO_ROOM)


def _listening() -> _Log:
    """llama.cpp made ready, its log going to us instead of the terminal, and no error yet."""
    sink = _started()
    # Whoever loaded a vocabulary before may have sent the log elsewhere.
    llama_cpp.llama_log_set(sink.callback, ctypes.c_void_p(0))
    sink.errors.clear()
    return sink


@lru_cache(maxsize=1)
def _started() -> _Log:
    llama_cpp.llama_backend_init()
    return _Log()


class Switch:
    """Stops a computation of llama.cpp's from another thread.

    llama.cpp asks between the nodes of its graph, so the answer must cost nothing: it is libc's
    strlen of a string that is empty until the switch is thrown.
    """

    def __init__(self) -> None:
        self._text = ctypes.create_string_buffer(2)
        self.data = ctypes.cast(self._text, ctypes.c_void_p)
        strlen = ctypes.CDLL(None).strlen
        self.callback = ctypes.cast(strlen, llama_cpp.ggml_abort_callback)

    def throw(self) -> None:
        """Stop the computation that is going on, and each that begins, until `reset`."""
        self._text[0] = b"x"

    def reset(self) -> None:
        """Let computations run."""
        self._text[0] = b"\0"


class Model:
    """A GGUF file's weights and vocabulary.

    `progress` hears how much is loaded, from 0 to 1.

    Raises:
        ModelMissing: there is no such file.
        OutOfMemory: there is no room for the weights.
        ModelError: llama.cpp cannot load it; the message gives its reason.
    """

    def __init__(
        self, path: Path, gpu_layers: int, progress: Callable[[float], object] | None = None
    ) -> None:
        self.path = path
        if not path.is_file():
            raise ModelMissing(f"There is no model file {path}.")
        sink = _listening()
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        if progress is not None:
            heard = _heard(progress)
            params.progress_callback = heard
        self._handle: Any = llama_cpp.llama_model_load_from_file(os.fsencode(path), params)
        if not self._handle:
            error = OutOfMemory if sink.no_room() else ModelError
            raise error(f"llama.cpp cannot load {path.name}: {sink.why()}.")
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
    def longest(self) -> int:
        """The most tokens of context that the model can use, with YaRN where that is known."""
        stretches = self.metadata.get("general.architecture") == "qwen2"
        if stretches and self.trained_context == YARN_TRAINED:
            return YARN_MOST
        return self.trained_context

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
    """A KV cache of `settings.context` tokens, in which a model reads and writes.

    Raises:
        OutOfMemory: the cache does not fit.
        ModelError: the model cannot have such a cache.
    """

    def __init__(self, model: Model, settings: Settings) -> None:
        sink = _listening()
        self.switch = Switch()
        size = min(settings.context, model.longest)
        params = _context_params(model, size, settings)
        params.abort_callback, params.abort_callback_data = self.switch.callback, self.switch.data
        self._model = model
        self._handle: Any = llama_cpp.llama_init_from_model(model.handle, params)
        if not self._handle:
            raise _no_context(model, size, settings, sink)
        self.size: int = llama_cpp.llama_n_ctx(self._handle)
        self.batch_size: int = params.n_batch
        self.part_size = self.batch_size if _offloads(settings) else min(PART, self.batch_size)
        """Tokens of a prompt that are read at once."""
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

    def decode(self, tokens: Sequence[int], outputs: int = 1) -> None:
        """Read at most `batch_size` more tokens, and compute logits after the last `outputs`.

        Raises:
            Cancelled: the switch was thrown; nothing was read.
            ModelError: llama.cpp failed; nothing was read.
        """
        batch, start = self._batch, len(self.tokens)
        first = len(tokens) - outputs
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i] = token
            batch.pos[i] = start + i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = 0
            batch.logits[i] = i >= first
        if code := llama_cpp.llama_decode(self._handle, batch):
            self.keep_valid()
            if code == ABORTED:
                raise Cancelled("The reply was cancelled.")
            raise ModelError(f"llama.cpp stopped with code {code} at token {start}.")
        self.tokens.extend(tokens)

    def keep_valid(self) -> None:
        """Take out of the cache what a decode that failed may have left there."""
        llama_cpp.llama_memory_seq_rm(self._memory, 0, len(self.tokens), -1)

    def logits(self, back: int = 0) -> Logits:
        """The logits after the token `back` before the last one read.

        A view of shape (vocab_size,), until the next decode.
        """
        pointer = llama_cpp.llama_get_logits_ith(self._handle, -1 - back)
        return np.ctypeslib.as_array(pointer, shape=(self._model.vocab_size,))

    def state(self) -> npt.NDArray[np.uint8]:
        """What the KV cache holds, as llama.cpp writes it: bytes of shape (size,)."""
        data = np.empty(llama_cpp.llama_state_seq_get_size(self._handle, 0), dtype=np.uint8)
        size = llama_cpp.llama_state_seq_get_data(self._handle, _bytes(data), len(data), 0)
        return data[:size]

    def restore(self, tokens: Sequence[int], state: npt.NDArray[np.uint8]) -> bool:
        """Put back what `state` gave after `tokens`; whether llama.cpp took it."""
        self.keep(0)
        if not llama_cpp.llama_state_seq_set_data(self._handle, _bytes(state), len(state), 0):
            llama_cpp.llama_memory_clear(self._memory, True)
            return False
        self.tokens = list(tokens)
        return True


def _heard(progress: Callable[[float], object]) -> Any:
    def heard(done: float, _data: object) -> bool:
        progress(done)
        return True

    return llama_cpp.llama_progress_callback(heard)


def _offloads(settings: Settings) -> bool:
    return bool(settings.gpu_layers) and bool(llama_cpp.llama_supports_gpu_offload())


def _context_params(model: Model, size: int, settings: Settings) -> Any:
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = size
    params.n_batch = params.n_ubatch = min(settings.batch, size)
    params.n_threads = params.n_threads_batch = settings.threads or os.cpu_count() or 1
    params.type_k = params.type_v = KV_TYPES[settings.kv]
    if settings.kv != "f16":
        # llama.cpp cannot read a quantized V in any other way.
        params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
    elif not _offloads(settings):
        # On a processor it takes 1.3 to 1.7 times as long for each token.
        params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    if size > model.trained_context:
        params.rope_scaling_type = llama_cpp.LLAMA_ROPE_SCALING_TYPE_YARN
        params.rope_freq_scale = model.trained_context / size
        params.yarn_orig_ctx = model.trained_context
    return params


def _no_context(
    model: Model, size: int, settings: Settings, sink: _Log
) -> ModelError | OutOfMemory:
    told = f"A context of {size} tokens, KV in {settings.kv}, cannot be made for {model.path.name}"
    if settings.kv != "f16" and not sink.no_room():
        return ModelError(f"{told}: {sink.why()}. With KV in f16 it may work.")
    return OutOfMemory(f"{told}: {sink.why()}.")


def _bytes(data: npt.NDArray[np.uint8]) -> Any:
    return data.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))


def _meta(read: Any, handle: Any, index: int) -> str:
    """A key or a value of a model's metadata, however long it is."""
    buffer = ctypes.create_string_buffer(256)
    size = read(handle, index, buffer, len(buffer))
    if size >= len(buffer):
        buffer = ctypes.create_string_buffer(size + 1)
        read(handle, index, buffer, len(buffer))
    return buffer.value.decode("utf-8", "replace")
