"""The models of the models screen, and the text of their details."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ...errors import XlamError
from ...hardware import Machine
from ...memory_plan import Plan, format_gib
from ...models import InstalledModel, Store, format_bytes, licenses
from ...models.catalog import CatalogModel
from ...models.describe import describe_catalog, describe_file
from ...models.licenses import License
from ...models.overview import ModelRow, model_rows

Detail = str | tuple[str, str]
"""A line of text, or a label and its figure."""


class ModelCatalog:
    """The installed models and those of the catalog, and how each would run on this machine."""

    def __init__(
        self, store: Store, detect_machine: Callable[[], Machine], context_size: int
    ) -> None:
        self._store = store
        self._detect_machine = detect_machine
        self._context_size = context_size
        self.machine: Machine | None = None
        """None until `detect_machine` has run."""

    def detect_machine(self) -> None:
        """Detect this machine's memory and devices; takes up to a second."""
        self.machine = self._detect_machine()

    def rows(self) -> list[ModelRow]:
        """Return all models; how they fit is unknown until the machine is detected.

        Raises:
            XlamError: the user's catalog is invalid.
        """
        return model_rows(self._store, self.machine, self._context_size)

    def details(self, row: ModelRow) -> Iterator[Detail]:
        """Yield the lines about a model; nothing is read from the network."""
        yield row.name
        if row.recommended:
            yield "Recommended for this machine."
        if row.model is not None:
            yield from self._catalog_lines(row.model, row.size)
        if row.installed is not None:
            yield f"Installed: {row.installed.path}"
            yield from _file_lines(row.installed)
        if row.plan is not None and self.machine is not None:
            yield ""
            yield from memory_breakdown(row.plan, self.machine)
            if row.tokens_per_s:
                yield "estimated speed", f"{row.tokens_per_s:.0f} tokens/s"

    def pending_licenses(self, model: CatalogModel) -> list[License]:
        """Return the licenses that the user has to accept before the download."""
        return licenses.pending(model, self._store)

    def accept_licenses(self, accepted: Sequence[License]) -> None:
        """Record that the user accepts licenses."""
        licenses.accept(accepted, self._store)

    def _catalog_lines(self, model: CatalogModel, size: int | None) -> Iterator[str]:
        catalog = describe_catalog(model, self._store)
        parameters = catalog.billion_parameters
        yield catalog.title + (f", {parameters:g} billion parameters" if parameters else "")
        if size:
            yield f"Download size: {format_bytes(size)}"
        for key, accepted in catalog.licenses.items():
            yield f"License: {key}{'' if accepted else ', not accepted yet'}"
        if catalog.note:
            yield catalog.note


def _file_lines(model: InstalledModel) -> Iterator[str]:
    try:
        file = describe_file(model)
    except XlamError as error:
        yield str(error)
        return
    layers = "" if file.layers is None else f", {file.layers} layers"
    context = file.trained_context
    trained = "" if context is None else f", trained on {context:,} tokens"
    yield f"Architecture {file.architecture}{layers}{trained}"
    if file.template is None:
        yield "Prompts use the template in the file."
    elif file.template.matches:
        yield "Prompts use xLAM's format, as the template in the file does."
    else:
        yield "Prompts use xLAM's format; the template in the file differs:"
        yield file.template.difference


def memory_breakdown(plan: Plan, machine: Machine) -> Iterator[Detail]:
    """Yield the lines of the memory that a plan needs and the machine has."""
    yield f"{plan.context:,} tokens of context, {plan.kv_cache_type} KV cache:"
    for item in plan.items:
        yield item.name, format_gib(item.memory)
        if item.gpu_memory:
            yield "  of it on the GPU", format_gib(item.gpu_memory)
    yield "needed", format_gib(plan.memory)
    yield "available", format_gib(machine.usable_memory)
    if plan.downgrade:
        yield f"It fits with {plan.downgrade}."
