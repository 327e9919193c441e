"""Which model, in which quantization, with which context, is best for a machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from .. import fit
from ..errors import OutOfMemory
from ..fit import Machine, Plan, Weights, Wish, gib
from .catalog import Model
from .weights import of_catalog

COMFORTABLE = 8.0
"""Tokens a second; a model that writes slower keeps its user waiting."""
LIVELY = 12.0
"""Tokens a second; a finer quantization is not worth falling under it."""
CONTEXTS = (32768, 16384, 8192)
"""Contexts to recommend; the tools and results of a conversation need the last at least."""
GOOD = ("Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q5_0", "Q4_K_M", "Q4_K_S", "Q4_0")
"""Quantizations that cost next to no quality, the best first. F16 is no better than Q8_0."""
POOR = ("Q3_K_L", "Q3_K_S", "Q2_K")
"""Quantizations for machines that hold nothing better."""
WISHES = (
    *(Wish(context, "f16") for context in CONTEXTS),
    *(Wish(context, "q8_0") for context in CONTEXTS),
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model in one quantization, as it would run."""

    model: Model
    quantization: str
    plan: Plan
    speed: float

    @property
    def name(self) -> str:
        """What to type for it."""
        return f"{self.model.name}:{self.quantization}"


@dataclass(frozen=True, slots=True)
class Passed:
    """A model that was passed over, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Pick:
    """The recommendation, and what it was preferred to."""

    best: Candidate
    passed: tuple[Passed, ...]


def pick(models: Iterable[Model], machine: Machine) -> Pick:
    """The largest model that is comfortable here, in its best quantization that is.

    Where none is comfortable, the fastest that fits.
    """
    family = sorted(models, key=lambda model: -model.parameters)
    passed: list[Passed] = []
    for quantizations in (GOOD, POOR):
        everything: list[Candidate] = []
        for model in family:
            found = list(_fitting(model, quantizations, machine))
            if best := _first(found, LIVELY) or _first(found, COMFORTABLE):
                return Pick(best, (*passed, *_finer(best, found, machine)))
            passed.append(Passed(model.name, _why(model, quantizations, found, machine)))
            everything += found
        if everything:
            return Pick(max(everything, key=lambda one: one.speed), tuple(passed))
    raise OutOfMemory(
        f"No model of the catalog fits into the {gib(machine.room)} of memory that can be had."
    )


def _fitting(model: Model, quantizations: Sequence[str], machine: Machine) -> Iterator[Candidate]:
    """The model in each quantization that fits."""
    for quantization in quantizations:
        if weights := of_catalog(model, quantization):
            plans = [plan for wish in WISHES if (plan := _plan(weights, machine, wish))]
            if plans:
                plan = max(plans, key=_merit)
                yield Candidate(model, quantization, plan, fit.speed(plan, machine))


def _first(found: Sequence[Candidate], speed: float) -> Candidate | None:
    return next((one for one in found if one.speed >= speed), None)


def _finer(best: Candidate, found: Sequence[Candidate], machine: Machine) -> Iterator[Passed]:
    """Why the same model is not taken in the next finer quantization."""
    order = [
        quantization for quantization in (*GOOD, *POOR) if of_catalog(best.model, quantization)
    ]
    if (place := order.index(best.quantization)) == 0:
        return
    name = f"{best.model.name}:{order[place - 1]}"
    for one in found:
        if one.name == name:
            why = f"it would write about {one.speed:.0f} tokens a second, under {LIVELY:.0f}"
            yield Passed(name, why)
            return
    yield Passed(name, _too_large(best.model, order[place - 1], machine))


def _plan(weights: Weights, machine: Machine, wish: Wish) -> Plan | None:
    """The plan for exactly this wish, if it fits."""
    plan = next(fit.plans(weights, machine, wish))
    return plan if fit.fits(plan, machine) else None


def _merit(plan: Plan) -> tuple[bool, bool, int, int]:
    """Everything on the GPU first, then an exact KV cache, then layers there, then context."""
    whole = plan.gpu_layers > plan.weights.shape.layers
    return whole, plan.kv == "f16", plan.gpu_layers, plan.context


def _why(
    model: Model, quantizations: Sequence[str], found: Sequence[Candidate], machine: Machine
) -> str:
    """Why a model was passed over."""
    if model.repo is None:
        return "Salesforce publishes no GGUF of it"
    if found:
        fastest = max(found, key=lambda one: one.speed)
        return (
            f"{fastest.name} would write about {fastest.speed:.0f} tokens a second, "
            f"under {COMFORTABLE:.0f}"
        )
    known = [quantization for quantization in quantizations if of_catalog(model, quantization)]
    if not known:
        return f"the catalog knows no size of it under {quantizations[0]}"
    return _too_large(model, known[-1], machine)


def _too_large(model: Model, quantization: str, machine: Machine) -> str:
    weights = of_catalog(model, quantization)
    assert weights is not None
    plan = next(fit.plans(weights, machine, WISHES[-1]))
    return (
        f"{model.name}:{quantization} needs {gib(plan.memory + plan.gpu)} with {plan.context} "
        f"tokens of context, and {gib(machine.room)} of memory can be had"
    )
