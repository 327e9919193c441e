"""GGUF headers, read within bounds before llama.cpp sees the file."""

from __future__ import annotations

import math
import os
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import IntegrityError, ModelMissing
from .ggml import NUMBERS, TENSOR_TYPES

MAX_HEADER = 64 << 20
"""Bytes that a header may have; the largest vocabularies stay under 16 MiB."""
MAX_FIELDS = 1 << 12
MAX_TENSORS = 1 << 16
MAX_NAME = 1 << 10
MAX_STRING = 4 << 20
SHOWN = 64
"""Longer arrays are checked and skipped, and known by their kind and length only."""

BOOL, STRING, ARRAY = 7, 8, 9
U32 = struct.Struct("<I")
U64 = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Array:
    """An array too long to keep: what it holds, and how many."""

    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of the file."""

    name: str
    kind: str
    shape: tuple[int, ...]
    offset: int
    """Where its bytes begin, counted from the first tensor's."""
    size: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says of itself, checked against its length."""

    path: Path
    version: int
    metadata: Mapping[str, Any]
    tensors: tuple[Tensor, ...]
    data: int
    """Where the tensors begin in the file."""
    size: int
    """Bytes of the file."""

    @property
    def architecture(self) -> str:
        """The model's architecture, as llama.cpp names it."""
        return str(self.metadata.get("general.architecture", ""))

    def number(self, key: str) -> int | None:
        """A number of this architecture, such as `context_length`."""
        value = self.metadata.get(f"{self.architecture}.{key}")
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    @property
    def template(self) -> str | None:
        """The chat template in the file."""
        value = self.metadata.get("tokenizer.chat_template")
        return value if isinstance(value, str) else None


def read(path: Path, called: str | None = None) -> Header:
    """The header of the GGUF file at `path`; a file that cannot be what it claims is refused.

    An error speaks of the file as it is `called`, else by its own name.
    """
    try:
        with path.open("rb") as file:
            return _Reader(path, file, called or path.name).header()
    except FileNotFoundError as error:
        raise ModelMissing(f"There is no file {path}.") from error
    except OSError as error:
        raise IntegrityError(f"{path} cannot be read: {error.strerror}.") from error


