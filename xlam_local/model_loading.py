"""Load a model: find its file, plan what fits into memory, start the engine, and fall back."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import atomic_file, config, ggml_devices, hardware, memory_plan, models, user_file
from .config import Config, Folders
from .engine import AdapterOption, LoadOptions
from .engine.subprocess_engine import SubprocessEngine
from .errors import ModelMissing, OutOfMemory, UsageError
from .generators import drain
from .hardware import Machine
from .memory_plan import LoadRequest, Plan, Weights, format_gib
from .models import adapters, gguf
from .models.memory_size import file_weights
from .models.store import split_parts
from .models.user_catalog import load_remote_entries
from .models.verify import read_language_model
from .remote.address import RemoteAddress, is_url, parse_url
from .remote.errors import RemoteNotAllowed
from .types import LoadProgress, Notice

if TYPE_CHECKING:
    from .engine.local_engine import LocalEngine
    from .remote.remote_engine import RemoteEngine

PLANS_FILE = "plans.json"
SERVERS_FILE = "servers.json"
MAX_PLANS = 50
NO_ADAPTERS = (
    "There are no LoRA adapters. Add one with `xlam-local models adapters add` in a terminal."
)
NO_GPU_SUPPORT = (
    "llama.cpp was built without support for this machine's GPU, so the CPU is used. "
    "Run `xlam-local doctor` for the command that installs another build."
)


def load_model(
    name: str | None = None,
    settings: Config | None = None,
    folders: Folders | None = None,
    sequences: int | None = 1,
) -> SubprocessEngine | RemoteEngine:
    """Load a model in a child process: the one called `name`, or the user's default.

    A URL, or the name of an entry of models.toml with one, connects to a server instead.

    Without `settings` and `folders`, the user's are read. `sequences` is how many replies several
    threads can have written at once; None takes as many as memory and measured speed allow.

    Raises:
        ModelMissing: the model is not installed.
        IntegrityError: its file is damaged.
        ModelError: llama.cpp cannot load it.
        OutOfMemory: it does not fit into memory.
        RemoteNotAllowed: the settings do not allow the host of the server.
        RemoteError: there is no server that can be used.
    """
    return drain(loading_steps(name, settings, folders, sequences))


def loading_steps(
    name: str | None = None,
    settings: Config | None = None,
    folders: Folders | None = None,
    sequences: int | None = 1,
) -> Generator[LoadProgress | Notice, None, SubprocessEngine | RemoteEngine]:
    """Load a model as `load_model` does, with progress. To cancel, close the generator.

    If the model does not fit, the next candidate of `memory_plan` is tried: fewer layers on the
    GPU, a smaller KV cache, less context. A notice reports each of them, and the plan that
    worked is tried first next time.
    """
    folders = folders or config.folders()
    settings = settings or config.load(folders.config / "config.toml")
    store = models.Store.from_folders(folders.config, folders.data)
    if (address := find_remote(name, settings, store)) is not None:
        return (yield from _connection_steps(address, settings, folders.cache / SERVERS_FILE))
    path = find_model(name, settings, store)
    applied = find_adapters(name or settings.model or "", path, store)
    weights, machine = model_weights(path), hardware.detect()
    adapter_bytes = sum(adapter.path.stat().st_size for adapter in applied)
    request = replace(load_request(settings, sequences), adapter_bytes=adapter_bytes)
    yield from _warnings(weights, settings)
    history = _PlanHistory(folders.data / PLANS_FILE, weights, machine, request)
    failure: OutOfMemory | None = None
    for plan in history.order(_fitting(weights, machine, request, settings.auto_downgrade)):
        if notice := downgrade_notice(plan, machine, request):
            yield Notice(notice)
        log = folders.state / "logs" / "engine.log"
        options = load_options(plan, settings, folders)
        options = replace(options, adapters=applied, adapt_sequences=sequences is None)
        engine = SubprocessEngine(path, options, log)
        engine.planned_device = memory_plan.device_name(plan, machine)
        try:
            yield from engine.start()
        except OutOfMemory as error:
            failure = error
            continue
        history.record(plan)
        models.record_use(path, store)
        return engine
    raise failure or _too_large(weights, machine, request)


def load_model_in_process(path: Path, settings: Config | None = None) -> LocalEngine:
    """Load the GGUF file at `path` in this process, which a crash of llama.cpp then ends.

    Raises:
        IntegrityError: the file is damaged.
        ModelError: llama.cpp cannot load it.
        OutOfMemory: it does not fit into memory.
    """
    from .engine.local_engine import LocalEngine

    folders = config.folders()
    settings = settings or config.load(folders.config / "config.toml")
    plan = memory_plan.choose(model_weights(path), hardware.detect(), load_request(settings))
    return LocalEngine.load(path, load_options(plan, settings, folders))


def find_remote(name: str | None, settings: Config, store: models.Store) -> RemoteAddress | None:
    """Return the address of a model that runs on a server; None for other models.

    Raises:
        UsageError: the URL or models.toml is not valid.
    """
    chosen = name or settings.model or ""
    if is_url(chosen):
        return parse_url(chosen)
    entry = load_remote_entries(store.config).get(chosen)
    if entry is None:
        return None
    address = parse_url(entry.url)
    key_env = entry.key_env or address.key_env
    return replace(address, key_env=key_env, prompt_format=entry.prompt_format)


def _connection_steps(
    address: RemoteAddress, settings: Config, cache: Path
) -> Generator[Notice, None, RemoteEngine]:
    if not address.is_local and address.host not in settings.allow_remote:
        raise RemoteNotAllowed(address.host)
    from .remote.connect import connect  # loads an HTTP client

    return (yield from connect(address, settings.context, cache=cache))


def find_model(name: str | None, settings: Config, store: models.Store) -> Path:
    """Return the file of a model: `name`, the user's default, or the best installed one.

    Raises:
        ModelMissing: the model is not installed, or runs on a server.
    """
    if (address := find_remote(name, settings, store)) is not None:
        raise ModelMissing(
            f"The model runs on {address.host}, but this needs a model file on this machine. Name "
            "one with -m."
        )
    chosen, _ = split_adapters(name or settings.model or "")
    return models.find_path(chosen, store) if chosen else models.default_path(store)


def split_adapters(name: str) -> tuple[str, list[str]]:
    """Return a model's name and the adapters after it, as in `MODEL+ADAPTER+ADAPTER:SCALE`.

    A file whose name has a plus sign is a model's name as it is.
    """
    if Path(name).expanduser().is_file():
        return name, []
    model, *names = name.split("+")
    return model, names


def find_adapters(name: str, path: Path, store: models.Store) -> tuple[AdapterOption, ...]:
    """Return the adapters after a model's name, which must fit the model's file `path`.

    Raises:
        UsageError: a scale is not a number.
        ModelMissing: an adapter is not in the store.
        ModelError: an adapter does not fit the model.
    """
    return tuple(_find_adapter(text, path, store) for text in split_adapters(name)[1])


def _find_adapter(text: str, path: Path, store: models.Store) -> AdapterOption:
    """Return the adapter of a text `NAME` or `NAME:SCALE`, which must fit the model's file."""
    name, _, scale = text.partition(":")
    if not re.fullmatch(r"(-?[0-9]+(\.[0-9]+)?)?", scale):
        raise UsageError(f"The scale of the adapter {name} is {scale!r}, not a number.")
    stored = adapters.find(name, store)
    adapters.check(stored.path, gguf.read(path))
    return AdapterOption(stored.name, stored.path, stored.sha256, float(scale or 1))


