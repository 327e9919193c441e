"""Python environments for clients of the server, below the folder of the tests' resources."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from filelock import FileLock

from tests.fakes.resources import CACHE_FOLDER

INSTALL_TIMEOUT_S = 600


def environment(name: str, *packages: str, without: Sequence[str] = ()) -> str:
    """Return the Python of an environment with packages; uv resolves them faster than pip.

    Packages of `without` are left out, although others require them.
    """
    folder = CACHE_FOLDER / name
    program = str(folder / "bin" / "python")
    with FileLock(CACHE_FOLDER / f"{name}.lock"):
        if not (folder / "complete").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
            install([program, "-m", "pip", "install", "-q", "uv"])
            uv = [str(folder / "bin" / "uv"), "pip", "install", "-q", "--python", program]
            overrides = folder / "overrides.txt"
            overrides.write_text("".join(f"{name}; python_version < '3'\n" for name in without))
            links = [f"--find-links={place}" for place in _find_links(program)]
            install([*uv, "--overrides", str(overrides), *links, *packages])
            (folder / "complete").touch()
    return program


def _find_links(program: str) -> list[str]:
    """Return where pip finds packages besides its index; uv does not read pip's settings."""
    command = [program, "-m", "pip", "config", "get", "global.find-links"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.split()


def install(command: list[str], folder: Path | None = None) -> None:
    """Install packages; skip the test if the registry does not give them in time."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"The client was not installed within {INSTALL_TIMEOUT_S} s.")
    if done.returncode:
        pytest.skip(f"The client cannot be installed: {done.stderr.strip()[-300:]}")
