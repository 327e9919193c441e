"""Downloads that are killed at random moments."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes import fake_hub, gguf_files
from tests.fakes.fake_hub import FakeHub
from tests.fakes.model_store import new_store
from tests.fakes.pull_process import start_pull
from xlam_local.models import Store, hf_cache

MEGABYTE = 1 << 20
SIZE = 24 * MEGABYTE
BYTES_PER_S = 50 * MEGABYTE
MAX_REPEATED_BYTES = 8 * MEGABYTE
"""Bytes that can be downloaded twice because of a kill."""
REPO, FILE = "someone/some-model-gguf", "some-model-Q4_K_M.gguf"
NAME = f"hf:{REPO}:{FILE}"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    with fake_hub.running(FakeHub()) as hub:
        hub.add(REPO, gguf_files.write(tmp_path / "origin" / FILE, SIZE))
        hub.rate = BYTES_PER_S
        yield hub


def pull_and_kill(hub: FakeHub, store: Store, rng: random.Random) -> bool:
    """Start a pull and kill it at a random moment; return whether it was still running.

    Four of five kills are while bytes arrive.
    """
    requests = len(hub.range_requests)
    process = start_pull(hub.endpoint, NAME, store)
    try:
        wait_for_bytes = rng.random() < 0.8
        while wait_for_bytes and len(hub.range_requests) == requests and process.is_alive():
            time.sleep(0.002)
        time.sleep(rng.uniform(0, SIZE / BYTES_PER_S / 2))
        running = process.is_alive()
    finally:
        process.kill()
        process.join()
    assert running or process.exitcode == 0
    return running


@pytest.mark.parametrize("count", [4, pytest.param(100, marks=pytest.mark.slow)])
def test_a_killed_download_resumes_and_its_file_is_valid(
    count: int, hub: FakeHub, tmp_path: Path
) -> None:
    rng, kills, downloads = random.Random(7), 0, 0
    while kills < count:
        store = new_store(tmp_path / str(downloads))
        hub.range_requests.clear()
        while kills < count and pull_and_kill(hub, store, rng):
            kills += 1
        process = start_pull(hub.endpoint, NAME, store)
        process.join(60)
        assert process.exitcode == 0
        check_store(hub, store)
        downloads += 1
    print(f"{kills} kills in {downloads} downloads of {SIZE >> 20} MiB")


def check_store(hub: FakeHub, store: Store) -> None:
    """Check that the file is valid, nothing else is left, and few bytes were sent twice."""
    origin = hub.repos[REPO].files[FILE]
    path = hf_cache.snapshot_path(store.hub_cache, REPO, fake_hub.COMMIT, FILE)
    assert path.read_bytes() == origin.read_bytes()
    names = {file.name for file in store.hub_cache.rglob("*") if file.is_file()}
    assert names == {FILE, hub.sha256(origin), "main", f"{hub.sha256(origin)}.lock"}
    pairs = zip(hub.range_requests, hub.range_requests[1:], strict=False)
    repeated = [before.start + before.sent - after.start for before, after in pairs]
    assert all(0 <= count <= MAX_REPEATED_BYTES for count in repeated), repeated
    print(f"at most {max(repeated, default=0) / MEGABYTE:.1f} MiB sent twice")
