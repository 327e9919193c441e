"""Find the installed models: the GGUF files in the Hugging Face cache, and when each was used."""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from .. import atomic_file, user_file
from ..errors import ModelMissing, XlamError
from . import hf_cache, model_names
from .catalog import CatalogModel
from .gguf import missing_file
from .model_names import CatalogEntry, HubFile, LocalFile, UnknownName
from .types import LOCAL_OWNER, InstalledModel, Store
from .user_catalog import load_catalog

SPLIT_FILE = re.compile(
    r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.gguf)$", re.IGNORECASE
)
"""The file name of a part of a split model, as llama.cpp's gguf-split writes it."""
MAX_SPLIT_PARTS = 1000


def list_installed(store: Store) -> list[InstalledModel]:
    """Return every model in the store, sorted by name.

    Raises:
        XlamError: a folder of the cache cannot be read.
    """
    catalog = load_catalog(store.config)
    used = last_used(store)
    try:
        found = [
            model
            for repo, folder in _repo_folders(store.hub_cache)
            for model in _models_in_repo(repo, folder, catalog, used)
        ]
    except OSError as error:
        raise XlamError(f"{error.filename} cannot be read: {error.strerror}.") from error
    return sorted(found, key=lambda model: model.name.casefold())


def find_path(name: str, store: Store) -> Path:
    """Return the file of an installed model, or of a part of a split model its first part.

    Raises:
        ModelMissing: the model is not installed, or parts of it are missing.
    """
    model = get_installed(name, store)
    if not model.complete:
        raise ModelMissing(
            f"Parts of {model.name} are missing beside {model.path}; run "
            f"`xlam-local models pull {model.name}`."
        )
    return model.path


def get_installed(name: str, store: Store) -> InstalledModel:
    """Return the installed model with a name, which can also be a path or `hf:owner/repo:file`.

    Raises:
        ModelMissing: the model is not installed.
    """
    catalog = load_catalog(store.config)
    match model_names.parse(name, catalog):
        case LocalFile(path):
            return local_model(path)
        case HubFile() as hub_file:
            return _find_hub_file(hub_file, list_installed(store))
        case CatalogEntry() as entry:
            return _find_catalog_entry(entry, list_installed(store))
        case UnknownName(text):
            return _find_by_name(text, catalog, list_installed(store))


def default_path(store: Store) -> Path:
    """Return the file of the model to use if none is named.

    xLAM models are preferred to others, larger models to smaller ones; the demo model is last.

    Raises:
        ModelMissing: no model is installed.
    """
    models = [model for model in list_installed(store) if model.complete]
    if not models:
        raise ModelMissing(
            "No model is installed. Run `xlam-local models pull xlam-2-1b`, or `xlam-local demo` "
            "to try a small model."
        )
    return max(models, key=_rank).path


def local_model(path: Path) -> InstalledModel:
    """Return the model of a file outside the store.

    Raises:
        ModelMissing: there is no such file.
    """
    if not path.is_file():
        raise missing_file(path)
    files = tuple(split_parts(path))
    present = [file for file in files if file.is_file()]
    size = sum(file.stat().st_size for file in present)
    return InstalledModel(str(path), files[0], files, "", size, len(present) == len(files))


def split_parts(path: Path) -> Iterator[Path]:
    """Yield all files of the model that a file belongs to: itself, or every part of a split one."""
    if not (part := SPLIT_FILE.fullmatch(path.name)):
        yield path
        return
    count = min(int(part["count"]), MAX_SPLIT_PARTS)
    for number in range(1, count + 1):
        yield path.with_name(f"{part['stem']}-{number:05}-of-{part['count']}{part['suffix']}")


def last_used(store: Store) -> Mapping[str, float]:
    """Return the time of each model's last use by its name, in seconds since 1970."""
    times = user_file.read_own_json(_last_used_file(store))
    if not isinstance(times, dict):
        return {}
    return {str(name): when for name, when in times.items() if isinstance(when, int | float)}


def record_use(path: Path, store: Store) -> None:
    """Record that the model with a file is used now."""
    for model in list_installed(store):
        if path in model.files:
            # The model runs whether or not its use can be recorded.
            with suppress(OSError), atomic_file.exclusive(_last_used_file(store)) as replace:
                replace(json.dumps({**last_used(store), model.name: time.time()}, indent=1))


def model_name(repo: str, file: str, catalog: Iterable[CatalogModel]) -> str:
    """Return the name of a file of a repository, as commands take it."""
    for model in catalog:
        if model.repo and model.repo.casefold() == repo.casefold():
            for quantization in model.files:
                if model.file_name(quantization).casefold() == file.casefold():
                    return model.name if model.package else f"{model.name}:{quantization}"
    owner, _, name = repo.partition("/")
    return name if owner == LOCAL_OWNER else f"hf:{repo}:{file}"


