"""Downloads to disks that are full or read-only, in a mount namespace."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

import pytest

from tests.fakes import fake_hub, gguf_files
from tests.fakes.fake_hub import FakeHub

MEGABYTE = 1 << 20
FILE = "some-model-Q4_K_M.gguf"
NAMESPACE = ["unshare", "--map-root-user", "--mount"]
SCENARIOS = {
    "fills up": f"download(fill_at={2 * MEGABYTE}); files(); filler.unlink(); download(); files()",
    "is full": f"fill({60 * MEGABYTE}); download(); files()",
    "becomes read-only": "remount('ro'); download()",
    "is read-only with the model": "download(); remount('ro'); download()",
}
"""What happens to a disk of 100 MB. Each scenario has a repository of its own."""
PROGRAM = """
import json, subprocess, sys
from pathlib import Path
from xlam_local.errors import XlamError
from xlam_local.models import Store
from xlam_local.models.pull_model import pull

def fill(size=None):
    with filler.open("wb") as file:
        try:
            while size is None or file.tell() < size:
                file.write(bytes(1 << 16))
                file.flush()
        except OSError:
            pass

def remount(options):
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)

def download(fill_at=None):
    try:
        for step in pull(f"hf:some/{disk.name}:Q4_K_M", Store(disk / "hub", disk, disk)):
            if fill_at is not None and step.done > fill_at:
                fill_at = fill()
        output.append("installed")
    except XlamError as error:
        output.append(str(error))

def files():
    written = [path for path in sorted(disk.rglob("*")) if path.is_file() and path.stat().st_size]
    output.append(" ".join(path.suffix or path.name for path in written))

outputs = []
for number, steps in enumerate(json.loads(sys.argv[2])):
    disk, output = Path(sys.argv[1]) / f"disk{number}-gguf", []
    filler = disk / "filler"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "none", str(disk)], check=True)
    exec(steps)
    outputs.append(output)
print(json.dumps(outputs))
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a scenario printed, and at which offsets it requested bytes."""

    lines: list[str]
    starts: list[int]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """The outcome of each scenario. All run in one process, because its start takes a second."""
    missing = shutil.which("unshare") is None
    if missing or subprocess.run([*NAMESPACE, "true"], check=False).returncode:
        pytest.skip("This system does not allow mount namespaces.")
    folder = tmp_path_factory.mktemp("disks")
    with fake_hub.running(FakeHub()) as hub:
        origin = gguf_files.write(folder / FILE, 10 * MEGABYTE)
        for number in range(len(SCENARIOS)):
            hub.add(f"some/disk{number}-gguf", origin)
        hub.rate = 60 * MEGABYTE
        steps = json.dumps(list(SCENARIOS.values()))
        command = [*NAMESPACE, sys.executable, "-c", PROGRAM, str(folder), steps]
        environment = {**os.environ, "HF_ENDPOINT": hub.endpoint}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {
        scenario: Outcome(
            lines,
            [one.start for one in hub.range_requests if one.repo == f"some/disk{number}-gguf"],
        )
        for number, (scenario, lines) in enumerate(
            zip(SCENARIOS, json.loads(done.stdout), strict=True)
        )
    }


def test_a_disk_that_fills_up_keeps_the_partial_file(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["fills up"]
    error, files, installed, files_after = outcome.lines
    assert error.startswith("The disk is full at ")
    assert error.endswith("a partial download resumes.")
    assert ".incomplete" in files
    assert installed == "installed"
    assert ".incomplete" not in files_after
    assert outcome.starts[-1] > MEGABYTE


def test_a_full_disk_is_noticed_before_the_download(outcomes: dict[str, Outcome]) -> None:
    error, files = outcomes["is full"].lines
    assert error.startswith("Not enough disk space: 10 MB more are needed")
    assert files == "filler"
    assert not outcomes["is full"].starts


def test_a_read_only_cache_is_an_error(outcomes: dict[str, Outcome]) -> None:
    (error,) = outcomes["becomes read-only"].lines
    assert error.endswith("is on a read-only file system.")


def test_a_model_in_a_read_only_cache_is_found(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["is read-only with the model"].lines == ["installed", "installed"]
