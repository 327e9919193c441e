"""Describe a model: what the catalog, the Hub and the installed file say about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ModelMissing, XlamError
from . import chat_template_check, gguf, licenses
from .catalog import CatalogModel
from .chat_template_check import TemplateComparison
from .model_names import catalog_entry_for
from .store import get_installed, list_installed
from .types import InstalledModel, Store
from .user_catalog import load_catalog

if TYPE_CHECKING:
    from .hub import HubClient


@dataclass(frozen=True, slots=True)
class CatalogDescription:
    """What the catalog says about a model."""

    title: str
    billion_parameters: float
    """0 if it is unknown."""
    repo: str | None
    """The Hub repository; None if the model is not downloaded from the Hub."""
    package: str | None
    """The requirement of the Python package that contains the model."""
    licenses: dict[str, bool]
    """The key of each license, and whether the user accepted it or need not."""
    note: str


@dataclass(frozen=True, slots=True)
class Variant:
    """A published file of a model: one of its quantizations."""

    name: str
    """The name that commands take."""
    file: str
    size: int | None
    """Bytes."""
    sha256: str | None
    installed: bool


@dataclass(frozen=True, slots=True)
class PublishedVariants:
    """The published files of a model."""

    variants: tuple[Variant, ...]
    source: str
    """Where the list is from: the Hub, or the catalog and why."""


@dataclass(frozen=True, slots=True)
class FileDescription:
    """What an installed model's file says about it."""

    model: InstalledModel
    architecture: str
    name: str | None
    """The model's name in the file."""
    layers: int | None
    trained_context: int | None
    """Tokens."""
    template: TemplateComparison | None
    """How the file's chat template differs from xLAM's prompt; None for other models."""


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """All that is known about a model. Parts are None if it is not in the catalog or installed."""

    name: str
    catalog: CatalogDescription | None
    published: PublishedVariants | None
    file: FileDescription | None


def describe_model(name: str, store: Store, hub: HubClient) -> ModelDescription:
    """Describe the model with a name, as commands take it.

    Raises:
        ModelMissing: the model is neither in the catalog nor installed.
        IntegrityError: the installed file is damaged.
    """
    model = catalog_entry_for(name, load_catalog(store.config))
    try:
        installed = get_installed(name, store)
    except ModelMissing:
        if model is None:
            raise
        installed = None
    return ModelDescription(
        name,
        None if model is None else describe_catalog(model, store),
        None if model is None else published_variants(model, store, hub),
        None if installed is None else describe_file(installed),
    )


def describe_catalog(model: CatalogModel, store: Store) -> CatalogDescription:
    """Return what the catalog says about a model."""
    missing = {license_.key for license_ in licenses.pending(model, store)}
    return CatalogDescription(
        model.title,
        model.billion_parameters,
        None if model.package else model.repo,
        model.package.requirement if model.package else None,
        {key: key not in missing for key in model.licenses},
        model.note,
    )


def published_variants(model: CatalogModel, store: Store, hub: HubClient) -> PublishedVariants:
    """Return the files of a model: those that the Hub lists, or those of the catalog offline."""
    installed = {one.name for one in list_installed(store)}
    from_catalog = tuple(_catalog_variants(model, installed))
    if model.repo is None or model.package is not None:
        return PublishedVariants(from_catalog, "the catalog")
    try:
        listing = hub.list_files(model.repo)
    except XlamError as error:
        return PublishedVariants(from_catalog, f"the catalog ({str(error).rstrip('.')})")
    listed = {file.file.casefold(): file for file in listing.files}
    from_hub = (
        Variant(variant.name, file.file, file.size, file.sha256, variant.installed)
        for variant in from_catalog
        if (file := listed.get(variant.file.casefold()))
    )
    return PublishedVariants(tuple(from_hub), "the Hub")


def describe_file(model: InstalledModel) -> FileDescription:
    """Return what the file of an installed model says about it.

    Raises:
        IntegrityError: the header is invalid.
    """
    header = gguf.read(model.path)
    name = header.metadata.get("general.name")
    return FileDescription(
        model,
        header.architecture,
        name if isinstance(name, str) else None,
        header.number("block_count"),
        header.number("context_length"),
        chat_template_check.compare(header),
    )


def _catalog_variants(model: CatalogModel, installed: set[str]) -> Iterator[Variant]:
    for quantization, file in model.files.items():
        name = model.name if model.package else f"{model.name}:{quantization}"
        file_name = model.file_name(quantization)
        yield Variant(name, file_name, file.size, file.sha256, name in installed)
