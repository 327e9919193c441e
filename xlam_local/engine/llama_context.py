"""llama.cpp's context: sequences of tokens in a KV cache, and the logits after them."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import llama_cpp
import numpy as np
import numpy.typing as npt

from ..errors import Cancelled, ModelError, OutOfMemory
from ..hardware import compute_cores
from .llama_log import LlamaLog, start_log
from .llama_model import LlamaModel
from .load_options import LoadOptions
from .thread_tuner import Tuners

Logits = npt.NDArray[np.float32]

GGML_TYPES = {
    "f16": llama_cpp.GGML_TYPE_F16,
    "q8_0": llama_cpp.GGML_TYPE_Q8_0,
    "q4_0": llama_cpp.GGML_TYPE_Q4_0,
}
CPU_PREFILL_TOKENS = 64
"""Prompt tokens that a CPU decodes in one batch. More are hardly faster, and delay progress."""
UNIFIED_KV = True
"""Whether all sequences share one KV cache, and so can share prefixes."""
DECODE_ABORTED = 2
"""What llama_decode returns after the abort callback returned true."""


class AbortFlag:
    """Aborts llama.cpp's computations from another thread.

    llama.cpp calls its abort callback between the nodes of the graph, so it must be fast and must
    not need Python's lock. It is libc's strlen of a buffer, which is empty until the flag is set.
    """

    def __init__(self) -> None:
        self._text = ctypes.create_string_buffer(2)
        self.data = ctypes.cast(self._text, ctypes.c_void_p)
        self.callback = ctypes.cast(ctypes.CDLL(None).strlen, llama_cpp.ggml_abort_callback)

    def set(self) -> None:
        """Abort the running computation, and all later ones until `clear`."""
        self._text[0] = b"x"

    def clear(self) -> None:
        """Allow computations again."""
        self._text[0] = b"\0"


class LlamaSequence:
    """A sequence of tokens in a context's KV cache, and the logits after its last tokens."""

    def __init__(self, context: LlamaContext, number: int) -> None:
        self._context = context
        self._number = number
        self.tokens: list[int] = []
        """The tokens in the KV cache."""
        self._decoded_in = 0
        """The step that decoded the last tokens."""
        self._last_output = 0
        """The place of the last token in the batch of that step."""

    def truncate(self, count: int) -> None:
        """Keep the first `count` tokens, or none if llama.cpp cannot truncate this cache."""
        if count == len(self.tokens):
            return
        if not llama_cpp.llama_memory_seq_rm(self._context.memory, self._number, count, -1):
            self._clear()
            count = 0
        del self.tokens[count:]

    def copy_prefix(self, other: LlamaSequence, count: int) -> None:
        """Replace the tokens by the first `count` of another sequence; both share their cells."""
        self.truncate(0)
        llama_cpp.llama_memory_seq_cp(self._context.memory, other._number, self._number, 0, count)
        self.tokens = other.tokens[:count]

    def logits(self, back: int = 0) -> Logits:
        """Return the logits after the token `back` positions before the last one.

        The result is a view of shape (vocab_size,), valid until the next decode of the context.
        """
        context = self._context
        assert self._decoded_in == context.steps, "another batch has replaced the logits"
        pointer = llama_cpp.llama_get_logits_ith(context.handle, self._last_output - back)
        return np.ctypeslib.as_array(pointer, shape=(context.vocab_size,))

    def save_state(self) -> npt.NDArray[np.uint8]:
        """Return the KV cache in llama.cpp's format: bytes of shape (size,)."""
        handle, number = self._context.handle, self._number
        data = np.empty(llama_cpp.llama_state_seq_get_size(handle, number), dtype=np.uint8)
        size = llama_cpp.llama_state_seq_get_data(handle, _pointer(data), len(data), number)
        return data[:size]

    def load_state(self, tokens: Sequence[int], state: npt.NDArray[np.uint8]) -> bool:
        """Restore what `save_state` returned after `tokens`; return whether that worked."""
        self.truncate(0)
        handle = self._context.handle
        if not llama_cpp.llama_state_seq_set_data(
            handle, _pointer(state), len(state), self._number
        ):
            self._clear()
            return False
        self.tokens = list(tokens)
        return True

    def place_in_batch(self, batch: Any, tokens: Sequence[int], outputs: int) -> None:
        """Append `tokens` to a batch; the logits after the last `outputs` are computed."""
        first, position = batch.n_tokens, len(self.tokens)
        first_output = len(tokens) - outputs
        for i, token in enumerate(tokens):
            batch.token[first + i] = token
            batch.pos[first + i] = position + i
            batch.n_seq_id[first + i] = 1
            batch.seq_id[first + i][0] = self._number
            batch.logits[first + i] = i >= first_output
        batch.n_tokens = first + len(tokens)

    def append(self, tokens: Sequence[int], step: int, last_output: int) -> None:
        """Record that a step has decoded `tokens`, the last one at `last_output` of its batch."""
        self.tokens.extend(tokens)
        self._decoded_in, self._last_output = step, last_output

    def remove_undecoded(self) -> None:
        """Remove what a failed step may have left in the cache after the tokens."""
        llama_cpp.llama_memory_seq_rm(self._context.memory, self._number, len(self.tokens), -1)

    def _clear(self) -> None:
        if not llama_cpp.llama_memory_seq_rm(self._context.memory, self._number, -1, -1):
            raise ModelError(f"llama.cpp cannot remove sequence {self._number} from its cache.")


