"""Recommend a model, a quantization and a context size for a machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from .. import memory_plan
from ..errors import OutOfMemory
from ..hardware import Machine
from ..memory_plan import LoadRequest, Plan, Weights, format_gib
from .catalog import CatalogModel
from .memory_size import catalog_weights

MIN_TOKENS_PER_S = 8.0
"""A slower model is recommended only if none is faster."""
GOOD_TOKENS_PER_S = 12.0
"""A better quantization is not recommended if it is slower than this."""
CONTEXT_SIZES = (32768, 16384, 8192)
"""Tokens. Tools and their results need at least the last."""
PREFERRED_QUANTS = ("Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q5_0", "Q4_K_M", "Q4_K_S", "Q4_0")
"""Quantizations that cost almost no quality, the best first. F16 is no better than Q8_0."""
FALLBACK_QUANTS = ("Q3_K_L", "Q3_K_S", "Q2_K")
"""Quantizations for machines on which no preferred one fits."""
LOAD_REQUESTS = (
    *(LoadRequest(context, "f16") for context in CONTEXT_SIZES),
    *(LoadRequest(context, "q8_0") for context in CONTEXT_SIZES),
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model in one quantization that fits the machine."""

    model: CatalogModel
    quantization: str
    plan: Plan
    tokens_per_s: float
    """Estimated decoding speed."""

    @property
    def name(self) -> str:
        """The name that commands take."""
        return f"{self.model.name}:{self.quantization}"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A larger model, or a better quantization, that is not recommended."""

    name: str
    reason: str
    """A clause without a period."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The recommended model, and the better ones that were rejected."""

    best: Candidate
    rejected: tuple[Rejected, ...]


def recommend(models: Iterable[CatalogModel], machine: Machine) -> Recommendation:
    """Return the largest model that is fast enough, in the best quantization that is.

    If no model reaches MIN_TOKENS_PER_S, return the fastest.

    Raises:
        OutOfMemory: no model fits.
    """
    largest_first = sorted(models, key=lambda model: -model.billion_parameters)
    rejected: list[Rejected] = []
    for quantizations in (PREFERRED_QUANTS, FALLBACK_QUANTS):
        too_slow: list[Candidate] = []
        for model in largest_first:
            found = list(_candidates(model, quantizations, machine))
            if best := _best_quantization(found):
                return Recommendation(
                    best, (*rejected, *_better_quantization(best, found, machine))
                )
            reason = _rejection_reason(model, quantizations, found, machine)
            rejected.append(Rejected(model.name, reason))
            too_slow += found
        if too_slow:
            fastest = max(too_slow, key=lambda candidate: candidate.tokens_per_s)
            return Recommendation(fastest, tuple(rejected))
    raise OutOfMemory(
        f"No model of the catalog fits the available memory of {format_gib(machine.usable_memory)}."
    )


def _candidates(
    model: CatalogModel, quantizations: Sequence[str], machine: Machine
) -> Iterator[Candidate]:
    """Yield the quantizations of a model that fit, each with its best plan."""
    for quantization in quantizations:
        if weights := catalog_weights(model, quantization):
            plans = [plan for wish in LOAD_REQUESTS if (plan := _plan(weights, machine, wish))]
            if plans:
                plan = max(plans, key=_rank)
                speed = memory_plan.tokens_per_second(plan, machine)
                yield Candidate(model, quantization, plan, speed)


def _plan(weights: Weights, machine: Machine, request: LoadRequest) -> Plan | None:
    """Return the plan that meets the whole request, or None if it does not fit."""
    plan = next(memory_plan.candidates(weights, machine, request))
    return plan if memory_plan.fits(plan, machine) else None


def _rank(plan: Plan) -> tuple[bool, bool, int, int]:
    """Prefer full GPU offload, then an f16 KV cache, then more GPU layers, then more context."""
    all_on_gpu = plan.gpu_layers > plan.weights.shape.layers
    return all_on_gpu, plan.kv_cache_type == "f16", plan.gpu_layers, plan.context


def _best_quantization(candidates: Sequence[Candidate]) -> Candidate | None:
    """Return the best candidate with a good speed, or else with an acceptable one."""
    for threshold in (GOOD_TOKENS_PER_S, MIN_TOKENS_PER_S):
        for candidate in candidates:
            if candidate.tokens_per_s >= threshold:
                return candidate
    return None


def _better_quantization(
    best: Candidate, candidates: Sequence[Candidate], machine: Machine
) -> Iterator[Rejected]:
    """Yield the next better quantization of the recommended model, and why it was rejected."""
    known = [
        quantization
        for quantization in (*PREFERRED_QUANTS, *FALLBACK_QUANTS)
        if catalog_weights(best.model, quantization)
    ]
    index = known.index(best.quantization)
    if index == 0:
        return
    better = known[index - 1]
    slower = next((one for one in candidates if one.quantization == better), None)
    if slower is not None:
        yield Rejected(slower.name, _too_slow(slower, GOOD_TOKENS_PER_S))
    else:
        name = f"{best.model.name}:{better}"
        yield Rejected(name, _too_large(best.model, better, machine))


def _rejection_reason(
    model: CatalogModel,
    quantizations: Sequence[str],
    candidates: Sequence[Candidate],
    machine: Machine,
) -> str:
    if model.repo is None:
        return "Salesforce publishes no GGUF of it"
    if candidates:
        fastest = max(candidates, key=lambda candidate: candidate.tokens_per_s)
        return _too_slow(fastest, MIN_TOKENS_PER_S, f" with {fastest.quantization}")
    known = [quantization for quantization in quantizations if catalog_weights(model, quantization)]
    if not known:
        return f"the catalog has no file size for {quantizations[0]} or a smaller quantization"
    return f"{known[-1]} {_too_large(model, known[-1], machine)}"


def _too_slow(candidate: Candidate, threshold: float, with_quantization: str = "") -> str:
    return (
        f"estimated {candidate.tokens_per_s:.0f} tokens/s{with_quantization}, below the "
        f"{threshold:.0f} tokens/s threshold"
    )


def _too_large(model: CatalogModel, quantization: str, machine: Machine) -> str:
    weights = catalog_weights(model, quantization)
    assert weights is not None
    plan = next(memory_plan.candidates(weights, machine, LOAD_REQUESTS[-1]))
    return (
        f"needs {format_gib(plan.memory + plan.gpu_memory)} with {plan.context} tokens of context, "
        f"available {format_gib(machine.usable_memory)}"
    )
