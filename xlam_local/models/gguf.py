"""Read and validate GGUF headers, before llama.cpp opens the file.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import os
import re
import reprlib
import stat
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from .. import user_file
from ..errors import IntegrityError, ModelMissing
from . import file_kind
from .ggml import NUMBER_TYPES, TENSOR_TYPES

MAX_HEADER_BYTES = 64 << 20
"""The headers with the largest vocabularies have less than 16 MiB."""
MAX_FIELDS = 1 << 12
MAX_TENSORS = 1 << 16
MAX_NAME_BYTES = 1 << 10
MAX_STRING_BYTES = 4 << 20
MAX_KEPT_ELEMENTS = 64
"""Longer arrays are validated but not kept."""
MIN_READ_BYTES = 1 << 16

SUPPORTED_VERSIONS = (2, 3)
BOOL, STRING, ARRAY = 7, 8, 9
"""The type codes that are not in NUMBER_TYPES."""
U32 = struct.Struct("<I")
U64 = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class ArraySummary:
    """An array that is too long to keep."""

    element_type: str
    count: int


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """The description of a tensor."""

    name: str
    type: str
    shape: tuple[int, ...]
    offset: int
    """Bytes from the beginning of the tensor data."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """The validated header of a GGUF file."""

    path: Path
    version: int
    metadata: Mapping[str, Any]
    tensors: tuple[TensorInfo, ...]
    data_offset: int
    """Bytes from the beginning of the file to the tensor data."""
    file_size: int
    """Bytes."""

    @property
    def architecture(self) -> str:
        """llama.cpp's name of the model's architecture."""
        return str(self.metadata.get("general.architecture", ""))

    def number(self, key: str) -> int | None:
        """Return an integer of the architecture, for example `context_length`."""
        value = self.metadata.get(f"{self.architecture}.{key}")
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    @property
    def chat_template(self) -> str | None:
        """The chat template, in Jinja."""
        value = self.metadata.get("tokenizer.chat_template")
        return value if isinstance(value, str) else None


FIELD_TYPES: tuple[tuple[type | tuple[type, ...], str, tuple[str, ...]], ...] = (
    (
        str,
        "text",
        (
            *("general.name", "general.basename", "general.type"),
            *("tokenizer.chat_template", "tokenizer.ggml.model"),
        ),
    ),
    (
        int,
        "an integer",
        (
            *("split.no", "split.count", "general.file_type"),
            *("ARCHITECTURE.context_length", "ARCHITECTURE.block_count"),
            "ARCHITECTURE.embedding_length",
        ),
    ),
    (
        (int, tuple, ArraySummary),
        "an integer or an array",
        ("ARCHITECTURE.attention.head_count", "ARCHITECTURE.attention.head_count_kv"),
    ),
    ((tuple, ArraySummary), "an array", ("tokenizer.ggml.tokens",)),
)
"""The types of fields, if a file has them."""


def read(path: Path, name: str | None = None) -> GgufHeader:
    """Return the header of the GGUF file at `path`. Error messages call the file `name`.

    Raises:
        ModelMissing: there is no such file.
        IntegrityError: the file cannot be read, or its header is invalid.
    """
    try:
        with path.open("rb") as file:
            return _HeaderReader(path, file, name or path.name).header()
    except FileNotFoundError as error:
        raise ModelMissing(f"There is no file {path}.") from error
    except OSError as error:
        raise IntegrityError(f"{path} cannot be read: {error.strerror}.") from error


def missing_file(path: Path) -> ModelMissing:
    """Return the error that a model's file is missing, or that it is another kind of file."""
    try:
        mode = path.stat().st_mode
    except OSError:
        if path.is_symlink():
            return ModelMissing(f"{path} is a link to {path.readlink()}, which does not exist.")
        return ModelMissing(f"There is no file {path}.")
    kind = user_file.FILE_KINDS.get(stat.S_IFMT(mode), "a device")
    return ModelMissing(f"{path} is {kind}, not a file.")