def _last_used_file(store: Store) -> Path:
    return store.data / "last_used.json"


def _repo_folders(hub_cache: Path) -> Iterator[tuple[str, Path]]:
    if not hub_cache.is_dir():
        return
    for folder in sorted(hub_cache.iterdir()):
        if folder.name.startswith("models--"):
            yield folder.name.removeprefix("models--").replace("--", "/"), folder


def _models_in_repo(
    repo: str, folder: Path, catalog: Iterable[CatalogModel], used: Mapping[str, float]
) -> Iterator[InstalledModel]:
    """Yield the models of a repository, each at the newest commit that has it."""
    seen: set[str] = set()
    for commit in _commits_newest_first(folder):
        files = [file for file in sorted(commit.rglob(hf_cache.GGUF_FILES)) if file.is_file()]
        for group in _group_parts(files):
            file = group[0].relative_to(commit).as_posix()
            # Files on the Hub with mmproj in their names are image encoders.
            is_encoder = "mmproj" in file.casefold() and not repo.startswith(f"{LOCAL_OWNER}/")
            if file not in seen and not is_encoder:
                seen.add(file)
                name = model_name(repo, file, catalog)
                size = sum(path.stat().st_size for path in group)
                complete = len(group) == len(tuple(split_parts(group[0])))
                yield InstalledModel(name, group[0], group, repo, size, complete, used.get(name))


def _commits_newest_first(folder: Path) -> list[Path]:
    """Return the folders of the commits: first that of `main`, then the others by time."""
    try:
        main = (folder / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        main = ""
    commits = [path for path in (folder / "snapshots").glob("*") if path.is_dir()]
    return sorted(commits, key=lambda path: (path.name != main, -path.stat().st_mtime))


def _group_parts(files: Sequence[Path]) -> Iterator[tuple[Path, ...]]:
    """Yield the files of each model; the parts of a split model are in order."""
    groups: dict[Path, list[Path]] = defaultdict(list)
    for file in files:
        groups[next(split_parts(file))].append(file)
    for group in groups.values():
        yield tuple(group)


def _rank(model: InstalledModel) -> tuple[bool, bool, int]:
    is_xlam = "xlam" in f"{model.name}{model.path.name}".casefold()
    return model.name != "demo", is_xlam, model.size


def _find_hub_file(hub_file: HubFile, installed: Sequence[InstalledModel]) -> InstalledModel:
    """Return the model whose file has the given name, or else has it as a part of its name."""
    folded = hub_file.file.casefold()
    in_repo = [model for model in installed if model.repo.casefold() == hub_file.repo.casefold()]
    found = [model for model in in_repo if model.name.casefold().endswith(f":{folded}")]
    found = found or [model for model in in_repo if folded in model.path.name.casefold()]
    if not found:
        raise _not_installed(str(hub_file))
    if len(found) > 1:
        names = ", ".join(model.path.name for model in found)
        raise ModelMissing(f"{hub_file} matches several models: {names}.")
    return found[0]


def _find_catalog_entry(entry: CatalogEntry, installed: Sequence[InstalledModel]) -> InstalledModel:
    """Return the model in the named quantization, in the default one, or else the largest."""
    model, quantization = entry.model, entry.quantization
    with_quantization = f"{model.name}:{quantization or model.default_quantization}"
    name = model.name if model.package else with_quantization
    found = [one for one in installed if one.name.partition(":")[0] == model.name and one.complete]
    exact = [one for one in found if one.name == name]
    if exact:
        return exact[0]
    if found and quantization is None:
        return max(found, key=lambda one: one.size)
    if not model.repo:
        raise ModelMissing(f"{model.name} cannot be installed by name. {model.note}")
    raise _not_installed(model.name if quantization is None else name)


def _find_by_name(
    text: str, catalog: Iterable[CatalogModel], installed: Sequence[InstalledModel]
) -> InstalledModel:
    for model in installed:
        if model.name.casefold() == text.casefold():
            return model
    if Path(text).is_file():
        raise ModelMissing(f"There is no model {text!r}; to use the file, write ./{text}.")
    known = [model.name for model in catalog] + [model.name for model in installed]
    raise model_names.unknown_name_error(text, known)


def _not_installed(name: str) -> ModelMissing:
    return ModelMissing(f"{name} is not installed; run `xlam-local models pull {name}`.")
