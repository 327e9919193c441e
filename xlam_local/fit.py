"""From weights and a machine to the plan that fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from .errors import OutOfMemory

MIB, GIB = 1 << 20, 1 << 30

KvType = Literal["f16", "q8_0", "q4_0"]
KV_BYTES: dict[KvType, float] = {"f16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
"""Bytes of one number in the KV cache."""

BLOCK = 32
"""Numbers that a quantized KV cache keeps together; a head has to be a multiple."""
GPU_BATCH = 512
CPU_BATCHES = (128, 64, 32)
"""Tokens that go through the model together while it reads a prompt; on a processor, more of them
are no faster, and each takes room for its attention to all the context."""
SCORES = 24 * MIB
"""What that room may be, if the batch can be made small enough."""
PROGRAM = 70 * MIB
"""What Python and llama.cpp take before a model is loaded."""
VOCABULARY_ENTRY = 330
"""Bytes that llama.cpp keeps for a token of the vocabulary."""
SMALLEST_CONTEXT = 2048
STEP = 256
"""llama.cpp makes a context a multiple of this."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the memory a model needs depends on, beside the size of its file."""

    layers: int
    kv_heads: int
    head: int
    """Numbers in one attention head."""
    heads: int
    width: int
    """Numbers in an embedding."""
    feed: int
    """Numbers in the middle of a feed-forward block."""
    vocabulary: int
    context: int
    """Tokens of context that the model was trained on."""
    stretched: int = 0
    """Tokens of context that it can use with YaRN; 0 where that is not known."""

    @property
    def longest(self) -> int:
        """The most tokens of context that it can use."""
        return max(self.context, self.stretched)


