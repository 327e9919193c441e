"""Tools of installed packages, found by the entry point `xlam_local.tools`, without importing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path
from urllib.parse import unquote, urlsplit

GROUP = "xlam_local.tools"


@lru_cache(maxsize=1)
def entries() -> tuple[tuple[Path, str, str], ...]:
    """The file, name and value of each entry point for tools; looked up once per process."""
    return tuple(found(sys.path))


def found(path: list[str]) -> Iterator[tuple[Path, str, str]]:
    """The entry points of the packages on `path`."""
    for package in distributions(path=path):
        for entry in package.entry_points:
            if entry.group == GROUP:
                yield _file(package, entry), entry.name, entry.value


def known_by(path: Path, module: str) -> str:
    """What all Python files of the package are known by that a module at `path` belongs to."""
    depth = module.count(".") + (path.name == "__init__.py")
    top = path.parents[depth - 1] if depth else path
    whole = sha256()
    for file in sorted(top.rglob("*.py")) if depth else [path]:
        with suppress(OSError):
            whole.update(
                f"{file.relative_to(top)} {sha256(file.read_bytes()).hexdigest()}\n".encode()
            )
    return whole.hexdigest()


def _file(package: Distribution, entry: EntryPoint) -> Path:
    """Where the module of an entry point stands; a path that is not there if it is not found."""
    inner = Path(*entry.module.split("."))
    module = inner.with_suffix(".py")
    installed = Path(str(package.locate_file("")))
    for top in (installed, *_sources(package)):
        for path in (module, inner / "__init__.py"):
            if (top / path).is_file():
                return top / path
    return installed / module


def _sources(package: Distribution) -> Iterator[Path]:
    """Where a package that is being worked on has its source."""
    try:
        place = json.loads(package.read_text("direct_url.json") or "{}").get("url", "")
    except ValueError:
        return
    if place.startswith("file://"):
        top = Path(unquote(urlsplit(place).path))
        yield from (top, top / "src")
