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

from tests import gguf_files
from xlam_local.errors import IntegrityError, ModelMissing
from xlam_local.models import ggml, gguf

MUTATIONS = int(os.environ.get("XLAM_MUTATIONS", "2000"))
"""How many broken headers are tried; 10,000 for the full test."""
NAMED = re.compile(
    r"^bad\.gguf: (magic|version|tensor count|field count|field '|the name of (field|tensor) \d+"
    r"|tensor '|array)"
)


def small(path: Path) -> Path:
    """A file with a field of every kind and a few tensors."""
    made = writer.GGUFWriter(str(path), "qwen2")
    made.add_context_length(32768)
    made.add_block_count(2)
    made.add_bool("general.flag", True)
    made.add_float32("qwen2.rope.freq_base", 1e6)
    made.add_uint64("general.long", 1 << 40)
    made.add_array("general.languages", ["en", "de"])
    made.add_array("tokenizer.ggml.tokens", [f"token {number}" for number in range(200)])
    made.add_array("tokenizer.ggml.token_type", [1] * 200)
    made.add_string("tokenizer.chat_template", "{{ messages }}")
    for name in ("token_embd.weight", "blk.0.attn_q.weight", "blk.1.attn_q.weight"):
        made.add_tensor(name, np.ones((4, 32), dtype=np.float32))
    made.add_tensor(
        "output.weight",
        np.zeros((4, 34), dtype=np.uint8),
        raw_dtype=writer.GGMLQuantizationType.Q8_0,
    )
    made.write_header_to_file()
    made.write_kv_data_to_file()
    made.write_tensors_to_file()
    made.close()
    return path


def test_a_header_is_read(tmp_path: Path) -> None:
    path = small(tmp_path / "good.gguf")
    header = gguf.read(path)
    assert header.architecture == "qwen2"
    assert header.number("context_length") == 32768
    assert header.template == "{{ messages }}"
    assert header.metadata["general.languages"] == ("en", "de")
    assert header.metadata["tokenizer.ggml.tokens"] == gguf.Array("string", 200)
    assert [tensor.name for tensor in header.tensors][-1] == "output.weight"
    assert header.tensors[-1].kind == "Q8_0"
    assert header.data + header.tensors[-1].offset + header.tensors[-1].size <= header.size


def test_the_types_of_tensors_are_those_of_the_library_that_writes_them() -> None:
    for kind, (name, block, size) in ggml.TENSOR_TYPES.items():
        theirs = writer.GGMLQuantizationType(kind)
        assert (theirs.name, writer.GGML_QUANT_SIZES[theirs]) == (name, (block, size))


def test_no_mutated_header_does_harm(tmp_path: Path) -> None:
    good = small(tmp_path / "good.gguf").read_bytes()
    end = gguf.read(tmp_path / "good.gguf").data
    path, chance = tmp_path / "bad.gguf", random.Random(11)
    before, began, said = memory(), time.monotonic(), list[str]()
    for _ in range(MUTATIONS):
        path.write_bytes(mutated(good, end, chance))
        try:
            gguf.read(path)
        except IntegrityError as error:
            said.append(str(error))
    assert [message for message in said if not NAMED.match(message)] == []
    assert len(said) > MUTATIONS // 3
    assert memory() - before < 200 << 20
    assert time.monotonic() - began < 120


def memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def mutated(good: bytes, end: int, chance: random.Random) -> bytes:
    """The file with a few bytes of its header changed, or cut, or grown."""
    data = bytearray(good)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(end)
        match chance.randrange(5):
            case 0:
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                data[at : at + 4] = struct.pack("<I", chance.choice([0, 1, 8, 9, 255, 2**32 - 1]))
            case 2:
                huge = chance.choice([2**64 - 1, 2**63, 2**40, 2**32, 10**6, 0])
                data[at : at + 8] = struct.pack("<Q", huge)
            case 3:
                del data[at:]
                data = data or bytearray(b"G")
                return bytes(data)
            case _:
                data[at:at] = chance.randbytes(chance.randint(1, 16))
    return bytes(data)


def put(path: Path, good: bytes, *changes: tuple[int, bytes]) -> Path:
    data = bytearray(good)
    for at, new in changes:
        data[at : at + len(new)] = new
    path.write_bytes(bytes(data))
    return path


@pytest.mark.parametrize(
    ("at", "new", "message"),
    [
        (0, b"PK\3\4", r"magic is b'PK.*not a GGUF file"),
        (4, struct.pack("<I", 1), "version is 1"),
        (4, struct.pack(">I", 3), "version is in big-endian order"),
        (8, struct.pack("<Q", 1 << 60), "tensor count is 1152921504606846976"),
        (16, struct.pack("<Q", 1 << 60), "field count is 1152921504606846976"),
        (24, struct.pack("<Q", 1 << 63), "the name of field 0 is 9223372036854775808 bytes long"),
    ],
)
def test_an_error_names_the_field(at: int, new: bytes, message: str, tmp_path: Path) -> None:
    good = small(tmp_path / "good.gguf").read_bytes()
    with pytest.raises(IntegrityError, match=message):
        gguf.read(put(tmp_path / "bad.gguf", good, (at, new)))


def test_a_tensor_beyond_the_end_is_refused(tmp_path: Path) -> None:
    path = small(tmp_path / "good.gguf")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(IntegrityError, match=r"tensor 'output\.weight' ends at byte"):
        gguf.read(path)


def test_an_offset_that_is_not_its_own_is_refused(tmp_path: Path) -> None:
    path = small(tmp_path / "good.gguf")
    data = path.read_bytes()
    at = data.index(b"blk.0.attn_q.weight") + len(b"blk.0.attn_q.weight") + 4 + 16 + 4
    with pytest.raises(IntegrityError, match=r"tensor 'blk\.0\.attn_q\.weight' has the offset 64"):
        gguf.read(put(tmp_path / "bad.gguf", data, (at, struct.pack("<Q", 64))))


def test_sizes_do_not_overflow(tmp_path: Path) -> None:
    path = small(tmp_path / "good.gguf")
    data = path.read_bytes()
    at = data.index(b"output.weight") + len(b"output.weight") + 4
    with pytest.raises(IntegrityError, match="ends at byte"):
        gguf.read(put(tmp_path / "bad.gguf", data, (at, struct.pack("<QQ", 1 << 62, 1 << 62))))


def test_a_file_without_an_architecture_is_refused(tmp_path: Path) -> None:
    path = small(tmp_path / "good.gguf")
    data = path.read_bytes().replace(b"general.architecture", b"general.xrchitecture")
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"field 'general\.architecture' is missing"):
        gguf.read(path)


@pytest.mark.parametrize("content", [b"", b"GG", b"GGUF", b"GGUF\3\0\0\0"])
def test_a_file_that_is_cut_short_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "short.gguf"
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match="reaches past the end of the file"):
        gguf.read(path)


def test_an_error_speaks_of_the_file_as_it_is_called(tmp_path: Path) -> None:
    path = tmp_path / "0123abcd.incomplete"
    path.write_bytes(b"<html>")
    with pytest.raises(IntegrityError, match=r"^model\.gguf: magic"):
        gguf.read(path, "model.gguf")


def test_a_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="There is no file"):
        gguf.read(tmp_path / "none.gguf")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="cannot be read"):
        gguf.read(tmp_path)


def test_the_files_of_tests_can_be_read(tmp_path: Path) -> None:
    header = gguf.read(gguf_files.write(tmp_path / "a.gguf", 10_000, general__name="xLAM"))
    assert header.metadata["general.name"] == "xLAM"
