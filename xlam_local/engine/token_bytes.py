"""The bytes of every token of a vocabulary, cached on disk.

Asking llama.cpp for 150,000 tokens takes a third of a second.
"""

from __future__ import annotations

import ctypes
import hashlib
from pathlib import Path

import llama_cpp
import numpy as np

from .. import atomic_file
from .llama_model import LlamaModel

MAGIC = b"XLAMTK1\n"
DIGEST_BYTES = 32
SPECIAL_PREFIX = b"\xff"
"""llguidance's mark for a token that is not text."""
MAX_TOKEN_BYTES = 1 << 16


def load_token_bytes(model: LlamaModel, folder: Path | None, key: str) -> list[bytes]:
    """Return the bytes of each token, from the file `key` in `folder` if it is intact."""
    if folder is None:
        return _ask_llama_cpp(model)
    path = folder / f"{key}.tokens"
    cached = _read(path, model.vocab_size)
    if cached is not None:
        return cached
    tokens = _ask_llama_cpp(model)
    _write(path, tokens)
    return tokens


def _ask_llama_cpp(model: LlamaModel) -> list[bytes]:
    """Return the bytes of each token; tokens that are not text have SPECIAL_PREFIX."""
    vocab, buffer = model.vocab, ctypes.create_string_buffer(MAX_TOKEN_BYTES)
    to_piece, attributes_of = llama_cpp.llama_token_to_piece, llama_cpp.llama_vocab_get_attr
    control = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL
    user_defined = llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED
    tokens = []
    for token in range(model.vocab_size):
        size = to_piece(vocab, token, buffer, MAX_TOKEN_BYTES, 0, True)
        data = ctypes.string_at(buffer, max(size, 0))
        attributes = attributes_of(vocab, token)
        is_tag = attributes & user_defined and data.startswith(b"<") and data.endswith(b">")
        tokens.append(SPECIAL_PREFIX + data if attributes & control or is_tag else data)
    return tokens


def _read(path: Path, count: int) -> list[bytes] | None:
    """Return the tokens in a file, or None if it is missing or damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    body = data[len(MAGIC) + DIGEST_BYTES :]
    if not data.startswith(MAGIC + hashlib.sha256(body).digest()) or len(body) < 4 * count:
        return None
    ends = np.frombuffer(body, dtype=np.int32, count=count).tolist()
    text = body[4 * count :]
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _write(path: Path, tokens: list[bytes]) -> None:
    """Write the tokens to a file: MAGIC, a SHA-256, the end of each token, their bytes."""
    ends = np.cumsum([len(token) for token in tokens], dtype=np.int32)
    body = ends.tobytes() + b"".join(tokens)
    try:
        atomic_file.write_bytes(path, MAGIC + hashlib.sha256(body).digest() + body)
    except OSError:
        # Without the cache, the next load takes longer.
        return