@dataclass(frozen=True, slots=True)
class Weights:
    """A model's file, as far as memory goes."""

    name: str
    size: int
    layer: int
    """Bytes of one layer."""
    shape: Shape
    repacked: int = 0
    """Bytes that the CPU gets a second copy of, in an order it computes faster with."""


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU that llama.cpp can use."""

    name: str
    memory: int
    free: int
    shared: bool = False
    """Whether its memory is the computer's own."""
    speed: float = 200e9
    """Bytes of weights that it goes through in a second."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What a computer has."""

    name: str
    memory: int
    available: int
    """Bytes of memory that nothing else needs now."""
    cores: int
    """Those that compute: physical ones, and of those the fast ones."""
    devices: tuple[Device, ...] = ()
    speed: float = 0.0
    """Bytes of weights that the CPU goes through in a second; 0 is a guess from its cores."""

    @property
    def cpu_speed(self) -> float:
        """Bytes of weights that the CPU goes through in a second."""
        return self.speed or min(self.cores * 10e9, 35e9)

    @property
    def reserve(self) -> int:
        """Bytes of memory that are left to others."""
        return max(512 * MIB, self.available // 10)

    @property
    def room(self) -> int:
        """Bytes of memory that a model may take."""
        return max(self.available - self.reserve, 0)

    @property
    def gpu_room(self) -> int:
        """Bytes of GPU memory that a model may take."""
        return sum(max(one.free - max(512 * MIB, one.memory // 20), 0) for one in self.devices)

    @property
    def shared(self) -> bool:
        """Whether what a GPU takes is missing elsewhere."""
        return any(device.shared for device in self.devices)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a user wants of a plan."""

    context: int = 8192
    kv: KvType = "f16"
    threads: int | None = None
    gpu_layers: int | None = None
    """Layers on the GPU; as many as fit when not set."""


@dataclass(frozen=True, slots=True)
class Part:
    """One line of the arithmetic, in bytes."""

    what: str
    memory: int
    gpu: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """How to load a model so that it fits."""

    weights: Weights
    context: int
    kv: KvType
    gpu_layers: int
    """All layers and the output are one more than the model has layers."""
    threads: int
    batch: int
    parts: tuple[Part, ...]
    changed: str = ""
    """What was given up against the wish, as a phrase."""

    @property
    def memory(self) -> int:
        """Bytes of memory that have to be there."""
        return sum(part.memory for part in self.parts)

    @property
    def gpu(self) -> int:
        """Bytes of GPU memory that have to be there."""
        return sum(part.gpu for part in self.parts)

    @property
    def peak(self) -> int:
        """Bytes that the system shows at most: with pages of the file that it could drop."""
        on_cpu = self.weights.size and self.parts[0].memory / self.weights.size
        return self.memory + round(self.weights.repacked * min(on_cpu, 1.0))


def plans(weights: Weights, machine: Machine, wish: Wish) -> Iterator[Plan]:
    """What to try, the most wanted first.

    All of the wish, then fewer layers on the GPU, then a smaller KV cache, then less context.
    """
    wanted = replace(wish, context=min(wish.context, weights.shape.longest))
    first = _offloaded(weights, machine, wanted, "")
    yield first
    for layers in sorted({first.gpu_layers * part // 4 for part in range(4)}, reverse=True):
        if layers < first.gpu_layers:
            yield _plan(weights, machine, wanted, layers, f"{layers} layers on the GPU")
    kv = wanted.kv
    if kv == "f16" and weights.shape.head % BLOCK == 0:
        kv = "q8_0"
        yield _offloaded(weights, machine, replace(wanted, kv=kv), "KV cache in q8_0")
    context = wanted.context // 2
    while context >= SMALLEST_CONTEXT:
        smaller = f"KV cache in {kv}, " if kv != wish.kv else ""
        changed = f"{smaller}context of {context}"
        yield _offloaded(weights, machine, replace(wanted, context=context, kv=kv), changed)
        context //= 2


def choose(weights: Weights, machine: Machine, wish: Wish) -> Plan:
    """The most wanted plan that fits."""
    last: Plan | None = None
    for plan in plans(weights, machine, wish):
        if fits(plan, machine):
            return plan
        last = plan
    assert last is not None
    raise OutOfMemory(
        f"{weights.name} needs {gib(last.memory)} of memory even with {last.context} tokens of "
        f"context, and {gib(machine.room)} can be had; take a smaller model or quantization."
    )


def fits(plan: Plan, machine: Machine) -> bool:
    """Whether everything the plan needs is there."""
    if machine.shared:
        return plan.gpu <= machine.gpu_room and plan.memory + plan.gpu <= machine.room
    return plan.gpu <= machine.gpu_room and plan.memory <= machine.room


def speed(plan: Plan, machine: Machine) -> float:
    """Tokens a second, roughly: each token goes through all weights once."""
    on_gpu = plan.parts[0].gpu
    on_cpu = max(plan.weights.size - on_gpu, 0)
    gpu_speed = sum(device.speed for device in machine.devices) / max(len(machine.devices), 1)
    seconds = on_cpu / machine.cpu_speed + (on_gpu / gpu_speed if on_gpu else 0.0)
    return 1 / seconds if seconds else 0.0


def where(plan: Plan, machine: Machine) -> str:
    """Where the model computes, in words."""
    layers, names = plan.weights.shape.layers, " and ".join(one.name for one in machine.devices)
    if not names or plan.gpu_layers == 0:
        return f"on the CPU with {plan.threads} thread{'s' if plan.threads > 1 else ''}"
    if plan.gpu_layers > layers:
        return f"all on {names}"
    return f"{plan.gpu_layers} of {layers} layers on {names}"


def _offloaded(weights: Weights, machine: Machine, wish: Wish, changed: str) -> Plan:
    """The plan with as many layers on the GPU as have room there."""
    if wish.gpu_layers is not None:
        return _plan(weights, machine, wish, wish.gpu_layers, changed)
    most = weights.shape.layers + 1 if machine.devices else 0
    for layers in range(most, 0, -1):
        plan = _plan(weights, machine, wish, layers, changed)
        if fits(plan, machine):
            return plan
    return _plan(weights, machine, wish, 0, changed)


def _plan(weights: Weights, machine: Machine, wish: Wish, gpu_layers: int, changed: str) -> Plan:
    context = -(-wish.context // STEP) * STEP
    batch = GPU_BATCH if gpu_layers else _batch(weights.shape, context)
    parts = (
        _weights(weights, gpu_layers),
        _cache(weights.shape, context, wish.kv, gpu_layers),
        _compute(weights.shape, batch, gpu_layers, _scores(weights.shape, context, wish.kv, batch)),
        Part("program and vocabulary", PROGRAM + weights.shape.vocabulary * VOCABULARY_ENTRY),
    )
    threads = wish.threads or machine.cores
    return Plan(weights, context, wish.kv, gpu_layers, threads, batch, parts, changed)


def _batch(shape: Shape, context: int) -> int:
    """The largest batch whose attention takes no more than SCORES."""
    fitting = (size for size in CPU_BATCHES if _scores(shape, context, "f16", size) <= SCORES)
    return next(fitting, CPU_BATCHES[-1])


def _scores(shape: Shape, context: int, kv: KvType, batch: int) -> int:
    """Room for the attention of a batch to all the context; flash attention takes none."""
    return 4 * shape.heads * context * batch if kv == "f16" else 0


def _weights(weights: Weights, gpu_layers: int) -> Part:
    """Where the weights lie; embeddings stay in memory, even with everything else on the GPU."""
    layers = weights.shape.layers
    rest = weights.size - weights.layer * layers
    on_gpu = weights.layer * min(gpu_layers, layers) + (rest if gpu_layers > layers else 0)
    return Part("weights", weights.layer * max(layers - gpu_layers, 0) + rest, on_gpu)


def _cache(shape: Shape, context: int, kv: KvType, gpu_layers: int) -> Part:
    """The KV cache, which lies where its layers lie."""
    layer = round(2 * shape.kv_heads * shape.head * KV_BYTES[kv] * context)
    on_gpu = min(gpu_layers, shape.layers)
    what = f"KV cache, {context} tokens in {kv}"
    return Part(what, layer * (shape.layers - on_gpu), layer * on_gpu)


def _compute(shape: Shape, batch: int, gpu_layers: int, scores: int) -> Part:
    """What a batch takes on its way; a GPU sets the logits of a whole batch aside."""
    on_cpu = 4 * 4 * shape.feed * batch
    on_gpu = 4 * batch * (shape.vocabulary + 2 * shape.width)
    if gpu_layers:
        return Part("computing", on_cpu, max(on_gpu, on_cpu))
    return Part(f"computing, {batch} tokens at once", on_cpu + scores)


def gib(size: float) -> str:
    """Bytes as memory is counted: 3.4 GiB."""
    return f"{size / GIB:.1f} GiB"
