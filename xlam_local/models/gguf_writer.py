"""Write small GGUF files, such as LoRA adapters.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import atomic_file

Tensor = npt.NDArray[np.float16] | npt.NDArray[np.float32]

VERSION = 3
ALIGNMENT = 32
"""Bytes; the default of readers if the header names none."""
FLOAT32_TYPE, STRING_TYPE = 6, 8
"""Codes of the types of fields."""
TENSOR_TYPES = {"float32": 0, "float16": 1}
"""Codes of the types of tensors."""


def write(path: Path, metadata: Mapping[str, str | float], tensors: Mapping[str, Tensor]) -> None:
    """Write a file with texts and floats as metadata; tensors have the shapes of numpy."""
    fields = b"".join(_string(key) + _value(value) for key, value in metadata.items())
    infos, data = [], bytearray()
    for name, tensor in tensors.items():
        infos.append(_string(name) + _tensor_info(tensor, len(data)))
        data += tensor.tobytes()
        data += _padding(len(data))
    header = b"GGUF" + struct.pack("<IQQ", VERSION, len(tensors), len(metadata))
    start = header + fields + b"".join(infos)
    atomic_file.write_bytes(path, start + _padding(len(start)) + bytes(data))


def _tensor_info(tensor: Tensor, offset: int) -> bytes:
    """Return the description of a tensor after its name; GGUF lists the last dimension first."""
    shape: Sequence[int] = tensor.shape[::-1]
    type_code = TENSOR_TYPES[tensor.dtype.name]
    return struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, type_code, offset)


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", STRING_TYPE) + _string(value)
    return struct.pack("<If", FLOAT32_TYPE, value)


def _padding(size: int) -> bytes:
    return bytes(-size % ALIGNMENT)
