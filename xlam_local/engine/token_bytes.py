"""What each token writes, kept on disk: asking llama.cpp for all takes a third of a second."""

from __future__ import annotations

import ctypes
import hashlib
import os
import tempfile
from pathlib import Path

import llama_cpp
import numpy as np

from .llama import Model

MAGIC = b"XLAMTK1\n"
DIGEST = 32
SPECIAL = b"\xff"
"""What llguidance takes to begin a token that is no text."""
LONGEST = 1 << 16


def pieces(model: Model, folder: Path | None, key: str) -> list[bytes]:
    """The bytes of each token, from the file that `key` names in `folder` where it is whole."""
    if folder is None:
        return _asked(model)
    path = folder / f"{key}.tokens"
    found = _read(path, model.vocab_size)
    if found is None:
        found = _asked(model)
        _write(path, found)
    return found


def _asked(model: Model) -> list[bytes]:
    """What llama.cpp says, where a token that is no text is marked as llguidance expects it."""
    vocab, buffer = model.vocab, ctypes.create_string_buffer(LONGEST)
    to_piece, attribute = llama_cpp.llama_token_to_piece, llama_cpp.llama_vocab_get_attr
    control = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL
    own = llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED
    found = []
    for token in range(model.vocab_size):
        size = to_piece(vocab, token, buffer, LONGEST, 0, True)
        text = ctypes.string_at(buffer, max(size, 0))
        kind = attribute(vocab, token)
        tagged = kind & own and text.startswith(b"<") and text.endswith(b">")
        found.append(SPECIAL + text if kind & control or tagged else text)
    return found


def _read(path: Path, count: int) -> list[bytes] | None:
    """The tokens in a file; None where it is not what was written."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    body = data[len(MAGIC) + DIGEST :]
    if not data.startswith(MAGIC + hashlib.sha256(body).digest()) or len(body) < 4 * count:
        return None
    ends = np.frombuffer(body, dtype=np.int32, count=count).tolist()
    text = body[4 * count :]
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _write(path: Path, tokens: list[bytes]) -> None:
    ends = np.cumsum([len(token) for token in tokens], dtype=np.int32)
    body = ends.tobytes() + b"".join(tokens)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(MAGIC + hashlib.sha256(body).digest() + body)
        Path(part).replace(path)
    except OSError:
        # It is asked again the next time.
        return
