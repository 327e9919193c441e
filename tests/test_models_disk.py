"""Fetches onto a disk that is full or cannot be written, in a mount namespace of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import gguf_files
from tests import hub as local

MEGABYTE = 1 << 20
REPO, FILE = "someone/some-model-gguf", "some-model-Q4_K_M.gguf"
SPACE = ["unshare", "--map-root-user", "--mount"]
PULL = """
import sys
from pathlib import Path
from xlam_local.errors import XlamError
from xlam_local.models import Store, pull
fill = len(sys.argv) > 3
top = Path(sys.argv[1])
try:
    for step in pull(sys.argv[2], Store(top / "hub", top / "data", top / "config")):
        if fill and step.done > 2 << 20:
            fill = False
            try:
                with (top / "filler").open("wb") as file:
                    while True:
                        file.write(bytes(1 << 16))
                        file.flush()
            except OSError:
                pass
except XlamError as error:
    print(error)
    sys.exit(error.exit_code)
print("installed")
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[local.Hub]:
    with local.running(local.Hub()) as served:
        served.add(REPO, gguf_files.write(tmp_path / "origin" / FILE, 10 * MEGABYTE))
        served.rate = 40 * MEGABYTE
        yield served


def within(hub: local.Hub, folder: Path, script: str) -> str:
    """What a shell script says that has a small disk of its own at `folder`."""
    folder.mkdir()
    if shutil.which("unshare") is None or subprocess.run([*SPACE, "true"], check=False).returncode:
        pytest.skip("This system gives no mount namespaces.")
    pull = f'"{sys.executable}" "{folder.parent}/pull.py" "{folder}" "hf:{REPO}:{FILE}"'
    (folder.parent / "pull.py").write_text(PULL)
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "PULL": pull, "TOP": str(folder)}
    mounted = f'mount -t tmpfs -o size=100m none "$TOP" && {script}'
    done = subprocess.run(
        [*SPACE, "sh", "-c", mounted], env=environment, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


def test_a_disk_that_fills_up_keeps_what_has_come(hub: local.Hub, tmp_path: Path) -> None:
    said = within(
        hub,
        tmp_path / "disk",
        'eval "$PULL fill"; echo "exit $?"; find "$TOP" -type f -size +0 | sort;'
        'rm "$TOP/filler"; eval "$PULL"; find "$TOP" -name "*.incomplete"',
    ).splitlines()
    assert said[0].startswith("The disk is full at ")
    assert said[0].endswith("what has come so far is kept.")
    assert said[1] == "exit 1"
    assert [Path(line).name.partition(".")[2] for line in said[2:4]] == ["", "incomplete"]
    assert said[4:] == ["installed"]
    assert hub.served[-1].start > MEGABYTE


def test_a_disk_that_is_full_already_is_seen_at_once(hub: local.Hub, tmp_path: Path) -> None:
    filled = 'head -c 60m /dev/zero > "$TOP/filler"; eval "$PULL"; echo "exit $?"; ls "$TOP"'
    said = within(hub, tmp_path / "disk", filled).splitlines()
    assert "free some, or put HF_HOME on a larger disk" in said[0]
    assert said[1] == "exit 1"
    assert not hub.served


def test_a_cache_that_can_only_be_read_is_a_sentence(hub: local.Hub, tmp_path: Path) -> None:
    script = 'mount -o remount,ro "$TOP"; eval "$PULL"; echo "exit $?"; ls "$TOP"'
    said = within(hub, tmp_path / "disk", script).splitlines()
    assert said[0].endswith("is on a disk that can only be read.")
    assert said[1:] == ["exit 1"]


def test_a_model_in_a_cache_that_can_only_be_read_is_found(hub: local.Hub, tmp_path: Path) -> None:
    script = 'eval "$PULL"; mount -o remount,ro "$TOP"; eval "$PULL"; echo "exit $?"'
    assert within(hub, tmp_path / "disk", script).splitlines() == [
        "installed",
        "installed",
        "exit 0",
    ]
