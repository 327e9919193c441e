"""Python environments for clients of the server, below the folder of the tests' resources."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from tests.fakes.resources import CACHE_FOLDER

INSTALL_TIMEOUT_S = 600


def environment(name: str, *packages: str) -> str:
    """Return the Python of an environment with packages; uv resolves them faster than pip."""
    folder = CACHE_FOLDER / name
    program = str(folder / "bin" / "python")
    with FileLock(CACHE_FOLDER / f"{name}.lock"):
        if not (folder / "complete").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
            install([program, "-m", "pip", "install", "-q", "uv"])
            uv = [str(folder / "bin" / "uv"), "pip", "install", "-q", "--python", program]
            install([*uv, *packages])
            (folder / "complete").touch()
    return program


def install(command: list[str], folder: Path | None = None) -> None:
    """Install packages; skip the test if the registry does not give them."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
    )
    if done.returncode:
        pytest.skip(f"The client cannot be installed: {done.stderr.strip()[-300:]}")
