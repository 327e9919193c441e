"""Verify the checksums and headers of installed models."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import IntegrityError
from . import file_kind, gguf
from .checksum import DamagedRange, compute_checksum, find_damage
from .gguf import GgufHeader
from .store import split_parts
from .types import InstalledModel, Progress, Store

SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of checking a file."""

    file: Path
    ok: bool
    problem: str = ""
    """A sentence, if the file is not valid."""


def read_complete(files: Sequence[Path]) -> GgufHeader:
    """Return the header of a model's first file, after checking that no file is missing.

    Raises:
        ModelMissing: a file is missing.
        IntegrityError: the header of a file is invalid, or it is another part of a split model.
    """
    for file in files:
        if not file.is_file():
            raise gguf.missing_file(file)
    headers = [gguf.read(file) for file in files]
    for number, header in enumerate(headers):
        count = header.metadata.get("split.count", 0)
        part = header.metadata.get("split.no", number)
        if count not in (0, 1, len(files)) or part != number:
            raise IntegrityError(
                f"{header.path.name} is part {part + 1} of {count} of a split model. Put all parts "
                "into one folder, with names such as "
                f"NAME-00001-of-{max(count, 1):05}.gguf, and use the first."
            )
    return headers[0]


def read_language_model(files: Sequence[Path]) -> GgufHeader:
    """Return the header of a model that writes text; see `read_complete`.

    Raises:
        IntegrityError: the file is valid, but it is something else.
    """
    header = read_complete(files)
    has_tensors = bool(header.tensors) or len(files) > 1
    if kind := file_kind.other_than_language_model(header.metadata, has_tensors):
        raise IntegrityError(f"{header.path.name} is {kind}.")
    return header


def read_header(path: Path) -> GgufHeader:
    """Return the header of the model at `path`, which can be a part of a split model.

    Raises:
        ModelMissing: a file is missing.
        IntegrityError: the header of a file is invalid.
    """
    return read_complete(list(split_parts(path)))


def verify(model: InstalledModel, store: Store) -> Iterator[Progress | CheckResult]:
    """Check every byte of an installed model: yield the progress, and a result for each file."""
    for file in model.files:
        yield (yield from _check_file(file, store))


def expected_sha256(file: Path) -> str | None:
    """Return the checksum that a file was installed with; None for a file outside the store."""
    blob = file.parent / file.readlink() if file.is_symlink() else file
    return blob.name if SHA256.fullmatch(blob.name) else None


def _check_file(file: Path, store: Store) -> Generator[Progress, None, CheckResult]:
    expected = expected_sha256(file)
    actual = yield from compute_checksum(file, f"checking {file.name}")
    if expected is None or actual.sha256() == expected:
        return _check_header(file)
    problem = f"{file.name} has the SHA-256 {actual.sha256()}, not {expected}"
    damage = find_damage(actual, expected, store)
    if damage is not None:
        problem += f"; {_damage_location(file, damage)}"
    return CheckResult(file, False, f"{problem}.")


def _check_header(file: Path) -> CheckResult:
    try:
        gguf.read(file)
    except IntegrityError as error:
        return CheckResult(file, False, str(error))
    return CheckResult(file, True)


def _damage_location(file: Path, damage: DamagedRange) -> str:
    """Return the damaged bytes as a phrase, with the tensors there if the header is readable."""
    if damage.start >= damage.end:
        return f"the file is truncated at byte {damage.end}"
    location = f"the first wrong byte is in the range {damage.start} to {damage.end - 1}"
    try:
        header = gguf.read(file)
    except IntegrityError:
        return location
    names = [
        tensor.name
        for tensor in header.tensors
        if header.data_offset + tensor.offset < damage.end
        and header.data_offset + tensor.offset + tensor.size > damage.start
    ]
    return f"{location} (tensors {names[0]} to {names[-1]})" if names else location
