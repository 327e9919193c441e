"""The models that there are, and how each would run on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .. import fit
from ..errors import OutOfMemory, XlamError
from ..fit import Machine, Plan, Weights, Wish, gib
from ..models import Installed, Store, amount, catalog, installed
from ..models.catalog import Model
from ..models.weights import of_catalog, of_file

TIGHT = 0.85
"""The share of the memory that can be had from which on a model fits tightly."""


@dataclass(frozen=True, slots=True)
class Row:
    """A model in one quantization."""

    name: str
    size: int | None
    fits: str
    """fits on GPU, fits, tight, no, or a question mark."""
    plan: Plan | None = None
    speed: float = 0.0
    here: Installed | None = None
    model: Model | None = None
    recommended: bool = False


def rows(store: Store, here: Machine | None, context: int) -> list[Row]:
    """All models: those installed first, then the catalog."""
    known = catalog.load(store.config)
    found = installed(store)
    best = _recommended(known, here)
    mine = [_installed(one, here, context) for one in found]
    names = {row.name for row in mine}
    others = [
        row for model in known for row in _catalogued(model, here, context) if row.name not in names
    ]
    marked = [*mine, *others]
    return [
        Row(r.name, r.size, r.fits, r.plan, r.speed, r.here, r.model, recommended=r.name == best)
        for r in marked
    ]


def _recommended(known: tuple[Model, ...], here: Machine | None) -> str:
    from ..models.pick import pick

    if here is None:
        return ""
    try:
        return pick([model for model in known if model.package is None], here).best.name
    except XlamError:
        return ""


def _installed(one: Installed, here: Machine | None, context: int) -> Row:
    from ..models import header

    try:
        weights = of_file(header(one.path))
    except XlamError as error:
        return Row(one.name, one.size, f"damaged: {error}", here=one)
    fits, plan, speed = _fit(weights, here, context)
    return Row(one.name, one.size, fits, plan, speed, here=one)


def _catalogued(model: Model, here: Machine | None, context: int) -> Iterator[Row]:
    if model.repo is None:
        yield Row(model.name, None, "no GGUF", model=model)
    for quantization, file in model.files.items():
        weights = of_catalog(model, quantization)
        if weights is None and model.shape is not None:
            continue
        name = model.name if model.package else f"{model.name}:{quantization}"
        fits, plan, speed = _fit(weights, here, context) if weights else ("?", None, 0.0)
        yield Row(name, file.size, fits, plan, speed, model=model)


def _fit(weights: Weights, here: Machine | None, context: int) -> tuple[str, Plan | None, float]:
    if here is None:
        return "…", None, 0.0
    try:
        plan = fit.choose(weights, here, Wish(context))
    except OutOfMemory:
        return "no", next(fit.plans(weights, here, Wish(context))), 0.0
    speed = fit.speed(plan, here)
    if plan.gpu_layers > weights.shape.layers:
        return "fits on GPU", plan, speed
    tight = plan.changed or plan.memory > TIGHT * here.room
    return ("tight" if tight else "fits"), plan, speed


def details(row: Row, store: Store, here: Machine | None) -> Iterator[str]:
    """All that can be told of a model without the network."""
    yield row.name
    if row.recommended:
        yield "Recommended for this machine."
    yield from _from_catalog(row, store)
    if row.here is not None:
        yield f"Installed: {row.here.path}"
        yield from _from_file(row.here)
    if row.plan is not None and here is not None:
        yield ""
        yield from arithmetic(row.plan, here)
        if row.speed:
            yield f"About {row.speed:.0f} tokens a second."


def _from_catalog(row: Row, store: Store) -> Iterator[str]:
    from ..models import licences

    if (model := row.model) is None:
        return
    yield model.title + (f", {model.parameters:g} billion parameters" if model.parameters else "")
    if row.size:
        yield f"{amount(row.size)} to fetch"
    missing = {one.key for one in licences.pending(model, store)}
    for key in model.licences:
        yield f"Licence: {key}{', still to be accepted' if key in missing else ''}"
    if model.note:
        yield model.note


def _from_file(one: Installed) -> Iterator[str]:
    from ..models.details import inside

    try:
        told = inside(one)
    except XlamError as error:
        yield str(error)
        return
    header = told.header
    yield (
        f"Architecture {header.architecture}, {header.number('block_count')} layers, "
        f"trained on {header.number('context_length'):,} tokens"
    )
    if told.comparison is None:
        yield "Prompts are written by the template in its file."
    elif told.comparison.same:
        yield "Prompts are xLAM's own; the template in the file writes the same."
    else:
        yield "Prompts are xLAM's own; the template in the file writes others:"
        yield told.comparison.difference


def arithmetic(plan: Plan, here: Machine) -> Iterator[str]:
    """What is needed and what there is."""
    yield f"With {plan.context:,} tokens of context, KV cache in {plan.kv}:"
    for part in plan.parts:
        gpu = f"  GPU {gib(part.gpu)}" if part.gpu else ""
        yield f"  {part.what:<28} {gib(part.memory):>10}{gpu}"
    yield f"  {'needed':<28} {gib(plan.memory):>10}"
    yield f"  {'can be had':<28} {gib(here.room):>10}"
    if plan.changed:
        yield f"It fits with {plan.changed}."
