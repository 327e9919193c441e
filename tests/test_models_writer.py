"""Partial files that grow, by whichever way their bytes go to the disk."""

from __future__ import annotations

import hashlib
import io
import random
from pathlib import Path

import pytest

from xlam_local.models import writer
from xlam_local.models.writer import BUFFER, BUFFERS, Writer

WAYS = {"through the cache": 0.0, "directly": 1e9}
"""Seconds in which a buffer is taken to have been filled quickly."""


def filled(path: Path, data: bytes, pieces: random.Random) -> str:
    """Write what is missing of `data`, as it might come from a server; the digest."""
    with Writer(path) as one:
        list(one.take_up(len(data)))
        source = io.BytesIO(data)
        source.seek(one.size)

        def read(buffer: memoryview) -> int:
            return source.readinto(buffer[: pieces.randrange(1, 300_000)])

        while one.fill(len(data) - one.size, read):
            pass
        return one.finish().sha256()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("before", [0, 1, 4096, 5000, BUFFER, BUFFER * 3 + 77])
def test_a_file_grows_to_its_last_byte(
    way: str, before: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "QUICK", WAYS[way])
    data = random.Random(3).randbytes(5 * BUFFER + 12_345)
    path = tmp_path / "partial"
    path.write_bytes(data[:before])
    assert filled(path, data, random.Random(before)) == hashlib.sha256(data).hexdigest()
    assert path.read_bytes() == data


def test_a_system_that_refuses_a_direct_write_gets_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "QUICK", 1e9)
    monkeypatch.setattr(writer, "BLOCK", 1)  # So that direct writes begin where none may.
    data = random.Random(4).randbytes(3 * BUFFER)
    path = tmp_path / "partial"
    path.write_bytes(data[:1])
    assert filled(path, data, random.Random(5)) == hashlib.sha256(data).hexdigest()
    assert path.read_bytes() == data


@pytest.mark.parametrize("way", WAYS)
def test_what_came_is_there_when_the_writer_is_left(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "QUICK", WAYS[way])
    data = random.Random(6).randbytes(2 * BUFFER + 99)
    source = io.BytesIO(data)
    with Writer(tmp_path / "partial") as one:
        while one.fill(len(data), source.readinto):
            pass
    assert (tmp_path / "partial").read_bytes() == data


def test_few_bytes_do_not_wait_for_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "LONGEST", 0.0)
    path = tmp_path / "partial"
    with Writer(path) as one:
        for _ in range(BUFFERS + 1):  # The last needs the first one's buffer: it is written.
            one.fill(10, io.BytesIO(b"0123456789").readinto)
        assert path.stat().st_size >= 10


def test_an_empty_file_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "partial"
    with Writer(path) as one:
        one.fill(10, io.BytesIO(b"wrong").readinto)
        one.rewind()
        one.fill(10, io.BytesIO(b"right").readinto)
        assert one.finish().sha256() == hashlib.sha256(b"right").hexdigest()
    assert path.read_bytes() == b"right"


def test_a_file_that_cannot_grow_is_an_error_and_keeps_what_it_has(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    data, path = random.Random(7).randbytes(8 * BUFFER), tmp_path / "partial"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 * BUFFER, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            filled(path, data, random.Random(8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == data[: 3 * BUFFER]