class _HeaderReader:
    """Reads a header from the beginning to the end, and checks every count and length first."""

    def __init__(self, path: Path, file: BinaryIO, name: str) -> None:
        self.path = path
        self.name = name
        self.file = file
        self.size = os.fstat(file.fileno()).st_size
        self.buffer = b""
        """The beginning of the file, as far as it was needed."""
        self.position = 0
        self.field = "magic"
        """The field that is being read, for error messages."""

    def header(self) -> GgufHeader:
        """Read the header."""
        version = self.version()
        self.field = "tensor count"
        tensor_count = self.count(MAX_TENSORS)
        self.field = "field count"
        field_count = self.count(MAX_FIELDS)
        metadata = self.metadata(field_count)
        alignment = self.alignment(metadata)
        tensors = self.tensors(tensor_count, alignment)
        data_offset = _align(self.position, alignment) if tensors else self.position
        self.check_bounds(tensors, data_offset)
        self.check_architecture(metadata, tensors)
        self.check_types(metadata)
        return GgufHeader(self.path, version, metadata, tensors, data_offset, self.size)

    def error(self, message: str) -> IntegrityError:
        """Return an error about the field that is being read."""
        return IntegrityError(f"{self.name}: {self.field} {message}.")

    def advance(self, length: int) -> int:
        """Move past the next `length` bytes; return where they begin in the buffer."""
        start, end = self.position, self.position + length
        if end > self.size:
            raise self.error("reaches past the end of the file, which is truncated or damaged")
        if end > MAX_HEADER_BYTES:
            raise self.error(f"exceeds the header limit of {MAX_HEADER_BYTES >> 20} MiB")
        if end > len(self.buffer):
            wanted = max(end, 2 * len(self.buffer), MIN_READ_BYTES)
            self.file.seek(0)
            self.buffer = self.file.read(min(wanted, self.size, MAX_HEADER_BYTES))
            if end > len(self.buffer):
                raise self.error("reaches past the end of the file, which is truncated or damaged")
        self.position = end
        return start

    def number(self, kind: struct.Struct) -> Any:
        """Read a number."""
        start = self.advance(kind.size)
        return kind.unpack_from(self.buffer, start)[0]

    def count(self, maximum: int) -> int:
        """Read a count."""
        value: int = self.number(U64)
        if value > maximum:
            raise self.error(f"is {value}; the maximum is {maximum}")
        return value

    def text(self, max_bytes: int) -> str:
        """Read a string."""
        length: int = self.number(U64)
        if length > max_bytes:
            raise self.error(f"is {length} bytes long; the maximum is {max_bytes}")
        start = self.advance(length)
        try:
            return self.buffer[start : self.position].decode()
        except UnicodeDecodeError as error:
            raise self.error("is not UTF-8") from error

    def version(self) -> int:
        """Read the magic and the version."""
        start = self.file.read(file_kind.START_BYTES)
        magic = start[:4]
        if not magic or not b"GGUF".startswith(magic):
            if kind := file_kind.describe(start, self.size, self.name):
                what, advice = kind
                raise IntegrityError(f"{self.name} is not a GGUF file but {what}; {advice}.")
            raise self.error(f"is {magic!r}; this is not a GGUF file")
        self.advance(4)
        self.field = "version"
        version: int = self.number(U32)
        if version in [supported << 24 for supported in SUPPORTED_VERSIONS]:
            raise self.error("is big-endian; convert the file with gguf-convert-endian")
        if version not in SUPPORTED_VERSIONS:
            raise self.error(f"is {version}; versions 2 and 3 are supported")
        return version

    def metadata(self, count: int) -> dict[str, Any]:
        """Read the fields."""
        metadata: dict[str, Any] = {}
        for number in range(count):
            self.field = f"the name of field {number}"
            key = self.text(MAX_NAME_BYTES)
            self.field = f"field {key!r}"
            if key in metadata:
                raise self.error("appears twice")
            metadata[key] = self.value(self.number(U32))
        return metadata

    def value(self, type_code: int) -> Any:
        """Read the value of a field."""
        if type_code in NUMBER_TYPES:
            return self.number(NUMBER_TYPES[type_code][1])
        if type_code == BOOL:
            return self.boolean()
        if type_code == STRING:
            return self.text(MAX_STRING_BYTES)
        if type_code == ARRAY:
            return self.array()
        raise self.error(f"has the unknown type {type_code}")

    def boolean(self) -> bool:
        """Read a boolean."""
        start = self.advance(1)
        if self.buffer[start] > 1:
            raise self.error(f"is a boolean with the value {self.buffer[start]}")
        return self.buffer[start] == 1

    def array(self) -> tuple[Any, ...] | ArraySummary:
        """Read an array; the elements are returned only if it is short."""
        type_code: int = self.number(U32)
        count: int = self.number(U64)
        if type_code not in (BOOL, STRING, *NUMBER_TYPES):
            raise self.error(f"is an array of the unknown type {type_code}")
        if count > self.size:
            raise self.error(f"has {count} elements, more than the file has bytes")
        if count <= MAX_KEPT_ELEMENTS:
            return tuple(self.value(type_code) for _ in range(count))
        if type_code == STRING:
            self.skip_strings(count)
            return ArraySummary("string", count)
        if type_code == BOOL:
            self.advance(count)
            return ArraySummary("bool", count)
        name, kind = NUMBER_TYPES[type_code]
        self.advance(count * kind.size)
        return ArraySummary(name, count)

    def skip_strings(self, count: int) -> None:
        """Move past strings; a vocabulary has 150,000 of them, so the loop avoids `number`."""
        unpack: Callable[[bytes, int], tuple[int]] = U64.unpack_from
        for _ in range(count):
            start = self.advance(8)
            (length,) = unpack(self.buffer, start)
            if length > MAX_STRING_BYTES:
                raise self.error(
                    f"has a string of {length} bytes; the maximum is {MAX_STRING_BYTES}"
                )
            self.advance(length)

    def alignment(self, metadata: Mapping[str, Any]) -> int:
        """Return the alignment of the tensor data, in bytes."""
        self.field = "field 'general.alignment'"
        value = metadata.get("general.alignment", 32)
        if type(value) is not int or not 8 <= value <= 1 << 16 or value & (value - 1):
            raise self.error(f"is {value!r}, not a power of two from 8 to 65536")
        return value

    def tensors(self, count: int, alignment: int) -> tuple[TensorInfo, ...]:
        """Read the descriptions of the tensors, whose data must be contiguous."""
        tensors: list[TensorInfo] = []
        names: set[str] = set()
        expected_offset = 0
        for number in range(count):
            self.field = f"the name of tensor {number}"
            name = self.text(MAX_NAME_BYTES)
            self.field = f"tensor {name!r}"
            if name in names:
                raise self.error("appears twice")
            names.add(name)
            tensor = self.tensor(name)
            if tensor.offset != expected_offset:
                raise self.error(f"has the offset {tensor.offset}, not {expected_offset}")
            expected_offset = _align(expected_offset + tensor.size, alignment)
            tensors.append(tensor)
        return tuple(tensors)

    def tensor(self, name: str) -> TensorInfo:
        """Read the description of a tensor, after its name."""
        dimensions: int = self.number(U32)
        if not 1 <= dimensions <= 4:
            raise self.error(f"has {dimensions} dimensions, not 1 to 4")
        shape = tuple(int(self.number(U64)) for _ in range(dimensions))
        type_code: int = self.number(U32)
        if type_code not in TENSOR_TYPES:
            raise self.error(f"has the unknown type {type_code}")
        kind = TENSOR_TYPES[type_code]
        if shape[0] % kind.block_elements:
            raise self.error(
                f"has rows of {shape[0]} elements, which is not a multiple of the "
                f"{kind.block_elements} elements in a block of {kind.name}"
            )
        size = math.prod(shape) // kind.block_elements * kind.block_bytes
        return TensorInfo(name, kind.name, shape, int(self.number(U64)), size)

    def check_bounds(self, tensors: Sequence[TensorInfo], data_offset: int) -> None:
        """Check that the file contains the data of each tensor."""
        for tensor in tensors:
            end = data_offset + tensor.offset + tensor.size
            if end > self.size:
                self.field = f"tensor {tensor.name!r}"
                raise self.error(
                    f"ends at byte {end}, but the file has {self.size} bytes; it is truncated"
                )

    def check_architecture(
        self, metadata: Mapping[str, Any], tensors: Sequence[TensorInfo]
    ) -> None:
        """Check that a file with tensors names its architecture.

        The parts of a split model after the first have no metadata but the part's number.
        """
        self.field = "field 'general.architecture'"
        name = metadata.get("general.architecture")
        if name is None and metadata.get("split.no", 0) != 0:
            return
        if tensors and not (isinstance(name, str) and re.fullmatch(r"[\w.-]{1,64}", name)):
            raise self.error("is missing" if name is None else f"is {name!r}, not a name")

    def check_types(self, metadata: Mapping[str, Any]) -> None:
        """Check the types of the fields that this program reads; llama.cpp requires them too."""
        architecture = metadata.get("general.architecture", "")
        for field_type, what, keys in FIELD_TYPES:
            for key in keys:
                name = key.replace("ARCHITECTURE", str(architecture))
                value = metadata.get(name)
                self.field = f"field {name!r}"
                if value is None:
                    continue
                if not isinstance(value, field_type) or isinstance(value, bool):
                    raise self.error(f"is {_shown(value)}, not {what}")
                if isinstance(value, int) and value < 0:
                    raise self.error(f"is {value}, which is negative")


def _shown(value: object) -> str:
    """Return a value for an error message."""
    if isinstance(value, tuple | ArraySummary):
        return "an array"
    return reprlib.repr(value)


def _align(value: int, alignment: int) -> int:
    return (value + alignment - 1) // alignment * alignment
