"""Choose how to load a model so that its weights, KV cache and buffers fit a machine's memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from .errors import OutOfMemory
from .hardware import GIB, MIB, Machine
from .model_shape import KvCacheType, ModelShape

KV_BYTES_PER_VALUE: dict[KvCacheType, float] = {"f16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
KV_QUANT_BLOCK = 32
"""A quantized KV cache stores blocks of this many values; an attention head must be a multiple."""

GPU_BATCH_TOKENS = 512
CPU_BATCH_TOKENS = (128, 64, 32)
"""Batch sizes on a CPU. A larger batch reads a prompt no faster and needs a larger buffer."""
MAX_ATTENTION_BYTES = 24 * MIB
"""The batch is made smaller until the attention scores of a batch fit this buffer."""

PROGRAM_BYTES = 70 * MIB
"""The memory of Python and llama.cpp before a model is loaded."""
VOCABULARY_BYTES_PER_TOKEN = 330
MIN_CONTEXT = 2048
GPU_SEQUENCES, CPU_SEQUENCES = 8, 4
"""How many replies are written at once if the user sets no number and memory allows it."""
CONTEXT_MULTIPLE = 256
"""llama.cpp rounds the context up to a multiple of this."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The properties of a model's file that decide how much memory it needs. Sizes are in bytes."""

    name: str
    size: int
    layer_size: int
    shape: ModelShape
    repacked_size: int = 0
    """Weights that llama.cpp copies into a layout that the CPU multiplies faster."""


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """How the user wants a model to be loaded."""

    context: int = 8192
    """Tokens."""
    kv_cache_type: KvCacheType = "f16"
    threads: int | None = None
    """None takes the machine's cores."""
    gpu_layers: int | None = None
    """None takes as many as fit."""
    sequences: int | None = 1
    """How many replies are written at once; None takes as many as fit beside all else."""
    adapter_bytes: int = 0
    """The size of the adapters' files."""


@dataclass(frozen=True, slots=True)
class MemoryItem:
    """One line of a plan's memory estimate. Sizes are in bytes."""

    name: str
    memory: int
    gpu_memory: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """How to load a model, and the memory that this takes."""

    weights: Weights
    context: int
    """Tokens."""
    kv_cache_type: KvCacheType
    gpu_layers: int
    """One more than the model's layers if the output is on the GPU too."""
    threads: int
    batch_size: int
    """Tokens."""
    sequences: int
    """How many replies are written at once, each with its own context."""
    items: tuple[MemoryItem, ...]
    """The weights come first, then the KV cache."""
    downgrade: str = ""
    """What differs from the request, as a phrase."""

    @property
    def memory(self) -> int:
        """Bytes of memory that the plan needs."""
        return sum(item.memory for item in self.items)

    @property
    def gpu_memory(self) -> int:
        """Bytes of GPU memory that the plan needs."""
        return sum(item.gpu_memory for item in self.items)

    @property
    def peak_memory(self) -> int:
        """Bytes that the system reports at most; it can drop cached pages of the file."""
        on_cpu = self.weights.size and self.items[0].memory / self.weights.size
        return self.memory + round(self.weights.repacked_size * min(on_cpu, 1.0))


