"""Files that are no GGUF files, named for what they are."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import gguf as gguf_package
import numpy as np
import pytest

from tests.fakes import gguf_files
from xlam_local.errors import IntegrityError
from xlam_local.models import gguf

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 986048192\n"
PAGE = "  <!DOCTYPE html>\n<html><head><title>404</title></head></html>"
HEADER = json.dumps({"weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()


def zip_of(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, b"x" * 100)
    return file.getvalue()


def tar_of(name: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return file.getvalue()


KINDS = {
    "an empty file": (b"", "an empty file; download it again"),
    "zero bytes": (b"\0" * 10_000, "a file of zero bytes; download it again"),
    "a Git LFS pointer": (
        LFS.format("ab" * 32).encode(),
        "a Git LFS pointer; run `git lfs pull`",
    ),
    "a web page": (PAGE.encode(), "a web page; download the file itself"),
    "a web page with a mark": (b"\xef\xbb\xbf<html lang=en>", "a web page"),
    "an XML error": (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "a web page"),
    "a JSON error": (b'{"error": "Invalid username or password."}', "JSON text"),
    "an Ollama manifest": (b'{"schemaVersion":2,"layers":[]}', "JSON text"),
    "a text file": (b"Entry not found", "a text file"),
    "a README": ("# Modell\n\nGrößer ist besser.\n".encode(), "a text file"),
    "safetensors": (
        struct.pack("<Q", len(HEADER)) + HEADER + bytes(8),
        "a safetensors file; convert it with llama.cpp's convert_hf_to_gguf.py",
    ),
    "a PyTorch model": (zip_of("archive/data.pkl"), "a PyTorch model; convert it"),
    "a zip archive": (zip_of("model.gguf"), "a zip archive; unpack it first"),
    "a tar archive": (tar_of("model.gguf"), "a tar archive; unpack it first"),
    "a pickle": (pickle.dumps({"weight": [1.0]}), "a Python pickle"),
    "an old pickle": (pickle.dumps({"weight": [1.0]}, 2), "a Python pickle"),
    "a gzip archive": (b"\x1f\x8b\x08" + bytes(99), "a gzip archive; unpack it first"),
    "a zstd archive": (b"\x28\xb5\x2f\xfd" + bytes(99), "a zstd archive"),
    "an xz archive": (b"\xfd7zXZ\0" + bytes(99), "an xz archive"),
    "a GGML model": (b"tjgg\3\0\0\0" + bytes(99), "a model in a format older than GGUF"),
    "an HDF5 file": (b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file"),
    "a reversed magic": (b"FUGG\0\0\0\3" + bytes(99), "a big-endian GGUF file; convert it"),
    "a Git LFS pointer with a mark": (b"\xef\xbb\xbf" + LFS.encode(), "a Git LFS pointer"),
    "an old Git LFS pointer": (
        b"version https://hawser.github.com/spec/v1\noid sha256:ab\n",
        "a Git LFS pointer; run `git lfs pull`",
    ),
    "a GGUF file with a mark": (
        b"\xef\xbb\xbfGGUF\3\0\0\0" + bytes(99),
        "a GGUF file that a program changed as if it were text; download it again",
    ),
    "a GGUF file in UTF-16": (
        "GGUF\3\0\0".encode("utf-16"),
        "a GGUF file that a program changed as if it were text in UTF-16, as PowerShell's > "
        "writes; download it again",
    ),
    "a web page in UTF-16": (
        PAGE.encode("utf-16"),
        "a web page in UTF-16, as PowerShell's > writes; download the file itself",
    ),
    "JSON in UTF-16 without a mark": (b'\0{\0"\0a\0"\0:\0\x31\0}', "JSON text"),
    "a short text": (b"404", "a text file; download the file itself"),
    "an image": (b"\x89PNG\r\n" + bytes(99), "an image"),
    "a PDF document": (b"%PDF-1.7\n", "a PDF document"),
}


@pytest.mark.parametrize(("content", "message"), KINDS.values(), ids=KINDS)
def test_a_file_is_named_for_what_it_is(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(IntegrityError) as error:
        gguf.read(path)
    assert str(error.value).startswith(f"model.gguf is not a GGUF file but {message}")
    assert str(error.value).endswith(".")


@pytest.mark.parametrize(
    "name", ["m.gguf-split-b", "m.gguf.part2of3", "m.gguf.002", "m.gguf-ab", "m.gguf.part-2"]
)
def test_a_piece_of_a_file_is_named_by_its_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(bytes(range(256)) * 16)
    with pytest.raises(IntegrityError, match="one piece of a file that was cut; join all pieces"):
        gguf.read(path)


def test_unknown_bytes_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(bytes(range(256)) * 16)
    with pytest.raises(IntegrityError, match=r"^x\.gguf: magic is .*; this is not a GGUF file\.$"):
        gguf.read(path)


def test_bytes_that_begin_like_a_byte_order_mark_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(bytes(range(255, -1, -1)))
    with pytest.raises(IntegrityError, match=r"magic is .*; this is not a GGUF file\.$"):
        gguf.read(path)


def test_a_truncated_file_says_so(tmp_path: Path) -> None:
    whole = gguf_files.write(tmp_path / "x.gguf").read_bytes()
    for size in (5, 30, 100, len(whole) - 100):
        (tmp_path / "x.gguf").write_bytes(whole[:size])
        with pytest.raises(IntegrityError, match="truncated"):
            gguf.read(tmp_path / "x.gguf")


def test_a_big_endian_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    writer = gguf_package.GGUFWriter(str(path), "llama", endianess=gguf_package.GGUFEndian.BIG)
    writer.add_tensor("w", np.ones(8, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(IntegrityError, match="is big-endian; convert the file with gguf-convert"):
        gguf.read(path)
