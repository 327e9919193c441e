"""Find the tools of installed packages by their entry points, without importing them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .. import user_file
from ..errors import UsageError

ENTRY_POINT_GROUP = "xlam_local.tools"


@lru_cache(maxsize=1)
def installed_entry_points() -> tuple[tuple[Path, str, str], ...]:
    """Return the entry points of all installed packages; they are searched once per process."""
    return tuple(find_entry_points(sys.path))


def find_entry_points(path: list[str]) -> Iterator[tuple[Path, str, str]]:
    """Yield the module's file, the name and the value of each entry point on a module path."""
    for package in distributions(path=path):
        for entry_point in package.entry_points:
            if entry_point.group == ENTRY_POINT_GROUP:
                yield _module_file(package, entry_point), entry_point.name, entry_point.value


def package_hash(path: Path, module: str) -> str:
    """Return a hash of all Python files in the top-level package of a module at `path`."""
    depth = module.count(".") + (path.name == "__init__.py")
    top = path.parents[depth - 1] if depth else path
    digest = sha256()
    for file in sorted(top.rglob("*.py")) if depth else [path]:
        with suppress(OSError):
            file_digest = sha256(file.read_bytes()).hexdigest()
            digest.update(f"{file.relative_to(top)} {file_digest}\n".encode())
    return digest.hexdigest()


def _module_file(package: Distribution, entry_point: EntryPoint) -> Path:
    """Return the file of an entry point's module; a path that does not exist if it is missing."""
    relative = Path(*entry_point.module.split("."))
    module = relative.with_suffix(".py")
    installed = Path(str(package.locate_file("")))
    for top in (installed, *_source_folders(package)):
        for path in (module, relative / "__init__.py"):
            if (top / path).is_file():
                return top / path
    return installed / module


def _source_folders(package: Distribution) -> Iterator[Path]:
    """Yield where the source of an editable installation can be."""
    try:
        found = user_file.parse_json(package.read_text("direct_url.json") or "{}", "The address")
        url = str(found["url"])
    except (UsageError, KeyError, TypeError):
        return
    if url.startswith("file://"):
        top = Path(unquote(urlsplit(url).path))
        yield from (top, top / "src")