def local_engine(engine: object) -> SubprocessEngine:
    """Return an engine if its model runs on this machine.

    Raises:
        UsageError: it runs on a server, which applies adapters itself.
    """
    if not isinstance(engine, SubprocessEngine):
        raise UsageError("Adapters can be changed only for a model that runs on this machine.")
    return engine


def changed_adapters(
    engine: SubprocessEngine, change: str, store: models.Store
) -> tuple[AdapterOption, ...]:
    """Return the adapters of an engine after a change.

    A change is `NAME` or `NAME:SCALE` to apply one, `NAME off` to take one off, or `off` for all.

    Raises:
        UsageError: the change is not valid.
        ModelMissing: an adapter is not in the store.
        ModelError: an adapter does not fit the model.
    """
    if change == "off":
        return ()
    name, _, state = change.partition(" ")
    if state.strip() not in ("", "on", "off"):
        raise UsageError(
            "Use /adapter NAME or /adapter NAME:SCALE to apply an adapter, /adapter NAME off to "
            "take one off, or /adapter off for all."
        )
    if state.strip() == "off":
        if name not in [adapter.name for adapter in engine.adapters]:
            raise UsageError(f"The adapter {name} is not on.")
        return tuple(adapter for adapter in engine.adapters if adapter.name != name)
    changed = _find_adapter(name, engine.path, store)
    return (*(one for one in engine.adapters if one.name != changed.name), changed)


def adapter_overview(engine: object, store: models.Store) -> str:
    """Return the adapters in the store, one a line, with those that an engine applies.

    Raises:
        IntegrityError: the record of one is damaged.
    """
    applied = engine.adapters if isinstance(engine, SubprocessEngine) else ()
    scales = {adapter.name: f"on, scale {adapter.scale:g}" for adapter in applied}
    lines = [
        f"{stored.name}: {scales.get(stored.name, 'off')} (for {stored.base}, rank {stored.rank})"
        for stored in adapters.list_adapters(store)
    ]
    return "\n".join(lines) or NO_ADAPTERS


