"""Identify files that are not a language model in GGUF format."""

from __future__ import annotations

import codecs
import re
import string
import struct
from collections.abc import Callable, Mapping
from typing import Any

START_BYTES = 4096
"""How many bytes at the beginning of a file `describe` needs."""

DOWNLOAD = "download the file itself"
CONVERT = "convert it with llama.cpp's convert_hf_to_gguf.py"
UNPACK = "unpack it first"
JOIN = "join all pieces with `cat`"

PIECE_NAME = re.compile(
    r"(-split-[a-z]{1,2}|\.part-?\d+(of\d+)?|\.gguf\.?\d{2,3}|\.gguf-[a-z]{2})$"
)
PRINTABLE = frozenset(string.printable.encode())

UTF16_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}

SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer", "run `git lfs pull`"),
    (b"version http://git-media.io/", "a Git LFS pointer", "run `git lfs pull`"),
    (b"version https://hawser.github.com/spec/", "a Git LFS pointer", "run `git lfs pull`"),
    (b"# xet version", "a Xet pointer", DOWNLOAD),
    (b"\x1f\x8b", "a gzip archive", UNPACK),
    (b"\xfd7zXZ\0", "an xz archive", UNPACK),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", UNPACK),
    (b"BZh", "a bzip2 archive", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", UNPACK),
    *(
        (magic, "a model in a format older than GGUF", "download a GGUF version of the model")
        for magic in (b"lmgg", b"fmgg", b"tjgg", b"algg", b"slgg")
    ),
    (b"FUGG", "a big-endian GGUF file", "convert it with gguf-convert-endian"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes models", CONVERT),
    (b"\x93NUMPY", "a NumPy array", CONVERT),
    (b"%PDF-", "a PDF document", DOWNLOAD),
    (b"GGUF", "a GGUF file that a program changed as if it were text", "download it again"),
    (b"\x89PNG", "an image", DOWNLOAD),
    (b"\xff\xd8\xff", "an image", DOWNLOAD),
    (b"\x7fELF", "a program", DOWNLOAD),
    (b"MZ", "a Windows program", DOWNLOAD),
    (b"SQLite format 3\0", "an SQLite database", DOWNLOAD),
)
"""The first bytes of files, what they are, and what to do."""


def describe(start: bytes, size: int, name: str) -> tuple[str, str] | None:
    """Return what a file is and what to do, from its first bytes; None if that is unknown."""
    if (utf16 := _from_utf16(start)) is not None:
        what, advice = describe(utf16, size, name) or ("a text file", DOWNLOAD)
        return f"{what} in UTF-16, as PowerShell's > writes", advice
    if size == 0:
        return "an empty file", "download it again"
    if not start.strip(b"\0"):
        return "a file of zero bytes", "download it again"
    if (known := _recognized(start.removeprefix(codecs.BOM_UTF8), size)) is not None:
        return known
    return ("one piece of a file that was cut", JOIN) if PIECE_NAME.search(name) else None


def _recognized(start: bytes, size: int) -> tuple[str, str] | None:
    """Return what a file is by its content."""
    for signature, what, advice in SIGNATURES:
        if start.startswith(signature):
            return what, advice
    text = start.lstrip()
    for matches, what, advice in CONTENTS:
        if matches(start, text, size):
            return what, advice
    return None


def _from_utf16(start: bytes) -> bytes | None:
    """Return the first bytes of a text in UTF-16 as UTF-8; None for all else."""
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return None
    order = next((one for mark, one in UTF16_MARKS.items() if start.startswith(mark)), None)
    order = order or _order_of_zeros(start[: len(start) // 2 * 2])
    if order is None:
        return None
    text = start.decode(order, "ignore").removeprefix("\ufeff").encode("utf-8", "ignore")
    return text if text.startswith(b"GGUF") or _is_text(text, text, 0) else None


def _order_of_zeros(start: bytes) -> str | None:
    """Return the byte order if every second byte is zero and the others are ASCII."""
    for order, letters, zeros in (
        ("utf-16-le", start[::2], start[1::2]),
        ("utf-16-be", start[1::2], start[::2]),
    ):
        if len(letters) >= 4 and not zeros.strip(b"\0") and PRINTABLE.issuperset(letters):
            return order
    return None


def _is_web_page(_start: bytes, text: bytes, _size: int) -> bool:
    return re.match(rb"(<\?xml|<!--|<!doctype|<html|<head|<body)", text, re.IGNORECASE) is not None


def _is_safetensors(start: bytes, _text: bytes, size: int) -> bool:
    if len(start) < 10:
        return False
    (length,) = struct.unpack_from("<Q", start)
    return 2 <= length <= size - 8 and start[8:9] == b"{"


def _is_pytorch(start: bytes, _text: bytes, _size: int) -> bool:
    return start.startswith(b"PK\3\4") and b"/data.pkl" in start


def _is_zip(start: bytes, _text: bytes, _size: int) -> bool:
    return start.startswith((b"PK\3\4", b"PK\5\6"))


def _is_tar(start: bytes, _text: bytes, _size: int) -> bool:
    return start[257:262] == b"ustar"


def _is_pickle(start: bytes, _text: bytes, _size: int) -> bool:
    return (
        len(start) > 2 and start[0] == 0x80 and 2 <= start[1] <= 5 and start[2] in b"}](c\x8a\x95"
    )


def _is_json(start: bytes, text: bytes, _size: int) -> bool:
    return text.startswith((b'{"', b"{\n", b"{ ", b"{\r", b"[")) and _is_text(start, text, 0)


def _is_text(start: bytes, _text: bytes, _size: int) -> bool:
    return bool(start) and (PRINTABLE.issuperset(start) or _is_utf8_text(start))


def _is_utf8_text(start: bytes) -> bool:
    text = start.decode("utf-8", "ignore")
    printable = all(letter.isprintable() or letter in string.whitespace for letter in text)
    # The last character of a part of a text may be cut.
    return printable and len(text.encode()) >= len(start) - 3


Matches = Callable[[bytes, bytes, int], bool]
CONTENTS: tuple[tuple[Matches, str, str], ...] = (
    (_is_web_page, "a web page", DOWNLOAD),
    (_is_safetensors, "a safetensors file", CONVERT),
    (_is_pytorch, "a PyTorch model", CONVERT),
    (_is_zip, "a zip archive", UNPACK),
    (_is_tar, "a tar archive", UNPACK),
    (_is_pickle, "a Python pickle, as old versions of PyTorch write models", CONVERT),
    (_is_json, "JSON text, such as the error message of a server", DOWNLOAD),
    (_is_text, "a text file", DOWNLOAD),
)
"""Files that are recognized by more than their first bytes, in this order."""

OTHER_TYPES = {
    "mmproj": "an encoder of images or audio (mmproj); use the file of the language model",
    "adapter": "a LoRA adapter; merge it into its model with llama.cpp's llama-export-lora",
    "imatrix": "an importance matrix for quantization; use the file of the model",
    "vocab": "only a vocabulary without weights; use the file of the model",
    "controlvector": "a control vector; use the file of the model",
    "embedding": "a model for embeddings or ranking, which writes no text",
    "audio": "a model that writes audio",
}
"""What GGUF files can be, by the field `general.type` or by our own name."""
OTHER_ARCHITECTURES = {
    "clip": "mmproj",
    "imatrix": "imatrix",
    "controlvector": "controlvector",
    "wavtokenizer-dec": "audio",
    **dict.fromkeys(
        (
            *("bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2"),
            *("jina-bert-v3", "eurobert", "gemma-embedding", "llama-embed", "t5encoder"),
        ),
        "embedding",
    ),
}


def other_than_language_model(metadata: Mapping[str, Any], has_tensors: bool) -> str:
    """Return what a valid GGUF file is, if it is no language model; empty if it is one."""
    architecture = str(metadata.get("general.architecture", ""))
    types = (
        str(metadata.get("general.type", "")),
        OTHER_ARCHITECTURES.get(architecture, ""),
        "adapter" if "adapter.type" in metadata else "",
        "embedding" if metadata.get(f"{architecture}.pooling_type") else "",
        "vocab" if not has_tensors else "",
    )
    return next((OTHER_TYPES[one] for one in types if one in OTHER_TYPES), "")
