"""Recommendations for ten machines, and the memory estimates behind them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.resources import fetch
from xlam_local import hardware, memory_plan
from xlam_local.errors import OutOfMemory
from xlam_local.hardware import GIB, MIB, Machine
from xlam_local.models import gguf
from xlam_local.models.catalog import BUILT_IN, XLAM
from xlam_local.models.memory_size import file_weights
from xlam_local.models.pick import Recommendation, recommend

MACHINES = Path(__file__).parents[1] / "fakes" / "machines"

# machine: model, context, KV cache, layers on the GPU
EXPECTED = {
    "netbook-4gb": ("xlam-2-1b:Q4_0", 32768, "f16", 0),
    "pi4-4gb": ("xlam-2-1b:Q4_0", 32768, "f16", 0),
    "pi5-8gb": ("xlam-2-1b:Q4_K_M", 32768, "f16", 0),
    "laptop-8gb": ("xlam-2-3b:Q4_K_M", 32768, "f16", 0),
    "laptop-16gb-cuda-6gb": ("xlam-2-8b:Q5_K_M", 8192, "f16", 27),
    "mac-8gb": ("xlam-2-3b:Q8_0", 16384, "f16", 37),
    "mac-16gb": ("xlam-2-8b:Q5_K_M", 32768, "f16", 33),
    "mac-64gb": ("xlam-2-8b:Q8_0", 32768, "f16", 33),
    "desktop-32gb-cuda-24gb": ("xlam-2-8b:Q8_0", 32768, "f16", 33),
    "server-256gb": ("xlam-2-8b:Q8_0", 32768, "f16", 0),
}


def load(name: str) -> Machine:
    return hardware.load_machine(MACHINES / f"{name}.json")


def reasons(found: Recommendation) -> dict[str, str]:
    return {rejected.name: rejected.reason for rejected in found.rejected}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_recommendation_for_each_machine(name: str) -> None:
    machine = load(name)
    best = recommend(XLAM, machine).best
    plan = best.plan
    assert (best.name, plan.context, plan.kv_cache_type, plan.gpu_layers) == EXPECTED[name]
    assert memory_plan.fits(plan, machine)


@pytest.mark.parametrize("name", EXPECTED)
def test_every_larger_model_is_rejected_with_a_reason(name: str) -> None:
    found = recommend(XLAM, load(name))
    size = found.best.model.billion_parameters
    larger = {model.name for model in XLAM if model.billion_parameters > size}
    assert larger <= set(reasons(found))
    assert all(reasons(found).values())


def test_a_reason_says_how_slow_or_how_large_a_model_is() -> None:
    laptop = reasons(recommend(XLAM, load("laptop-8gb")))
    assert laptop["xlam-2-32b"] == "Salesforce publishes no GGUF of it"
    assert laptop["xlam-2-8b"].startswith("Q4_0 needs ")
    assert "GiB with 8192 tokens of context, available " in laptop["xlam-2-8b"]
    machine = Machine("slow", 32 * GIB, 20 * GIB, 2)
    slow = reasons(recommend(XLAM, machine))
    assert slow["xlam-2-8b"] == ("estimated 4 tokens/s with Q4_0, below the 8 tokens/s threshold")
    assert slow["xlam-2-3b:Q6_K"] == "estimated 8 tokens/s, below the 12 tokens/s threshold"


def test_a_machine_that_is_too_small_is_an_error() -> None:
    with pytest.raises(OutOfMemory, match="No model of the catalog fits"):
        recommend(XLAM, Machine("tiny", GIB, GIB // 2, 1))


@pytest.mark.parametrize("available", [2.0, 2.2, 3, 4, 5, 6, 7, 9, 12, 20])
def test_the_recommended_model_fits(available: float) -> None:
    machine = Machine("any", 32 * GIB, round(available * GIB), 8, speed=30e9)
    best = recommend(XLAM, machine).best
    assert best.plan.memory <= machine.usable_memory


def test_the_catalog_has_the_whole_family() -> None:
    names = [model.name for model in BUILT_IN]
    assert names == ["xlam-2-1b", "xlam-2-3b", "xlam-2-8b", "xlam-2-32b", "xlam-2-70b", "demo"]
    for model in XLAM[:3]:
        assert len(model.files) == 12
        assert model.files["Q4_K_M"].sha256 is not None


@pytest.mark.model
@pytest.mark.parametrize(
    ("name", "repacked"),
    [("qwen2.5-coder-1.5b", 596.53), ("qwen2.5-coder-0.5b", 28.05), ("smollm2-135m", 0)],
)
def test_the_weights_that_llama_cpp_repacks_are_known(name: str, repacked: float) -> None:
    assert file_weights(gguf.read(fetch(name))).repacked_size / MIB == pytest.approx(
        repacked, abs=0.01
    )
