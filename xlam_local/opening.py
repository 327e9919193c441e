"""Opening a model: what fits this machine, loaded in a process of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import config, fit, machine, models
from .config import Config, Folders
from .engine import Settings
from .errors import OutOfMemory
from .types import Loading, Note

if TYPE_CHECKING:
    from .engine.local import Engine
    from .engine.process import EngineProcess

PLANS = "plans.json"
MOST_PLANS = 50
BLIND = (
    "llama.cpp was not built for this machine's GPU, so the processor computes; "
    "`xlam-local doctor` says how to change that."
)


def open_engine(
    name: str | None = None, settings: Config | None = None, folders: Folders | None = None
) -> EngineProcess:
    """Load the model called `name`, or the user's own choice, after a look at its file.

    Without settings and folders, the user's own hold. What `opening` notes goes unsaid.

    Raises:
        ModelMissing: it is not installed.
        IntegrityError: its file is damaged.
        ModelError: llama.cpp cannot load it.
        OutOfMemory: it does not fit.
    """
    steps = opening(name, settings, folders)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            engine: EngineProcess = end.value
            return engine


def opening(
    name: str | None = None, settings: Config | None = None, folders: Folders | None = None
) -> Generator[Loading | Note, None, EngineProcess]:
    """Load a model as `open_engine` does, and tell how far it is; to cancel, stop consuming.

    Where it does not fit, less is tried: fewer layers on the GPU, a smaller KV cache, less
    context. Each step is noted, and what worked is tried first the next time.
    """
    from .engine.process import EngineProcess

    folders = folders or config.folders()
    settings = settings or config.load(folders.config / "config.toml")
    store = models.Store.under(folders.config, folders.data)
    path = found(name, settings, store)
    weights = weights_of(path)
    here = machine.here()
    if not machine.offloads() and (machine.nvidia() or machine.amd()):
        yield Note(BLIND)
    if settings.context > weights.shape.longest:
        yield Note(f"{weights.name} can use {weights.shape.longest} tokens of context, not more.")
    log = folders.state / "logs" / "engine.log"
    wish = wished(settings)
    memory = _Memory(folders.data / PLANS, weights, here, wish)
    failed: OutOfMemory | None = None
    for plan in memory.ordered(_tried(weights, here, wish, settings.fallback)):
        if note := given_up(plan, here, wish):
            yield Note(note)
        engine = EngineProcess(path, of_plan(plan, settings, folders), log)
        engine.where = fit.where(plan, here)
        try:
            yield from engine.start()
        except OutOfMemory as error:
            failed = error
            continue
        memory.keep(plan)
        models.mark_used(path, store)
        return engine
    raise failed or _too_large(weights, here, wish)


def given_up(plan: fit.Plan, here: fit.Machine, wish: fit.Wish) -> str:
    """What a plan leaves of the wish, as a sentence; nothing where that is all of it."""
    layers = plan.weights.shape.layers
    if plan.changed:
        return f"{plan.weights.name} does not fit as wished; with {plan.changed} it may."
    if here.devices and wish.gpu_layers is None and plan.gpu_layers <= layers:
        return (
            f"{plan.gpu_layers} of the {layers} layers of {plan.weights.name} fit on the GPU; "
            "the processor computes the others."
        )
    return ""


def open_here(path: Path, settings: Config | None = None) -> Engine:
    """Load the GGUF file at `path` in this process; a crash of llama.cpp then ends it.

    Raises:
        IntegrityError: its file is damaged.
        ModelError: llama.cpp cannot load it.
        OutOfMemory: it does not fit.
    """
    from .engine.local import Engine

    folders = config.folders()
    settings = settings or config.load(folders.config / "config.toml")
    plan = fit.choose(weights_of(path), machine.here(), wished(settings))
    return Engine.load(path, of_plan(plan, settings, folders))


def found(name: str | None, settings: Config, store: models.Store) -> Path:
    """The file of the model called `name`, of the user's choice, or of the only one there is."""
    wanted = name or settings.model
    return models.find(wanted, store) if wanted else models.default(store)


def weights_of(path: Path) -> fit.Weights:
    """What a model's file means for memory, once its header was found whole."""
    from .models.weights import of_file

    return of_file(models.header(path))


def wished(settings: Config) -> fit.Wish:
    """What the user wants of a plan."""
    return fit.Wish(settings.context, settings.kv, settings.threads, settings.gpu_layers)


def of_plan(plan: fit.Plan, settings: Config, folders: Folders) -> Settings:
    """What the engine is told."""
    return Settings(
        context=plan.context,
        threads=plan.threads,
        gpu_layers=plan.gpu_layers,
        kv=plan.kv,
        batch=plan.batch,
        prefixes=folders.cache / "prefixes" if settings.prefix_cache else None,
        prefix_bytes=settings.prefix_cache << 20,
    )


def _tried(
    weights: fit.Weights, here: fit.Machine, wish: fit.Wish, fallback: bool
) -> Iterator[fit.Plan]:
    """The plans that fit by arithmetic; only the wish itself where there is no fallback."""
    for plan in fit.plans(weights, here, wish):
        if fit.fits(plan, here):
            yield plan
        if not fallback:
            return


def _too_large(weights: fit.Weights, here: fit.Machine, wish: fit.Wish) -> OutOfMemory:
    plan = next(fit.plans(weights, here, wish))
    return OutOfMemory(
        f"{weights.name} needs {fit.gib(plan.memory + plan.gpu)} of memory with {plan.context} "
        f"tokens of context, KV in {plan.kv}, and {fit.gib(here.room)} can be had; take less "
        "context, a smaller KV type, or a smaller model or quantization."
    )


class _Memory:
    """What worked for a model on this machine where the wish did not."""

    def __init__(self, path: Path, weights: fit.Weights, here: fit.Machine, wish: fit.Wish) -> None:
        self._path = path
        told = [weights.name, weights.size, here.name, here.memory, asdict(wish)]
        told += [[device.name, device.memory] for device in here.devices]
        self._key = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]

    def ordered(self, plans: Iterator[fit.Plan]) -> Iterator[fit.Plan]:
        """The plan that worked last time and those after it; all, where none is known."""
        worked = self._all().get(self._key)
        known = list(plans)
        starts = [number for number, plan in enumerate(known) if self._what(plan) == worked]
        return iter(known[starts[0] :] if starts else known)

    def keep(self, plan: fit.Plan) -> None:
        """Note that a plan worked, where that was not the first wish."""
        known = self._all()
        known.pop(self._key, None)
        if plan.changed:
            known[self._key] = self._what(plan)
        elif known == self._all():
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps(dict(list(known.items())[-MOST_PLANS:])), "utf-8")
        except OSError:
            # It is tried anew the next time.
            return

    def _all(self) -> dict[str, Any]:
        try:
            known = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def _what(self, plan: fit.Plan) -> list[Any]:
        return [plan.gpu_layers, plan.kv, plan.context]