@dataclass(slots=True)
class DecodeRequest:
    """Tokens to append to a sequence; the logits after the last `outputs` are computed."""

    sequence: LlamaSequence
    tokens: Sequence[int]
    outputs: int = 1
    of_prompt: bool = False
    """Whether the tokens may be decoded in several parts, because they are read, not written."""


class LlamaContext:
    """A KV cache of `options.sequences` sequences, each of `options.context_size` tokens.

    The size is at most what the model supports. The sequences share one buffer, so that a common
    prefix is kept once.

    Raises:
        OutOfMemory: the cache does not fit into memory.
        ModelError: llama.cpp cannot create the cache for this model, or load an adapter.
    """

    def __init__(self, model: LlamaModel, options: LoadOptions) -> None:
        llama_log = start_log()
        self.abort_flag = AbortFlag()
        size = min(options.context_size, model.max_context)
        params = _context_params(model, size, options)
        params.abort_callback = self.abort_flag.callback
        params.abort_callback_data = self.abort_flag.data
        # llama.cpp wants to know all adapters before it creates a context.
        adapters = [model.adapter(adapter.path) for adapter in options.adapters]
        self.vocab_size = model.vocab_size
        self.handle: Any = llama_cpp.llama_init_from_model(model.handle, params)
        if not self.handle:
            raise _creation_error(model, size, options, llama_log)
        _apply_adapters(self.handle, adapters, [adapter.scale for adapter in options.adapters])
        self.size: int = llama_cpp.llama_n_ctx(self.handle) // options.sequences
        """The most tokens of a sequence."""
        self.batch_size: int = params.n_batch
        """The most tokens of one `decode`."""
        self.prefill_size: int = (
            self.batch_size if _uses_gpu(options) else min(CPU_PREFILL_TOKENS, self.batch_size)
        )
        """Tokens of a prompt to decode in one batch."""
        self._batch: Any = llama_cpp.llama_batch_init(self.batch_size, 0, 1)
        self.memory: Any = llama_cpp.llama_get_memory(self.handle)
        self.sequences = [LlamaSequence(self, number) for number in range(options.sequences)]
        self.steps = 0
        """How many batches have been decoded."""
        self._threads: int = params.n_threads
        fixed = options.threads or _uses_gpu(options)
        self._tuners = None if fixed else Tuners(self._threads, self.prefill_size)

    @property
    def threads(self) -> int:
        """The number of threads that computed last."""
        return self._threads

    def close(self) -> None:
        """Free the memory."""
        if self.handle:
            llama_cpp.llama_batch_free(self._batch)
            llama_cpp.llama_free(self.handle)
            self.handle = None

    def decode(self, requests: Sequence[DecodeRequest]) -> float:
        """Append the tokens of requests for different sequences in one batch.

        All requests together have at most `batch_size` tokens. Returns the seconds that it took.

        Raises:
            Cancelled: the abort flag was set; no token was appended.
            ModelError: llama.cpp failed; no token was appended.
        """
        batch = self._batch
        batch.n_tokens = 0
        for request in requests:
            request.sequence.place_in_batch(batch, request.tokens, request.outputs)
        size: int = batch.n_tokens
        started = time.perf_counter()
        if self._tuners is not None:
            self._use_threads(self._tuners.count(size))
        self.steps += 1
        if code := llama_cpp.llama_decode(self.handle, batch):
            for request in requests:
                request.sequence.remove_undecoded()
            if code == DECODE_ABORTED:
                raise Cancelled("The reply was cancelled.")
            start = len(requests[0].sequence.tokens)
            raise ModelError(f"llama.cpp failed with code {code} at token {start}.")
        seconds = time.perf_counter() - started
        if self._tuners is not None:
            self._tuners.record(size, seconds)
        end = 0
        for request in requests:
            end += len(request.tokens)
            request.sequence.append(request.tokens, self.steps, end - 1)
        return seconds

    def _use_threads(self, count: int) -> None:
        if count != self._threads:
            llama_cpp.llama_set_n_threads(self.handle, count, count)
            self._threads = count


