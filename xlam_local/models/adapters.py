"""The user's LoRA adapters: a GGUF file for each, and a record of where it came from."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from .. import atomic_file, user_file
from ..errors import IntegrityError, ModelError, ModelMissing, UsageError
from . import gguf
from .gguf import GgufHeader
from .types import Store

FOLDER = "adapters"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
PAIR_SUFFIXES = (".lora_a", ".lora_b")


@dataclass(frozen=True, slots=True)
class StoredAdapter:
    """An adapter in the store."""

    name: str
    path: Path
    base: str
    """The name of the model that it was added for."""
    architecture: str
    rank: int
    size: int
    """Bytes."""
    sha256: str
    trained_on: str = ""
    """The base model's name in the adapter itself; empty if it names none."""


RECORD_TYPES = {
    "name": str,
    "base": str,
    "architecture": str,
    "rank": int,
    "size": int,
    "sha256": str,
    "trained_on": str,
}
"""The types of a record's values."""


def add(source: Path, base_name: str, base: Path, store: Store, name: str = "") -> StoredAdapter:
    """Add an adapter from PEFT's folder or a GGUF file, for a model with the file `base`.

    Raises:
        ModelMissing: there is no such folder or file.
        UsageError: the name is invalid or taken.
        ModelError: the adapter cannot be converted, or does not fit the model.
    """
    name = name or re.sub(r"[^A-Za-z0-9._-]", "-", source.stem if source.is_file() else source.name)
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} is not a name: use letters, digits, '.', '_' and '-'.")
    target = _folder(store) / f"{name}.gguf"
    if target.exists():
        raise UsageError(
            f"There is an adapter {name} already; remove it with `xlam-local models adapters "
            f"remove {name}`, or choose another --name."
        )
    if not source.exists():
        raise ModelMissing(f"There is no file or folder {source}.")
    header = gguf.read(base)
    atomic_file.make_folder(target.parent)
    if source.is_dir():
        from . import gguf_writer, peft_adapter  # load numpy

        adapter = peft_adapter.read(source, header)
        metadata: dict[str, str | float] = {
            "general.type": "adapter",
            "general.architecture": header.architecture,
            "general.name": name,
            "adapter.type": "lora",
            "adapter.lora.alpha": adapter.alpha,
        }
        gguf_writer.write(target, metadata, adapter.tensors)
        rank, trained_on = adapter.rank, adapter.base
    else:
        rank = check(source, header)
        trained_on = str(gguf.read(source).metadata.get("general.base_model.0.name", ""))
        shutil.copyfile(source, target)
    stored = StoredAdapter(
        name,
        target,
        base_name,
        header.architecture,
        rank,
        target.stat().st_size,
        _sha256(target),
        trained_on,
    )
    record = {**asdict(stored), "path": target.name}
    atomic_file.write_text(_record_file(target), json.dumps(record, indent=1))
    return stored


def check(path: Path, base: GgufHeader) -> int:
    """Check that a GGUF file is an adapter for a model, and return its rank.

    llama.cpp checks the same, but names no model, and ends the process for some faults.

    Raises:
        ModelError: it is not, or does not fit.
        IntegrityError: the file is damaged.
    """
    header = gguf.read(path)
    kinds = [str(header.metadata.get(key)) for key in ("general.type", "adapter.type")]
    if kinds != ["adapter", "lora"]:
        raise ModelError(f"{path} is not a LoRA adapter.")
    if "adapter.alora.invocation_tokens" in header.metadata:
        raise ModelError(f"{path} is an activated LoRA, which is not supported.")
    if not isinstance(header.metadata.get("adapter.lora.alpha"), float):
        raise ModelError(f"{path} has no adapter.lora.alpha.")
    if header.architecture != base.architecture:
        raise ModelError(
            f"{path} is for models of the architecture {header.architecture}, but "
            f"{base.path.name} has {base.architecture}."
        )
    return max(_ranks(header, base))


def find(name: str, store: Store) -> StoredAdapter:
    """Return an adapter in the store.

    Raises:
        ModelMissing: there is none of that name.
        IntegrityError: its record is damaged.
    """
    return _read(_stored_file(name, store))


def list_adapters(store: Store) -> Sequence[StoredAdapter]:
    """Return all adapters in the store, by name.

    Raises:
        IntegrityError: the record of one is damaged.
    """
    return [_read(path) for path in sorted(_folder(store).glob("*.gguf"))]


def remove(name: str, store: Store) -> int:
    """Delete an adapter, also one whose record is damaged, and return its bytes.

    Raises:
        ModelMissing: there is none of that name.
    """
    path = _stored_file(name, store)
    size = path.stat().st_size
    path.unlink(missing_ok=True)
    _record_file(path).unlink(missing_ok=True)
    return size


def _stored_file(name: str, store: Store) -> Path:
    path = _folder(store) / f"{name}.gguf"
    if NAME.fullmatch(name) and path.is_file():
        return path
    raise ModelMissing(
        f"There is no adapter {name!r}; add it with `xlam-local models adapters add`, or see "
        "`xlam-local models adapters list`."
    )


def _read(path: Path) -> StoredAdapter:
    """Return the adapter whose file is `path`, from its record."""
    try:
        record = user_file.read_json(_record_file(path))
        stored = StoredAdapter(**{**record, "path": path})
    except (UsageError, TypeError) as error:
        detail = str(error) if isinstance(error, UsageError) else ""
        raise _damaged(path, detail) from error
    if any(not isinstance(getattr(stored, key), kind) for key, kind in RECORD_TYPES.items()):
        raise _damaged(path)
    return stored


def _damaged(path: Path, detail: str = "") -> IntegrityError:
    file = _record_file(path)
    return IntegrityError(
        f"{detail or f'{file} is not the record of an adapter.'} The adapter {path.stem} cannot be "
        f"used. Remove it with `xlam-local models adapters remove {path.stem}`, and add it again."
    )


def _ranks(header: GgufHeader, base: GgufHeader) -> list[int]:
    """Return the ranks of the matrices of an adapter, whose shapes must be those of the model."""
    shapes = {tensor.name: tensor.shape for tensor in base.tensors}
    own: Mapping[str, tuple[int, ...]] = {tensor.name: tensor.shape for tensor in header.tensors}
    targets = {name.removesuffix(suffix) for name in own for suffix in PAIR_SUFFIXES}
    targets -= own.keys()
    if not targets:
        raise ModelError(f"{header.path} has no LoRA matrices.")
    for target in targets:
        a, b = (own.get(target + suffix) for suffix in PAIR_SUFFIXES)
        shape = shapes.get(target)
        if not (a and b and shape and len(a) == len(b) == len(shape) == 2):
            raise ModelError(f"{header.path}: {target} has no counterpart in {base.path.name}.")
        if (a[0], b[1]) != shape or a[1] != b[0]:
            raise ModelError(
                f"{header.path}: the matrices for {target} have the shapes {a} and {b}, but "
                f"{base.path.name} has {shape}. The adapter belongs to another model."
            )
    return [own[f"{target}.lora_b"][0] for target in targets]


def _folder(store: Store) -> Path:
    return store.data / FOLDER


def _record_file(path: Path) -> Path:
    return path.with_suffix(".json")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
