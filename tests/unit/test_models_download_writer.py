"""Partial files, written through the page cache and past it."""

from __future__ import annotations

import hashlib
import io
import random
from pathlib import Path

import pytest

from xlam_local.models.download_writer import (
    BUFFER_BYTES,
    BUFFER_COUNT,
    DownloadWriter,
    WriterOptions,
)

OPTIONS = {
    "through the page cache": WriterOptions(fast_fill_s=0.0),
    "past the page cache": WriterOptions(fast_fill_s=1e9),
}


def complete(path: Path, data: bytes, random_: random.Random, options: WriterOptions) -> str:
    """Append the missing bytes of `data` in random pieces; return the checksum."""
    with DownloadWriter(path, options) as writer:
        list(writer.resume(len(data)))
        source = io.BytesIO(data)
        source.seek(writer.size)

        def read(buffer: memoryview) -> int:
            return source.readinto(buffer[: random_.randrange(1, 300_000)])

        while writer.append(len(data) - writer.size, read):
            pass
        return writer.finish().sha256()


@pytest.mark.parametrize("how", OPTIONS)
@pytest.mark.parametrize("before", [0, 1, 4096, 5000, BUFFER_BYTES, BUFFER_BYTES * 3 + 77])
def test_a_partial_file_is_completed(how: str, before: int, tmp_path: Path) -> None:
    data = random.Random(3).randbytes(5 * BUFFER_BYTES + 12_345)
    path = tmp_path / "partial"
    path.write_bytes(data[:before])
    checksum = complete(path, data, random.Random(before), OPTIONS[how])
    assert checksum == hashlib.sha256(data).hexdigest()
    assert path.read_bytes() == data


def test_a_file_system_that_refuses_a_direct_write_gets_a_normal_one(tmp_path: Path) -> None:
    # Direct writes that begin at no block are refused.
    options = WriterOptions(fast_fill_s=1e9, direct_io_block=1)
    data = random.Random(4).randbytes(3 * BUFFER_BYTES)
    path = tmp_path / "partial"
    path.write_bytes(data[:1])
    assert complete(path, data, random.Random(5), options) == hashlib.sha256(data).hexdigest()
    assert path.read_bytes() == data


@pytest.mark.parametrize("how", OPTIONS)
def test_all_bytes_are_in_the_file_after_the_block(how: str, tmp_path: Path) -> None:
    data = random.Random(6).randbytes(2 * BUFFER_BYTES + 99)
    source = io.BytesIO(data)
    with DownloadWriter(tmp_path / "partial", OPTIONS[how]) as writer:
        while writer.append(len(data), source.readinto):
            pass
    assert (tmp_path / "partial").read_bytes() == data


def test_an_old_buffer_is_written_before_it_is_full(tmp_path: Path) -> None:
    path = tmp_path / "partial"
    with DownloadWriter(path, WriterOptions(max_buffer_age_s=0.0)) as writer:
        for _ in range(BUFFER_COUNT + 1):  # The last one waits until the first one is written.
            writer.append(10, io.BytesIO(b"0123456789").readinto)
        assert path.stat().st_size >= 10


def test_a_restart_empties_the_file(tmp_path: Path) -> None:
    path = tmp_path / "partial"
    with DownloadWriter(path) as writer:
        writer.append(10, io.BytesIO(b"wrong").readinto)
        writer.restart()
        writer.append(10, io.BytesIO(b"right").readinto)
        assert writer.finish().sha256() == hashlib.sha256(b"right").hexdigest()
    assert path.read_bytes() == b"right"


def test_a_file_that_cannot_grow_is_an_error_and_keeps_its_bytes(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    data, path = random.Random(7).randbytes(8 * BUFFER_BYTES), tmp_path / "partial"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 * BUFFER_BYTES, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            complete(path, data, random.Random(8), WriterOptions())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == data[: 3 * BUFFER_BYTES]