def _uses_gpu(options: LoadOptions) -> bool:
    return bool(options.gpu_layers) and bool(llama_cpp.llama_supports_gpu_offload())


def _context_params(model: LlamaModel, size: int, options: LoadOptions) -> Any:
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = size * options.sequences
    params.n_seq_max = options.sequences
    params.kv_unified = UNIFIED_KV
    params.n_batch = params.n_ubatch = min(options.batch_size, size)
    params.n_threads = params.n_threads_batch = options.threads or compute_cores()
    params.type_k = params.type_v = GGML_TYPES[options.kv_cache_type]
    if options.kv_cache_type != "f16":
        # llama.cpp reads a quantized V cache with flash attention only.
        params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
    elif not _uses_gpu(options):
        # On a CPU, flash attention takes 1.3 to 1.7 times as long per token.
        params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    if size > model.trained_context:
        params.rope_scaling_type = llama_cpp.LLAMA_ROPE_SCALING_TYPE_YARN
        params.rope_freq_scale = model.trained_context / size
        params.yarn_orig_ctx = model.trained_context
    return params


def _apply_adapters(handle: Any, adapters: Sequence[Any], scales: Sequence[float]) -> None:
    count = len(adapters)
    pointers = (llama_cpp.llama_adapter_lora_p_ctypes * count)(*adapters)
    if llama_cpp.llama_set_adapters_lora(
        handle, pointers, count, (ctypes.c_float * count)(*scales)
    ):
        raise ModelError("llama.cpp cannot apply the adapters.")


def _creation_error(
    model: LlamaModel, size: int, options: LoadOptions, llama_log: LlamaLog
) -> ModelError | OutOfMemory:
    text = (
        f"Cannot create a context of {size} tokens with KV cache type {options.kv_cache_type} "
        f"for {model.path.name}: {llama_log.reason()}."
    )
    if options.kv_cache_type != "f16" and not llama_log.out_of_memory():
        return ModelError(f"{text} Try KV cache type f16.")
    return OutOfMemory(text)


def _pointer(data: npt.NDArray[np.uint8]) -> Any:
    return data.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
