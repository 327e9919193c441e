"""What is installed: the GGUF files in the Hugging Face cache, under the names people type."""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ..errors import ModelMissing, XlamError
from . import cache, catalog, names
from .catalog import Model
from .types import LOCAL_OWNER, Installed, Store

PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$", re.IGNORECASE)


def installed(store: Store) -> list[Installed]:
    """Every model in the store, by name."""
    known = catalog.load(store.config)
    used = uses(store)
    try:
        found = [
            model
            for repo, folder in _repos(store.hub)
            for model in _models(repo, folder, known, used)
        ]
    except OSError as error:
        raise XlamError(f"{error.filename} cannot be read: {error.strerror}.") from error
    return sorted(found, key=lambda model: model.name.casefold())


def find(name: str, store: Store) -> Path:
    """The file of an installed model, by the name a person types."""
    model = get(name, store)
    if not model.whole:
        raise ModelMissing(
            f"Parts of {model.name} are missing beside {model.path}; "
            f"`xlam-local models pull {model.name}` brings them."
        )
    return model.path


def get(name: str, store: Store) -> Installed:
    """An installed model, by the name a person types."""
    known = catalog.load(store.config)
    match names.parse(name, known):
        case names.OnDisk(path):
            return on_disk(path)
        case names.OnHub() as wanted:
            return _one(_on_hub(wanted, installed(store)), wanted)
        case names.Catalogued(model, quantization):
            return _catalogued(model, quantization, installed(store))
        case names.Other(text):
            return _other(text, known, installed(store))


def default(store: Store) -> Path:
    """The best installed model: an xLAM before others, larger before smaller, the demo last."""
    models = [model for model in installed(store) if model.whole]
    if not models:
        raise ModelMissing(
            "No model is installed; `xlam-local models pull xlam-2-1b` brings one, and "
            "`xlam-local demo` shows everything on a small one."
        )
    return max(models, key=_merit).path


def on_disk(path: Path) -> Installed:
    """A model outside of the store."""
    if not path.is_file():
        raise ModelMissing(f"There is no file {path}.")
    files = tuple(parts(path))
    whole = all(file.is_file() for file in files)
    size = sum(file.stat().st_size for file in files if file.is_file())
    return Installed(str(path), files[0], files, "", size, whole)


def parts(path: Path) -> Iterator[Path]:
    """All files of the model that this file belongs to: more than one when it is split."""
    if not (part := PART.fullmatch(path.name)):
        yield path
        return
    count = int(part["count"])
    for number in range(1, min(count, 1000) + 1):
        yield path.with_name(f"{part['stem']}-{number:05}-of-{part['count']}.gguf")


def uses(store: Store) -> Mapping[str, float]:
    """When each model was used, by its name."""
    try:
        times = json.loads((store.data / "used.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(times, dict):
        return {}
    return {str(name): when for name, when in times.items() if isinstance(when, (int, float))}


def mark_used(path: Path, store: Store) -> None:
    """Note that the model with this file is used now."""
    for model in installed(store):
        if path in model.files:
            times = {**uses(store), model.name: time.time()}
            # A model that cannot be noted still runs.
            with suppress(OSError):
                cache.write(store.data / "used.json", json.dumps(times, indent=1))


def _repos(hub: Path) -> Iterator[tuple[str, Path]]:
    if not hub.is_dir():
        return
    for folder in sorted(hub.iterdir()):
        if folder.name.startswith("models--"):
            yield folder.name.removeprefix("models--").replace("--", "/"), folder


def _models(
    repo: str, folder: Path, known: Iterable[Model], used: Mapping[str, float]
) -> Iterator[Installed]:
    """The models of one repository, each at the commit that `main` points to, or the newest."""
    taken: set[str] = set()
    for commit in _commits(folder):
        files = [file for file in sorted(commit.rglob("*.gguf")) if file.is_file()]
        for group in _groups(files):
            stem = group[0].relative_to(commit).as_posix()
            if stem not in taken and "mmproj" not in stem.casefold():
                taken.add(stem)
                yield _installed(repo, stem, group, known, used)


def _commits(folder: Path) -> list[Path]:
    try:
        main = (folder / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        main = ""
    commits = [path for path in (folder / "snapshots").glob("*") if path.is_dir()]
    return sorted(commits, key=lambda path: (path.name != main, -path.stat().st_mtime))


def _groups(files: Sequence[Path]) -> Iterator[tuple[Path, ...]]:
    """Files of one model together, the parts of a split one in their order."""
    groups: dict[Path, list[Path]] = defaultdict(list)
    for file in files:
        groups[next(parts(file))].append(file)
    for group in groups.values():
        yield tuple(group)


def _installed(
    repo: str,
    file: str,
    group: tuple[Path, ...],
    known: Iterable[Model],
    used: Mapping[str, float],
) -> Installed:
    name = name_of(repo, file, known)
    size = sum(path.stat().st_size for path in group)
    whole = len(group) == len(tuple(parts(group[0])))
    return Installed(name, group[0], group, repo, size, whole, used.get(name))


def name_of(repo: str, file: str, known: Iterable[Model]) -> str:
    """What to type for this file of this repository."""
    for model in known:
        if model.repo and model.repo.casefold() == repo.casefold():
            for quantization in model.files:
                if model.file(quantization).casefold() == file.casefold():
                    return model.name if model.package else f"{model.name}:{quantization}"
    owner, _, name = repo.partition("/")
    return name if owner == LOCAL_OWNER else f"hf:{repo}:{file}"


def _merit(model: Installed) -> tuple[bool, bool, int]:
    return model.name != "demo", "xlam" in f"{model.name}{model.path.name}".casefold(), model.size


def _catalogued(model: Model, quantization: str | None, here: Sequence[Installed]) -> Installed:
    full = f"{model.name}:{quantization or model.usual}"
    wanted = model.name if model.package else full
    mine = [one for one in here if one.name.partition(":")[0] == model.name and one.whole]
    exact = [one for one in mine if one.name == wanted]
    if exact or (mine and quantization is None):
        return (exact or sorted(mine, key=lambda one: -one.size))[0]
    if not model.repo:
        raise ModelMissing(f"{model.name} cannot be installed by name. {model.note}")
    typed = model.name if quantization is None else wanted
    raise ModelMissing(f"{typed} is not installed; `xlam-local models pull {typed}` brings it.")


def _on_hub(wanted: names.OnHub, here: Sequence[Installed]) -> list[Installed]:
    mine = [one for one in here if one.repo.casefold() == wanted.repo.casefold()]
    asked = wanted.file.casefold()
    exact = [one for one in mine if one.name.casefold().endswith(f":{asked}")]
    return exact or [one for one in mine if asked in one.path.name.casefold()]


def _one(found: Sequence[Installed], wanted: names.OnHub) -> Installed:
    if not found:
        raise ModelMissing(
            f"{wanted} is not installed; `xlam-local models pull {wanted}` brings it."
        )
    if len(found) > 1:
        listed = ", ".join(one.path.name for one in found)
        raise ModelMissing(f"{wanted} is the name of several models: {listed}.")
    return found[0]


def _other(text: str, known: Iterable[Model], here: Sequence[Installed]) -> Installed:
    for one in here:
        if one.name.casefold() == text.casefold():
            return one
    raise names.unknown(text, [model.name for model in known] + [one.name for one in here])