def candidates(weights: Weights, machine: Machine, request: LoadRequest) -> Iterator[Plan]:
    """Yield the plans to try, the most wanted first.

    The order is: the whole request, fewer layers on the GPU, a KV cache in q8_0, less context. If
    the request has no number of sequences, it is the largest with which the whole request fits.
    """
    capped = replace(request, context=min(request.context, weights.shape.max_context))
    if capped.sequences is None:
        capped = replace(capped, sequences=_most_sequences(weights, machine, capped))
    first = _best_offload(weights, machine, capped, "")
    yield first
    for layers in sorted({first.gpu_layers * quarter // 4 for quarter in range(4)}, reverse=True):
        if layers < first.gpu_layers:
            yield _plan(weights, machine, capped, layers, f"{layers} layers on the GPU")
    if capped.kv_cache_type == "f16" and weights.shape.head_size % KV_QUANT_BLOCK == 0:
        capped = replace(capped, kv_cache_type="q8_0")
        yield _best_offload(weights, machine, capped, "KV cache in q8_0")
    changed_kv = capped.kv_cache_type != request.kv_cache_type
    prefix = f"KV cache in {capped.kv_cache_type}, " if changed_kv else ""
    context = capped.context // 2
    while context >= MIN_CONTEXT:
        smaller = replace(capped, context=context)
        yield _best_offload(weights, machine, smaller, f"{prefix}context of {context}")
        context //= 2


def choose(weights: Weights, machine: Machine, request: LoadRequest) -> Plan:
    """Return the most wanted plan that fits.

    Raises:
        OutOfMemory: no plan fits.
    """
    last: Plan | None = None
    for plan in candidates(weights, machine, request):
        if fits(plan, machine):
            return plan
        last = plan
    assert last is not None
    raise OutOfMemory(
        f"{weights.name} needs {format_gib(last.memory)} of memory even with {last.context} "
        f"tokens of context, but {format_gib(machine.usable_memory)} are available. Choose a "
        "smaller model or quantization."
    )


def fits(plan: Plan, machine: Machine) -> bool:
    """Return whether a machine has the memory that a plan needs."""
    if plan.gpu_memory > machine.usable_gpu_memory:
        return False
    on_main = plan.memory + (plan.gpu_memory if machine.shares_memory else 0)
    return on_main <= machine.usable_memory


def tokens_per_second(plan: Plan, machine: Machine) -> float:
    """Estimate the decoding speed: each token reads all weights once."""
    on_gpu = plan.items[0].gpu_memory
    on_cpu = max(plan.weights.size - on_gpu, 0)
    gpu_speed = sum(device.speed for device in machine.devices) / max(len(machine.devices), 1)
    seconds = on_cpu / machine.cpu_speed + (on_gpu / gpu_speed if on_gpu else 0.0)
    return 1 / seconds if seconds else 0.0


def device_name(plan: Plan, machine: Machine) -> str:
    """Return where a plan computes, as a phrase."""
    layers = plan.weights.shape.layers
    gpus = " and ".join(device.name for device in machine.devices)
    if not gpus or plan.gpu_layers == 0:
        return f"on the CPU with {plan.threads} thread{'s' if plan.threads > 1 else ''}"
    if plan.gpu_layers > layers:
        return f"all on {gpus}"
    return f"{plan.gpu_layers} of {layers} layers on {gpus}"


def format_gib(size: float) -> str:
    """Return a number of bytes in GiB, for example 3.4 GiB."""
    return f"{size / GIB:.1f} GiB"


def _best_offload(weights: Weights, machine: Machine, request: LoadRequest, downgrade: str) -> Plan:
    """Return the plan with the requested layers on the GPU, or as many as fit there."""
    if request.gpu_layers is not None:
        return _plan(weights, machine, request, request.gpu_layers, downgrade)
    all_layers = weights.shape.layers + 1 if machine.devices else 0
    for layers in range(all_layers, 0, -1):
        plan = _plan(weights, machine, request, layers, downgrade)
        if fits(plan, machine):
            return plan
    return _plan(weights, machine, request, 0, downgrade)


def _most_sequences(weights: Weights, machine: Machine, request: LoadRequest) -> int:
    """Return the largest power of two with which the whole request fits, or 1."""
    offloads = bool(machine.devices) and request.gpu_layers != 0
    count = GPU_SEQUENCES if offloads else CPU_SEQUENCES
    single = _best_offload(weights, machine, replace(request, sequences=1), "")
    while count > 1:
        plan = _best_offload(weights, machine, replace(request, sequences=count), "")
        if fits(plan, machine) and plan.gpu_layers == single.gpu_layers:
            break
        count //= 2
    return count


def _plan(
    weights: Weights, machine: Machine, request: LoadRequest, gpu_layers: int, downgrade: str
) -> Plan:
    shape, kv_cache_type = weights.shape, request.kv_cache_type
    context = -(-request.context // CONTEXT_MULTIPLE) * CONTEXT_MULTIPLE
    sequences = request.sequences or 1
    cells = sequences * context
    batch_size = GPU_BATCH_TOKENS if gpu_layers else _cpu_batch(shape, cells)
    attention = _attention_bytes(shape, cells, kv_cache_type, batch_size)
    program = PROGRAM_BYTES + shape.vocabulary_size * VOCABULARY_BYTES_PER_TOKEN
    items = (
        _weights_item(weights, gpu_layers),
        _kv_cache_item(shape, context, sequences, kv_cache_type, gpu_layers),
        _compute_item(shape, batch_size, gpu_layers, attention),
        MemoryItem("program and vocabulary", program),
        *([MemoryItem("adapters", request.adapter_bytes)] if request.adapter_bytes else []),
    )
    threads = request.threads or machine.cores
    return Plan(
        weights,
        context,
        kv_cache_type,
        gpu_layers,
        threads,
        batch_size,
        sequences,
        items,
        downgrade,
    )


def _cpu_batch(shape: ModelShape, cells: int) -> int:
    """Return the largest batch size whose attention scores fit MAX_ATTENTION_BYTES."""
    fitting = (
        size
        for size in CPU_BATCH_TOKENS
        if _attention_bytes(shape, cells, "f16", size) <= MAX_ATTENTION_BYTES
    )
    return next(fitting, CPU_BATCH_TOKENS[-1])


def _attention_bytes(
    shape: ModelShape, cells: int, kv_cache_type: KvCacheType, batch_size: int
) -> int:
    """Return the size of a batch's attention scores, for a KV cache of `cells` tokens.

    A quantized KV cache needs flash attention, which does not store the scores.
    """
    return 4 * shape.heads * cells * batch_size if kv_cache_type == "f16" else 0


def _weights_item(weights: Weights, gpu_layers: int) -> MemoryItem:
    """Return where the weights are; main memory keeps the embeddings even with full offload."""
    layers = weights.shape.layers
    rest = weights.size - weights.layer_size * layers
    on_gpu = weights.layer_size * min(gpu_layers, layers) + (rest if gpu_layers > layers else 0)
    on_cpu = weights.layer_size * max(layers - gpu_layers, 0) + rest
    return MemoryItem("weights", on_cpu, on_gpu)


def _kv_cache_item(
    shape: ModelShape, context: int, sequences: int, kv_cache_type: KvCacheType, gpu_layers: int
) -> MemoryItem:
    """Return where the KV cache is: with its layers."""
    values = 2 * shape.kv_heads * shape.head_size * sequences * context
    layer = round(values * KV_BYTES_PER_VALUE[kv_cache_type])
    on_gpu = min(gpu_layers, shape.layers)
    times = f"{sequences} x " if sequences > 1 else ""
    name = f"KV cache, {times}{context} tokens in {kv_cache_type}"
    return MemoryItem(name, layer * (shape.layers - on_gpu), layer * on_gpu)


def _compute_item(
    shape: ModelShape, batch_size: int, gpu_layers: int, attention: int
) -> MemoryItem:
    """Return the buffers of a batch; on a GPU they include the logits of the whole batch."""
    on_cpu = 4 * 4 * shape.feed_forward_size * batch_size
    if not gpu_layers:
        return MemoryItem(f"computing, {batch_size} tokens at once", on_cpu + attention)
    on_gpu = 4 * batch_size * (shape.vocabulary_size + 2 * shape.embedding_size)
    return MemoryItem("computing", on_cpu, max(on_gpu, on_cpu))