class _Reader:
    """A place in a header that moves forward, and never past a bound."""

    def __init__(self, path: Path, file: BinaryIO, called: str) -> None:
        self.path = path
        self.called = called
        self.file = file
        self.size = os.fstat(file.fileno()).st_size
        self.buffer = b""
        self.at = 0
        self.field = "magic"

    def header(self) -> Header:
        """The whole header, each part checked as it is read."""
        version = self.version()
        self.field = "tensor count"
        tensors = self.count(MAX_TENSORS)
        self.field = "field count"
        fields = self.count(MAX_FIELDS)
        metadata = self.metadata(fields)
        step = self.alignment(metadata)
        listed = self.tensors(tensors, step)
        data = _padded(self.at, step) if listed else self.at
        self.inside(listed, data)
        self.architecture(metadata, listed)
        return Header(self.path, version, metadata, listed, data, self.size)

    def wrong(self, message: str) -> IntegrityError:
        """The error for the field that is being read."""
        return IntegrityError(f"{self.called}: {self.field} {message}.")

    def take(self, length: int) -> int:
        """Where the next `length` bytes begin in the buffer, which holds them from now on."""
        start, end = self.at, self.at + length
        if end > self.size:
            raise self.wrong("reaches past the end of the file")
        if end > MAX_HEADER:
            raise self.wrong(f"reaches past {MAX_HEADER >> 20} MiB, the most a header may have")
        if end > len(self.buffer):
            wanted = max(end, 2 * len(self.buffer), 1 << 16)
            self.file.seek(0)
            self.buffer = self.file.read(min(wanted, self.size, MAX_HEADER))
            if end > len(self.buffer):
                raise self.wrong("reaches past the end of the file")
        self.at = end
        return start

    def number(self, kind: struct.Struct) -> Any:
        """The next number."""
        start = self.take(kind.size)
        return kind.unpack_from(self.buffer, start)[0]

    def count(self, most: int) -> int:
        """The next count, at most `most`."""
        value: int = self.number(U64)
        if value > most:
            raise self.wrong(f"is {value}, more than {most}")
        return value

    def text(self, most: int) -> str:
        """The next string, at most `most` bytes long."""
        length: int = self.number(U64)
        if length > most:
            raise self.wrong(f"is {length} bytes long, more than {most}")
        start = self.take(length)
        try:
            return self.buffer[start : self.at].decode()
        except UnicodeDecodeError as error:
            raise self.wrong("is not UTF-8") from error

    def version(self) -> int:
        """The file's version, after its magic."""
        start = self.take(4)
        if (magic := self.buffer[start : self.at]) != b"GGUF":
            raise self.wrong(f"is {magic!r}, so this is not a GGUF file")
        self.field = "version"
        version: int = self.number(U32)
        if version in (2 << 24, 3 << 24):
            raise self.wrong("is in big-endian order, which this machine does not read")
        if version not in (2, 3):
            raise self.wrong(f"is {version}; versions 2 and 3 can be read")
        return version

    def metadata(self, count: int) -> dict[str, Any]:
        """All the fields."""
        metadata: dict[str, Any] = {}
        for number in range(count):
            self.field = f"the name of field {number}"
            key = self.text(MAX_NAME)
            self.field = f"field {key!r}"
            if key in metadata:
                raise self.wrong("stands twice")
            metadata[key] = self.value(self.number(U32))
        return metadata

    def value(self, kind: int) -> Any:
        """A field's value of this kind."""
        if kind in NUMBERS:
            return self.number(NUMBERS[kind][1])
        if kind == BOOL:
            return self.boolean()
        if kind == STRING:
            return self.text(MAX_STRING)
        if kind == ARRAY:
            return self.array()
        raise self.wrong(f"has the unknown type {kind}")

    def boolean(self) -> bool:
        """The next boolean, which is 0 or 1."""
        start = self.take(1)
        if self.buffer[start] > 1:
            raise self.wrong(f"is the boolean {self.buffer[start]}")
        return self.buffer[start] == 1

    def array(self) -> tuple[Any, ...] | Array:
        """The next array, kept when it is short."""
        kind: int = self.number(U32)
        count: int = self.number(U64)
        if kind not in (BOOL, STRING, *NUMBERS):
            raise self.wrong(f"is an array of the unknown type {kind}")
        if count > self.size:
            raise self.wrong(f"has {count} elements, more than the file has bytes")
        if count <= SHOWN:
            return tuple(self.value(kind) for _ in range(count))
        if kind == STRING:
            self.skip_strings(count)
            return Array("string", count)
        name, width = ("bool", 1) if kind == BOOL else (NUMBERS[kind][0], NUMBERS[kind][1].size)
        self.take(count * width)
        return Array(name, count)

    def skip_strings(self, count: int) -> None:
        """Go past `count` strings, each within the bounds."""
        unpack: Callable[[bytes, int], tuple[int]] = U64.unpack_from
        for _ in range(count):
            start = self.take(8)
            (length,) = unpack(self.buffer, start)
            if length > MAX_STRING:
                raise self.wrong(f"has a string of {length} bytes, more than {MAX_STRING}")
            self.take(length)

    def alignment(self, metadata: Mapping[str, Any]) -> int:
        """What the tensors' places are multiples of."""
        self.field = "field 'general.alignment'"
        value = metadata.get("general.alignment", 32)
        if type(value) is not int or not 8 <= value <= 1 << 16 or value & (value - 1):
            raise self.wrong(f"is {value!r}, not a power of two from 8 to 65536")
        return value

    def tensors(self, count: int, step: int) -> tuple[Tensor, ...]:
        """All the tensors' descriptions, which follow one another without gaps."""
        listed: list[Tensor] = []
        names: set[str] = set()
        expected = 0
        for number in range(count):
            self.field = f"the name of tensor {number}"
            name = self.text(MAX_NAME)
            self.field = f"tensor {name!r}"
            if name in names:
                raise self.wrong("stands twice")
            names.add(name)
            tensor = self.tensor(name)
            if tensor.offset != expected:
                raise self.wrong(f"has the offset {tensor.offset}, not {expected}")
            expected = _padded(expected + tensor.size, step)
            listed.append(tensor)
        return tuple(listed)

    def tensor(self, name: str) -> Tensor:
        """One tensor's description."""
        dimensions: int = self.number(U32)
        if not 1 <= dimensions <= 4:
            raise self.wrong(f"has {dimensions} dimensions, not 1 to 4")
        shape = tuple(int(self.number(U64)) for _ in range(dimensions))
        kind: int = self.number(U32)
        if kind not in TENSOR_TYPES:
            raise self.wrong(f"has the unknown type {kind}")
        label, block, width = TENSOR_TYPES[kind]
        if shape[0] % block:
            raise self.wrong(f"has rows of {shape[0]}, no multiple of {label}'s blocks of {block}")
        size = math.prod(shape) // block * width
        return Tensor(name, label, shape, int(self.number(U64)), size)

    def inside(self, tensors: Sequence[Tensor], data: int) -> None:
        """Check that each tensor's bytes lie within the file."""
        for tensor in tensors:
            if data + tensor.offset + tensor.size > self.size:
                self.field = f"tensor {tensor.name!r}"
                end = data + tensor.offset + tensor.size
                raise self.wrong(f"ends at byte {end}, but the file has {self.size}")

    def architecture(self, metadata: Mapping[str, Any], tensors: Sequence[Tensor]) -> None:
        """Check that the file says which architecture it is, where it holds a model."""
        self.field = "field 'general.architecture'"
        name = metadata.get("general.architecture")
        if tensors and not (isinstance(name, str) and re.fullmatch(r"[\w.-]{1,64}", name)):
            raise self.wrong("is missing" if name is None else f"is {name!r}, not a name")


def _padded(value: int, step: int) -> int:
    return (value + step - 1) // step * step
