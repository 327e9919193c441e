"""Installed files held against the hash they were installed with."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import IntegrityError, ModelMissing
from . import gguf
from .digest import Fault, digest, fault
from .gguf import Header
from .types import Installed, Progress, Store

SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of checking one file."""

    file: Path
    right: bool
    why: str = ""
    """What is wrong, as a sentence."""


def whole(files: Sequence[Path]) -> Header:
    """The header of a model's first file, once each of its files is whole."""
    for file in files:
        if not file.is_file():
            raise ModelMissing(f"There is no file {file}.")
    headers = [gguf.read(file) for file in files]
    if (count := headers[0].metadata.get("split.count", 0)) not in (0, 1, len(files)):
        raise IntegrityError(f"{files[0].name}: field 'split.count' is {count}, not {len(files)}.")
    return headers[0]


def verify(model: Installed, store: Store) -> Iterator[Progress | Verdict]:
    """Check every byte of an installed model; each file ends with a verdict."""
    for file in model.files:
        yield (yield from _verdict(file, store))


def _verdict(file: Path, store: Store) -> Generator[Progress, None, Verdict]:
    expected = expected_hash(file)
    found = yield from digest(file, f"checking {file.name}")
    if expected is None:
        return _by_header(file)
    if found.sha256() == expected:
        return _by_header(file)
    where = fault(found, expected, store)
    said = f"has the SHA-256 {found.sha256()}, not {expected}"
    if where is None:
        return Verdict(file, False, f"{file.name} {said}.")
    return Verdict(file, False, f"{file.name} {said}; {_place(file, where)}.")


def _by_header(file: Path) -> Verdict:
    try:
        gguf.read(file)
    except IntegrityError as error:
        return Verdict(file, False, str(error))
    return Verdict(file, True)


def expected_hash(file: Path) -> str | None:
    """The hash that the store has the file under; None for one outside of it."""
    blob = file.parent / file.readlink() if file.is_symlink() else file
    return blob.name if SHA256.fullmatch(blob.name) else None


def _place(file: Path, where: Fault) -> str:
    """The bytes at fault, and the tensors they belong to where the header can still be read."""
    text = f"the first wrong byte is among {where.start} to {where.end - 1}"
    if where.start >= where.end:
        return f"it ends at byte {where.end}, too early"
    try:
        header = gguf.read(file)
    except IntegrityError:
        return text
    hit = [
        tensor.name
        for tensor in header.tensors
        if header.data + tensor.offset < where.end
        and header.data + tensor.offset + tensor.size > where.start
    ]
    return f"{text} (tensors {hit[0]} to {hit[-1]})" if hit else text