def model_identity(name: str | None, settings: Config, store: models.Store) -> tuple[str, str]:
    """Return the SHA-256 of the file of a model, and its adapters as in `NAME+NAME:SCALE`.

    The model is `name`, or the user's default. The SHA-256 of a model on a server is empty.

    Raises:
        ModelMissing: the model is not installed.
        IntegrityError: its file cannot be read.
    """
    if find_remote(name, settings, store) is not None:
        return "", ""
    _, adapters = split_adapters(name or settings.model or "")
    return models.file_sha256(find_model(name, settings, store), store), "+".join(adapters)


def model_weights(path: Path) -> Weights:
    """Return what a model needs memory for, after checking its file's header."""
    return file_weights(read_language_model(list(split_parts(path))))


def load_request(settings: Config, sequences: int | None = 1) -> LoadRequest:
    """Return how the user's settings want a model to be loaded."""
    return LoadRequest(
        settings.context,
        settings.kv_cache_type,
        settings.threads,
        settings.gpu_layers,
        sequences,
    )


def load_options(plan: Plan, settings: Config, folders: Folders) -> LoadOptions:
    """Return the engine's options for a plan."""
    return LoadOptions(
        context_size=plan.context,
        sequences=plan.sequences,
        threads=settings.threads,
        gpu_layers=plan.gpu_layers,
        kv_cache_type=plan.kv_cache_type,
        batch_size=plan.batch_size,
        prompt_cache_folder=folders.cache / "prompts" if settings.prompt_cache_mib else None,
        prompt_cache_bytes=settings.prompt_cache_mib << 20,
    )


def downgrade_notice(plan: Plan, machine: Machine, request: LoadRequest) -> str:
    """Return how a plan differs from the request, as a sentence; "" if it does not."""
    name, layers = plan.weights.name, plan.weights.shape.layers
    if plan.downgrade:
        return f"{name} does not fit as requested. Trying: {plan.downgrade}."
    if machine.devices and request.gpu_layers is None and plan.gpu_layers <= layers:
        return (
            f"{plan.gpu_layers} of the {layers} layers of {name} fit on the GPU; "
            "the others run on the CPU."
        )
    return ""


def _warnings(weights: Weights, settings: Config) -> Iterator[Notice]:
    has_gpu = hardware.has_nvidia_gpu() or hardware.has_amd_gpu()
    if has_gpu and not ggml_devices.supports_gpu_offload():
        yield Notice(NO_GPU_SUPPORT)
    max_context = weights.shape.max_context
    if settings.context > max_context:
        yield Notice(f"{weights.name} supports at most {max_context} tokens of context.")


def _fitting(
    weights: Weights, machine: Machine, request: LoadRequest, auto_downgrade: bool
) -> Iterator[Plan]:
    """Yield the plans that fit; without `auto_downgrade`, only the requested one."""
    for plan in memory_plan.candidates(weights, machine, request):
        if memory_plan.fits(plan, machine):
            yield plan
        if not auto_downgrade:
            return


def _too_large(weights: Weights, machine: Machine, request: LoadRequest) -> OutOfMemory:
    plan = next(memory_plan.candidates(weights, machine, request))
    return OutOfMemory(
        f"{weights.name} needs {format_gib(plan.memory + plan.gpu_memory)} of memory with "
        f"{plan.context} tokens of context and KV cache type {plan.kv_cache_type}, but "
        f"{format_gib(machine.usable_memory)} are available. Use less context, a smaller KV "
        "cache type, or a smaller model or quantization."
    )


class _PlanHistory:
    """Remembers which downgraded plan worked for a model, a machine and a request.

    It is saved in a JSON file: a hash of the three, and the plan's options.
    """

    def __init__(
        self, path: Path, weights: Weights, machine: Machine, request: LoadRequest
    ) -> None:
        self._path = path
        gpus = [[device.name, device.memory] for device in machine.devices]
        situation = [weights.name, weights.size, machine.name, machine.memory, asdict(request)]
        text = json.dumps([*situation, *gpus])
        self._key = hashlib.sha256(text.encode()).hexdigest()[:16]

    def order(self, plans: Iterator[Plan]) -> Iterator[Plan]:
        """Yield the plan that worked last time and those after it; all if none is known."""
        worked = self._load().get(self._key)
        known = list(plans)
        first = next((i for i, plan in enumerate(known) if self._options(plan) == worked), 0)
        return iter(known[first:])

    def record(self, plan: Plan) -> None:
        """Save that a plan worked, unless it is the requested one."""
        if not plan.downgrade and self._key not in self._load():
            return
        # Without the file, all plans are tried again next time.
        with suppress(OSError), atomic_file.exclusive(self._path) as write:
            saved = self._load()
            saved.pop(self._key, None)
            if plan.downgrade:
                saved[self._key] = self._options(plan)
            write(json.dumps(dict(list(saved.items())[-MAX_PLANS:])))

    def _load(self) -> dict[str, Any]:
        saved = user_file.read_own_json(self._path)
        return saved if isinstance(saved, dict) else {}

    def _options(self, plan: Plan) -> list[Any]:
        return [plan.gpu_layers, plan.kv_cache_type, plan.context]
