"""Import GGUF files of this computer into the store, by link or by copy."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..errors import UsageError
from . import hf_cache, model_names
from .checksum import compute_checksum, save_block_hashes
from .disk import check_free_space, write_errors
from .gguf import GgufHeader
from .model_names import CatalogEntry, HubFile, LocalFile, is_safe_path
from .store import SPLIT_FILE, list_installed, split_parts
from .types import LOCAL_OWNER, Progress, Store
from .user_catalog import load_catalog
from .verify import read_language_model

COPY_CHUNK_BYTES = 8 << 20
MODEL_NAME = re.compile(r"[^\W_][\w.-]{0,95}")
MAX_NAME_CHARACTERS = 96
FILE_SUFFIX = re.compile(
    r"(\.(gguf|ggml|bin|model|part|download|crdownload|incomplete|tmp))+$", re.IGNORECASE
)
CHECKSUM_NAME = re.compile(r"(sha256[-_:]?)?[0-9a-fA-F]{32,}")
"""The names of the files of Ollama and of the Hugging Face cache."""


def link(path: Path, store: Store, name: str | None = None) -> Iterator[Progress]:
    """Import a file without copying it: by a hard link, or a symbolic link to another disk.

    All parts of a split model are imported. The last progress has the path in the store.

    Raises:
        ModelMissing: a file is missing.
        IntegrityError: a file is not valid GGUF.
        UsageError: the name is not valid, or another model has it.
    """
    yield from _import(path, store, name, copy=False)


def copy(path: Path, store: Store, name: str | None = None) -> Iterator[Progress]:
    """Import a copy of a file; see `link`."""
    yield from _import(path, store, name, copy=True)


def _import(path: Path, store: Store, name: str | None, copy: bool) -> Iterator[Progress]:
    files = list(split_parts(path.expanduser().absolute()))
    header = read_language_model(files)
    name = _check_name(name or _default_name(header), store)
    repo = f"{LOCAL_OWNER}/{name}"
    checksums = []
    for file in files:
        checksums.append((yield from compute_checksum(file, f"reading {file.name}")))
    # Git commits have 40 digits; the checksum's first 40 identify an imported model as well.
    commit = checksums[0].sha256()[:40]
    if hf_cache.commit_of(store.hub_cache, repo, "main") not in (None, commit):
        raise UsageError(f"Another model is called {name}; give this one another name with --name.")
    for file, checksum in zip(files, checksums, strict=True):
        blob = hf_cache.blob_path(store.hub_cache, repo, checksum.sha256())
        if not blob.is_file():
            yield from _store_blob(file, blob, copy)
        save_block_hashes(checksum, store)
        hub_file = HubFile(repo, _stored_name(file, name))
        hf_cache.link_snapshot(store.hub_cache, hub_file, commit, blob.name)
    size = sum(file.stat().st_size for file in files)
    first = hf_cache.snapshot_path(store.hub_cache, repo, commit, _stored_name(files[0], name))
    yield Progress(size, size, "installed", first)


def _store_blob(file: Path, blob: Path, copy: bool) -> Iterator[Progress]:
    with write_errors(blob):
        blob.parent.mkdir(parents=True, exist_ok=True)
        if copy:
            yield from _copy_file(file, blob)
        else:
            _link_file(file, blob)


def _link_file(file: Path, blob: Path) -> None:
    blob.unlink(missing_ok=True)
    try:
        blob.hardlink_to(file.resolve())
    except OSError:
        blob.symlink_to(file.resolve())


def _copy_file(file: Path, blob: Path) -> Iterator[Progress]:
    partial = hf_cache.partial_path(blob)
    total, done = file.stat().st_size, 0
    check_free_space(partial, total)
    with file.open("rb") as source, partial.open("wb") as target:
        while chunk := source.read(COPY_CHUNK_BYTES):
            target.write(chunk)
            done += len(chunk)
            yield Progress(done, total, f"copying {file.name}")
    shutil.copymode(file, partial)
    partial.replace(blob)


def _stored_name(file: Path, name: str) -> str:
    """Return the name of a file in the store, whose models are files called *.gguf."""
    if file.suffix == ".gguf" and is_safe_path(file.name):
        return file.name
    part = SPLIT_FILE.fullmatch(file.name)
    return f"{name}-{part['number']}-of-{part['count']}.gguf" if part else f"{name}.gguf"


def _default_name(header: GgufHeader) -> str:
    """Return a name made from a file's name, or from the name in the file if that is a checksum."""
    file = header.path.name
    part = SPLIT_FILE.fullmatch(file)
    stem = part["stem"] if part else FILE_SUFFIX.sub("", file)
    if CHECKSUM_NAME.fullmatch(stem):
        stem = str(header.metadata.get("general.name", ""))
    name = re.sub(r"[^\w.]+", "-", re.sub(r"\.{2,}", ".", stem))
    return name.strip("-._")[:MAX_NAME_CHARACTERS].rstrip("-.") or "model"


def _check_name(name: str, store: Store) -> str:
    """Return `name` if an imported model can have it.

    Raises:
        UsageError: it cannot.
    """
    # The folder of a repository is models--owner--name.
    if not MODEL_NAME.fullmatch(name) or "--" in name or ".." in name:
        raise UsageError(
            f"{name!r} is not a valid model name; use letters, digits, single dashes and dots."
        )
    match model_names.parse(name, load_catalog(store.config)):
        case CatalogEntry():
            raise UsageError(f"{name} is the name of a model of the catalog; use --name.")
        case LocalFile():
            raise UsageError(f"{name} is read as a path; leave out .gguf.")
    for model in list_installed(store):
        if model.name.casefold() == name.casefold() and model.name != name:
            raise UsageError(f"Another model is called {model.name}; use --name.")
    return name
