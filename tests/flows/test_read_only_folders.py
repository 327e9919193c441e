"""Commands in folders on a file system that is mounted read-only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]
MOUNT = (
    'mount --bind "$XLAM_LOCAL_HOME" "$XLAM_LOCAL_HOME" && '
    'mount -o remount,bind,ro "$XLAM_LOCAL_HOME"'
)


def may_mount() -> bool:
    """Return whether this system lets a user mount a folder read-only."""
    if shutil.which("unshare") is None:
        return False
    environment = {**os.environ, "XLAM_LOCAL_HOME": str(Path(__file__).parent)}
    done = subprocess.run(
        [*UNSHARE, "sh", "-c", MOUNT], env=environment, check=False, capture_output=True
    )
    return done.returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not may_mount(), reason="this system does not let a user mount folders")
@pytest.mark.parametrize(
    ("command", "code", "expected"),
    [
        ("doctor", 1, "Set XLAM_LOCAL_HOME to a folder that can be written."),
        ("tools list", 0, "calculate"),
        ("history list", 0, ""),
        ("tools disable calculate", 2, "cannot be written: Read-only file system."),
    ],
)
def test_a_read_only_file_system_is_named(
    command: str, code: int, expected: str, own_folders: Path
) -> None:
    own_folders.mkdir(parents=True, exist_ok=True)
    words = [
        *UNSHARE,
        "sh",
        "-c",
        f'{MOUNT} && exec "$@"',
        "sh",
        sys.executable,
        "-m",
        "xlam_local",
    ]
    done = subprocess.run(
        [*words, *command.split()], capture_output=True, text=True, timeout=120, check=False
    )
    printed = done.stdout + done.stderr
    assert expected in printed
    assert "Traceback" not in printed
    assert "chmod" not in printed
    assert done.returncode == code, printed
