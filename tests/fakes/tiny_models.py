"""Models of random weights, which try harder than trained ones to break out of a grammar."""

from __future__ import annotations

import os
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter

from tests.fakes.resources import CACHE_FOLDER, fetch

EMBEDDING_SIZE, HEADS, LAYERS, FEED_FORWARD_SIZE = 32, 2, 2, 64
CONTEXT = 4096
VOCABULARIES = {"qwen2": "vocab-qwen2", "llama": "vocab-llama3"}
SMALL_VOCABULARY_SIZE = 4096
"""Tokens of text in a small vocabulary: the most frequent ones."""
FORMAT_VERSION = 2
"""Part of the names of cached models; a change to them increments it."""

GGUF_STRING, GGUF_ARRAY = 8, 9
NUMBERS = {
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("?"),
}
NORMAL_TOKEN, CONTROL_TOKEN, USER_DEFINED_TOKEN = 1, 3, 4


@dataclass(frozen=True)
class Vocabulary:
    """A byte-pair encoding: the first tokens are bytes, and then each merge adds one."""

    kind: str
    pre_tokenizer: str
    tokens: Sequence[bytes]
    token_types: Sequence[int]
    merges: Sequence[bytes]
    bos: int
    eos: int

    def truncated(self, size: int) -> Vocabulary:
        """Return a vocabulary with the first `size` tokens of text and all control tokens."""
        control = [n for n, kind in enumerate(self.token_types) if kind == CONTROL_TOKEN]
        kept = [*range(size), *control]
        tokens = [self.tokens[n] for n in kept]
        known = set(tokens)
        return Vocabulary(
            self.kind,
            self.pre_tokenizer,
            tokens,
            [self.token_types[n] for n in kept],
            [merge for merge in self.merges[:size] if merge.replace(b" ", b"") in known],
            kept.index(self.bos),
            kept.index(self.eos),
        )

    def with_user_defined(self, texts: Sequence[bytes]) -> Vocabulary:
        """Return a vocabulary with user-defined tokens instead of normal or control ones."""
        tokens, kinds = list(self.tokens), list(self.token_types)
        free = (n for n in reversed(range(len(tokens))) if kinds[n] == NORMAL_TOKEN)
        for text in texts:
            position = tokens.index(text) if text in tokens else next(free)
            tokens[position], kinds[position] = text, USER_DEFINED_TOKEN
        return replace(self, tokens=tokens, token_types=kinds)


def tiny_model(architecture: str) -> Path:
    """Return an xLAM model with a whole vocabulary, written once per machine."""
    path = CACHE_FOLDER / f"xLAM-2-tiny-{architecture}-{FORMAT_VERSION}.gguf"
    if not path.exists():
        CACHE_FOLDER.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        write_model(part, architecture, "xLAM-2-tiny", small_vocabulary=False)
        part.rename(path)
    return path


def write_model(
    path: Path,
    architecture: str,
    name: str,
    *,
    header_architecture: str = "",
    context: int = CONTEXT,
    small_vocabulary: bool = True,
    chat_template: str = "",
    user_defined: Collection[bytes] = (),
    token_ids: Mapping[str, int] | None = None,
) -> None:
    """Write a model; `header_architecture` is what its header says instead of the truth.

    `user_defined` tokens replace the last tokens of text. `token_ids` are those of tokens such as
    `padding`.
    """
    writer = GGUFWriter(path, header_architecture or architecture)
    writer.add_name(name)
    writer.add_context_length(context)
    writer.add_embedding_length(EMBEDDING_SIZE)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD_SIZE)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    vocabulary = read_vocabulary(fetch(VOCABULARIES[architecture]))
    if small_vocabulary:
        vocabulary = vocabulary.truncated(SMALL_VOCABULARY_SIZE)
    vocabulary = vocabulary.with_user_defined(list(user_defined))
    if chat_template:
        writer.add_chat_template(chat_template)
    _add_vocabulary(writer, vocabulary)
    for key, token in (token_ids or {}).items():
        writer.add_uint32(f"tokenizer.ggml.{key}_token_id", token)
    for tensor, shape in _shapes(architecture, len(vocabulary.tokens)).items():
        writer.add_tensor(tensor, _weights(tensor, shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@lru_cache(maxsize=2)
def read_vocabulary(path: Path) -> Vocabulary:
    """Return the vocabulary in a GGUF file. gguf's own reader takes 25 seconds for it."""
    data = path.read_bytes()
    (fields,) = struct.unpack_from("<Q", data, 16)
    values: dict[bytes, Any] = {}
    offset = 24
    for _ in range(fields):
        key, offset = _string(data, offset)
        (kind,) = struct.unpack_from("<I", data, offset)
        values[key], offset = _value(data, kind, offset + 4)
    field = {key.removeprefix(b"tokenizer.ggml.").decode(): value for key, value in values.items()}
    return Vocabulary(
        field["model"].decode(),
        field["pre"].decode(),
        field["tokens"],
        field["token_type"],
        field["merges"],
        field["bos_token_id"],
        field["eos_token_id"],
    )


def _value(data: bytes, kind: int, offset: int) -> tuple[Any, int]:
    """Return the value at an offset and the offset after it."""
    if kind == GGUF_STRING:
        return _string(data, offset)
    if kind == GGUF_ARRAY:
        element_kind, count = struct.unpack_from("<IQ", data, offset)
        values, offset = [], offset + 12
        for _ in range(count):
            value, offset = _value(data, element_kind, offset)
            values.append(value)
        return values, offset
    number = NUMBERS[kind]
    return number.unpack_from(data, offset)[0], offset + number.size


def _string(data: bytes, offset: int) -> tuple[bytes, int]:
    (size,) = struct.unpack_from("<Q", data, offset)
    end = offset + 8 + size
    return data[offset + 8 : end], end


def _add_vocabulary(writer: GGUFWriter, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model(vocabulary.kind)
    writer.add_tokenizer_pre(vocabulary.pre_tokenizer)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.token_types)
    writer.add_token_merges(vocabulary.merges)
    writer.add_bos_token_id(vocabulary.bos)
    writer.add_eos_token_id(vocabulary.eos)
    writer.add_vocab_size(len(vocabulary.tokens))


def _shapes(architecture: str, vocabulary_size: int) -> dict[str, tuple[int, ...]]:
    width, inner = EMBEDDING_SIZE, FEED_FORWARD_SIZE
    layer = {
        "attn_norm.weight": (width,),
        "attn_q.weight": (width, width),
        "attn_k.weight": (width, width),
        "attn_v.weight": (width, width),
        "attn_output.weight": (width, width),
        "ffn_norm.weight": (width,),
        "ffn_gate.weight": (inner, width),
        "ffn_up.weight": (inner, width),
        "ffn_down.weight": (width, inner),
    }
    if architecture == "qwen2":
        layer |= {f"attn_{part}.bias": (width,) for part in "qkv"}
    return {
        "token_embd.weight": (vocabulary_size, width),
        "output_norm.weight": (width,),
        "output.weight": (vocabulary_size, width),
        **{f"blk.{n}.{part}": shape for n in range(LAYERS) for part, shape in layer.items()},
    }


def _weights(tensor: str, shape: tuple[int, ...]) -> np.ndarray:
    random = np.random.default_rng(sum(tensor.encode()))
    values = random.standard_normal(shape, dtype=np.float32)
    return values if len(shape) == 1 else (0.5 * values).astype(np.float16)
