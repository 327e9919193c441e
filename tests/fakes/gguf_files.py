"""Small GGUF files for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np


def write(
    path: Path, size: int = 4096, seed: int = 0, architecture: str = "qwen2", **fields: Any
) -> Path:
    """Write a valid GGUF file with one tensor of about `size` random bytes; return its path.

    A file of size 0 has no tensor, and one without an architecture no field of it. Other arguments
    are fields of the header, texts or numbers; two underscores stand for a dot.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_context_length(fields.pop("context", 32768))
    writer.add_block_count(fields.pop("layers", 2))
    for key, value in fields.items():
        add = writer.add_string if isinstance(value, str) else writer.add_uint16
        add(key.replace("__", "."), value)
    if size:
        numbers = np.random.default_rng(seed).integers(0, 2**31, max(size // 4, 8), dtype=np.int32)
        writer.add_tensor("token_embd.weight", numbers.view(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
