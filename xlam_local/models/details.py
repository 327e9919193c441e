"""All that can be told of a model: from the catalog, from the Hub, from its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import XlamError
from . import gguf, templates
from .catalog import Model
from .gguf import Header
from .hub import Hub, Listed
from .store import installed
from .templates import Comparison
from .types import Installed, Store


@dataclass(frozen=True, slots=True)
class Variant:
    """One file that a model is published as."""

    name: str
    file: str
    size: int | None
    sha256: str | None
    installed: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """The files of a model, and who says so."""

    variants: tuple[Variant, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Inside:
    """What an installed file says of itself."""

    header: Header
    comparison: Comparison | None
    """How its template differs from xLAM's prompt, where it is an xLAM."""


def offer(model: Model, store: Store, hub: Hub) -> Offer:
    """The model's files as the Hub lists them, or as the catalog does where it cannot be asked."""
    names = {one.name for one in installed(store)}
    if model.repo is None or model.package is not None:
        return Offer(_known(model, names), "the catalog")
    try:
        listed = hub.listing(model.repo).files
    except XlamError as error:
        return Offer(_known(model, names), f"the catalog ({str(error).rstrip('.')})")
    return Offer(_listed(model, listed, names), "the Hub")


def inside(model: Installed) -> Inside:
    """What the model's file says, once it is clear that it is whole."""
    header = gguf.read(model.path)
    return Inside(header, templates.compare(header))


def _known(model: Model, names: set[str]) -> tuple[Variant, ...]:
    return tuple(
        _variant(
            model, quantization, Listed(model.file(quantization), known.size, known.sha256), names
        )
        for quantization, known in model.files.items()
    )


def _listed(model: Model, listed: Sequence[Listed], names: set[str]) -> tuple[Variant, ...]:
    by_name = {one.file.casefold(): one for one in listed}
    return tuple(
        _variant(model, quantization, by_name[file], names)
        for quantization in model.files
        if (file := model.file(quantization).casefold()) in by_name
    )


def _variant(model: Model, quantization: str, listed: Listed, names: set[str]) -> Variant:
    name = model.name if model.package else f"{model.name}:{quantization}"
    return Variant(name, listed.file, listed.size, listed.sha256, name in names)
