"""GGUF headers: valid ones, and those that a hostile server could send."""

from __future__ import annotations

import os
import random
import re
import resource
import struct
import time
from pathlib import Path

import gguf as writer
import numpy as np
import pytest

from tests.fakes import gguf_files
from xlam_local.errors import IntegrityError, ModelMissing
from xlam_local.models import ggml, gguf
from xlam_local.models.memory_size import model_shape

MUTATIONS = int(os.environ.get("XLAM_MUTATIONS", "2000"))
"""The number of damaged headers; 10,000 for the full test."""
NAMES_A_FIELD = re.compile(
    r"^bad\.gguf: (magic|version|tensor count|field count|field '|the name of (field|tensor) \d+"
    r"|tensor '|array)"
)


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with fields of every kind and four tensors."""
    path = tmp_path_factory.mktemp("gguf") / "valid.gguf"
    file = writer.GGUFWriter(str(path), "qwen2")
    file.add_context_length(32768)
    file.add_block_count(2)
    file.add_bool("general.flag", True)
    file.add_float32("qwen2.rope.freq_base", 1e6)
    file.add_uint64("general.long", 1 << 40)
    file.add_array("general.languages", ["en", "de"])
    file.add_array("tokenizer.ggml.tokens", [f"token {number}" for number in range(200)])
    file.add_array("tokenizer.ggml.token_type", [1] * 200)
    file.add_string("tokenizer.chat_template", "{{ messages }}")
    for name in ("token_embd.weight", "blk.0.attn_q.weight", "blk.1.attn_q.weight"):
        file.add_tensor(name, np.ones((4, 32), dtype=np.float32))
    file.add_tensor(
        "output.weight",
        np.zeros((4, 34), dtype=np.uint8),
        raw_dtype=writer.GGMLQuantizationType.Q8_0,
    )
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return path


def changed(folder: Path, valid: Path, offset: int, new: bytes) -> Path:
    """Write a copy of a file with other bytes at `offset`."""
    data = bytearray(valid.read_bytes())
    data[offset : offset + len(new)] = new
    path = folder / "bad.gguf"
    path.write_bytes(bytes(data))
    return path


def test_a_header_is_read(valid: Path) -> None:
    header = gguf.read(valid)
    assert header.architecture == "qwen2"
    assert header.number("context_length") == 32768
    assert header.chat_template == "{{ messages }}"
    assert header.metadata["general.languages"] == ("en", "de")
    assert header.metadata["tokenizer.ggml.tokens"] == gguf.ArraySummary("string", 200)
    assert [tensor.name for tensor in header.tensors][-1] == "output.weight"
    last = header.tensors[-1]
    assert last.type == "Q8_0"
    assert header.data_offset + last.offset + last.size <= header.file_size


def test_the_tensor_types_are_those_of_the_gguf_package() -> None:
    for code, kind in ggml.TENSOR_TYPES.items():
        theirs = writer.GGMLQuantizationType(code)
        sizes = (kind.block_elements, kind.block_bytes)
        assert (theirs.name, writer.GGML_QUANT_SIZES[theirs]) == (kind.name, sizes)


@pytest.mark.parametrize("tokens", [3, 200])
def test_the_vocabulary_size_is_the_number_of_tokens(tokens: int, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    file = writer.GGUFWriter(str(path), "llama")
    file.add_context_length(100)
    file.add_block_count(1)
    file.add_embedding_length(64)
    file.add_head_count(2)
    file.add_array("tokenizer.ggml.tokens", [str(number) for number in range(tokens)])
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.close()
    shape = model_shape(gguf.read(path))
    assert (shape.vocabulary_size, shape.head_size, shape.kv_heads) == (tokens, 32, 2)


@pytest.mark.slow
def test_a_mutated_header_is_read_or_is_an_error_within_bounds(valid: Path, tmp_path: Path) -> None:
    data, header_bytes = valid.read_bytes(), gguf.read(valid).data_offset
    path, rng = tmp_path / "bad.gguf", random.Random(11)
    memory_before, start, messages = peak_memory(), time.monotonic(), list[str]()
    with path.open("wb", buffering=0) as file:  # To open it for each mutation would be slow.
        for _ in range(MUTATIONS):
            file.seek(0)
            file.truncate(file.write(mutate(data, header_bytes, rng)))
            try:
                gguf.read(path)
            except IntegrityError as error:
                messages.append(str(error))
    assert [message for message in messages if not NAMES_A_FIELD.match(message)] == []
    assert len(messages) > MUTATIONS // 3
    assert peak_memory() - memory_before < 200 << 20
    assert time.monotonic() - start < 120


def peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def mutate(original: bytes, header_bytes: int, rng: random.Random) -> bytes:
    """Return a file with a few bytes of its header changed, removed or inserted."""
    data = bytearray(original)
    for _ in range(rng.randint(1, 3)):
        offset = rng.randrange(header_bytes)
        match rng.randrange(5):
            case 0:
                data[offset] ^= 1 << rng.randrange(8)
            case 1:
                number = rng.choice([0, 1, 8, 9, 255, 2**32 - 1])
                data[offset : offset + 4] = struct.pack("<I", number)
            case 2:
                number = rng.choice([2**64 - 1, 2**63, 2**40, 2**32, 10**6, 0])
                data[offset : offset + 8] = struct.pack("<Q", number)
            case 3:
                del data[offset:]
                return bytes(data or b"G")
            case _:
                data[offset:offset] = rng.randbytes(rng.randint(1, 16))
    return bytes(data)


@pytest.mark.parametrize(
    ("offset", "new", "message"),
    [
        (0, b"PK\3\4", r"bad\.gguf is not a GGUF file but a zip archive; unpack it first"),
        (0, b"\xff\1\2\3", r"magic is .*not a GGUF file"),
        (4, struct.pack("<I", 1), "version is 1"),
        (4, struct.pack(">I", 3), "version is big-endian"),
        (8, struct.pack("<Q", 1 << 60), "tensor count is 1152921504606846976"),
        (16, struct.pack("<Q", 1 << 60), "field count is 1152921504606846976"),
        (24, struct.pack("<Q", 1 << 63), "the name of field 0 is 9223372036854775808 bytes long"),
    ],
)
def test_an_error_names_the_field(
    offset: int, new: bytes, message: str, valid: Path, tmp_path: Path
) -> None:
    with pytest.raises(IntegrityError, match=message):
        gguf.read(changed(tmp_path, valid, offset, new))


def test_a_tensor_beyond_the_end_of_the_file_is_rejected(valid: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(valid.read_bytes()[:-40])
    with pytest.raises(IntegrityError, match=r"tensor 'output\.weight' ends at byte"):
        gguf.read(path)


def test_overlapping_tensors_are_rejected(valid: Path, tmp_path: Path) -> None:
    name = b"blk.0.attn_q.weight"
    offset = valid.read_bytes().index(name) + len(name) + 4 + 16 + 4
    path = changed(tmp_path, valid, offset, struct.pack("<Q", 64))
    with pytest.raises(IntegrityError, match=r"tensor 'blk\.0\.attn_q\.weight' has the offset 64"):
        gguf.read(path)


def test_tensor_sizes_do_not_overflow(valid: Path, tmp_path: Path) -> None:
    name = b"output.weight"
    offset = valid.read_bytes().index(name) + len(name) + 4
    path = changed(tmp_path, valid, offset, struct.pack("<QQ", 1 << 62, 1 << 62))
    with pytest.raises(IntegrityError, match="ends at byte"):
        gguf.read(path)


def test_a_file_without_an_architecture_is_rejected(valid: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    data = valid.read_bytes().replace(b"general.architecture", b"general.xrchitecture")
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"field 'general\.architecture' is missing"):
        gguf.read(path)


@pytest.mark.parametrize("content", [b"GG", b"GGUF", b"GGUF\3\0\0\0"])
def test_a_truncated_header_is_rejected(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "short.gguf"
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match="reaches past the end of the file"):
        gguf.read(path)


@pytest.mark.parametrize(
    ("heads", "kv_heads", "expected"),
    [([2, 4], [1, 2], (4, 2)), (4, [1, 2], (4, 2)), (4, 1, (4, 1))],
)
def test_numbers_that_differ_between_layers_count_as_the_largest(
    heads: int | list[int], kv_heads: int | list[int], expected: tuple[int, int], tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    file = writer.GGUFWriter(str(path), "llama")
    file.add_context_length(100)
    file.add_block_count(2)
    file.add_embedding_length(64)
    file.add_head_count(heads)
    file.add_head_count_kv(kv_heads)
    file.add_array("tokenizer.ggml.tokens", ["a", "b"])
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.close()
    shape = model_shape(gguf.read(path))
    assert (shape.heads, shape.kv_heads) == expected


def test_an_error_calls_the_file_by_the_given_name(tmp_path: Path) -> None:
    path = tmp_path / "0123abcd.incomplete"
    path.write_bytes(b"<html>")
    with pytest.raises(IntegrityError, match=r"^model\.gguf is not a GGUF file but a web page"):
        gguf.read(path, "model.gguf")


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="There is no file"):
        gguf.read(tmp_path / "none.gguf")


def test_a_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="cannot be read"):
        gguf.read(tmp_path)


def test_the_files_for_tests_are_valid(tmp_path: Path) -> None:
    header = gguf.read(gguf_files.write(tmp_path / "a.gguf", 10_000, general__name="xLAM"))
    assert header.metadata["general.name"] == "xLAM"
