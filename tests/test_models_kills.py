"""Fetches that are killed at random moments; XLAM_KILLS says how often (100 for the full test)."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import gguf_files
from tests import hub as local
from xlam_local.models import cache

KILLS = int(os.environ.get("XLAM_KILLS", "12"))
MEGABYTE = 1 << 20
SIZE = 50 * MEGABYTE
TWICE = 8 * MEGABYTE
"""Bytes that may come a second time after a kill."""
REPO, FILE = "someone/some-model-gguf", "some-model-Q4_K_M.gguf"
PULL = """
import sys
from pathlib import Path
from xlam_local.models import Store, pull
for step in pull(sys.argv[1], Store(*map(Path, sys.argv[2:5]))):
    pass
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[local.Hub]:
    with local.running(local.Hub()) as served:
        served.add(REPO, gguf_files.write(tmp_path / "origin" / FILE, SIZE))
        served.rate = 50 * MEGABYTE
        yield served


def started(hub: local.Hub, folder: Path) -> subprocess.Popen[bytes]:
    folders = [str(folder / name) for name in ("hub", "data", "config")]
    command = [sys.executable, "-c", PULL, f"hf:{REPO}:{FILE}", *folders]
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(folder)}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)


def killed(hub: local.Hub, folder: Path, chance: random.Random) -> bool:
    """Start a fetch and kill it while bytes come, or at any moment; whether it was still going."""
    process = started(hub, folder)
    try:
        requests, moment = len(hub.served), chance.uniform(0, SIZE / hub.rate) if hub.rate else 0.0
        if chance.random() < 0.8:
            while len(hub.served) == requests and process.poll() is None:
                time.sleep(0.002)
        else:
            moment += chance.uniform(0, 1)
        time.sleep(moment / 4)
        going = process.poll() is None
    finally:
        process.kill()
        _, error = process.communicate()
    assert going or process.returncode == 0, error.decode()
    return going


def test_no_kill_costs_more_than_a_few_bytes_or_leaves_a_wrong_file(
    hub: local.Hub, tmp_path: Path
) -> None:
    chance, kills, downloads = random.Random(7), 0, 0
    while kills < KILLS:
        folder = tmp_path / str(downloads)
        hub.served.clear()
        while kills < KILLS and killed(hub, folder, chance):
            kills += 1
        done = started(hub, folder)
        _, error = done.communicate(timeout=60)
        assert done.returncode == 0, error.decode()
        check(hub, folder)
        downloads += 1
    print(f"{kills} kills over {downloads} downloads of {SIZE >> 20} MiB")


def check(hub: local.Hub, folder: Path) -> None:
    """The file is right, nothing is left over, and next to nothing came twice."""
    origin = hub.repos[REPO].files[FILE]
    path = cache.snapshot(folder / "hub", REPO, local.COMMIT, FILE)
    assert path.read_bytes() == origin.read_bytes()
    names = {one.name for one in (folder / "hub").rglob("*") if one.is_file()}
    assert names == {FILE, hub.sha256(origin), "main", f"{hub.sha256(origin)}.lock"}
    twice = [
        before.start + before.sent - after.start
        for before, after in zip(hub.served, hub.served[1:], strict=False)
    ]
    assert all(0 <= one <= TWICE for one in twice), twice
    print(f"at most {max(twice, default=0) / MEGABYTE:.1f} MiB twice")
