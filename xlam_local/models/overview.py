"""List all models, installed or in the catalog, with how each would run on a machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from .. import memory_plan
from ..errors import OutOfMemory, XlamError
from ..hardware import Machine
from ..memory_plan import LoadRequest, Plan, Weights
from .catalog import CatalogModel
from .memory_size import catalog_weights, file_weights
from .pick import recommend
from .store import list_installed
from .types import InstalledModel, Store
from .user_catalog import load_catalog
from .verify import read_header

TIGHT_MEMORY_SHARE = 0.85
"""A model that needs a larger share of the available memory fits tightly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """A model in one quantization."""

    name: str
    """The name that commands take."""
    size: int | None
    """Bytes of its file."""
    fits: str
    """`fits on GPU`, `fits`, `tight`, `no`, `…` (not measured yet), `?`, or why it cannot run."""
    plan: Plan | None = None
    tokens_per_s: float = 0.0
    """Estimated decoding speed; 0 if it is unknown."""
    installed: InstalledModel | None = None
    model: CatalogModel | None = None
    recommended: bool = False


def model_rows(store: Store, machine: Machine | None, context: int) -> list[ModelRow]:
    """Return the installed models, then those of the catalog.

    `context` is in tokens. Without a machine, nothing is said about what fits.
    """
    catalog = load_catalog(store.config)
    rows = [_installed_row(model, machine, context) for model in list_installed(store)]
    names = {row.name for row in rows}
    for model in catalog:
        rows += [row for row in _catalog_rows(model, machine, context) if row.name not in names]
    best = _recommended_name(catalog, machine)
    return [replace(row, recommended=row.name == best) for row in rows]


def _recommended_name(catalog: Sequence[CatalogModel], machine: Machine | None) -> str:
    if machine is None:
        return ""
    try:
        models = [model for model in catalog if model.package is None]
        return recommend(models, machine).best.name
    except OutOfMemory:
        return ""


def _installed_row(model: InstalledModel, machine: Machine | None, context: int) -> ModelRow:
    row = ModelRow(name=model.name, size=model.size, fits="", installed=model)
    try:
        weights = file_weights(read_header(model.path))
    except XlamError as error:
        return replace(row, fits=f"damaged: {error}")
    return _with_fit(row, weights, machine, context)


def _catalog_rows(model: CatalogModel, machine: Machine | None, context: int) -> Iterator[ModelRow]:
    """Yield a row for each quantization; those of unknown size only for the user's models."""
    if model.repo is None:
        yield ModelRow(name=model.name, size=None, fits="no GGUF", model=model)
    for quantization, file in model.files.items():
        name = model.name if model.package else f"{model.name}:{quantization}"
        row = ModelRow(name=name, size=file.size, fits="?", model=model)
        weights = catalog_weights(model, quantization)
        if weights is not None:
            yield _with_fit(row, weights, machine, context)
        elif model.shape is None:
            yield row


def _with_fit(row: ModelRow, weights: Weights, machine: Machine | None, context: int) -> ModelRow:
    if machine is None:
        return replace(row, fits="…")
    request = LoadRequest(context)
    try:
        plan = memory_plan.choose(weights, machine, request)
    except OutOfMemory:
        return replace(row, fits="no", plan=next(memory_plan.candidates(weights, machine, request)))
    tokens_per_s = memory_plan.tokens_per_second(plan, machine)
    return replace(row, fits=_fit(plan, machine), plan=plan, tokens_per_s=tokens_per_s)


def _fit(plan: Plan, machine: Machine) -> str:
    if plan.gpu_layers > plan.weights.shape.layers:
        return "fits on GPU"
    if plan.downgrade or plan.memory > TIGHT_MEMORY_SHARE * machine.usable_memory:
        return "tight"
    return "fits"
