from __future__ import annotations

from pathlib import Path

import pytest

from xlam_local import fit, machine
from xlam_local.errors import OutOfMemory
from xlam_local.fit import GIB, Machine
from xlam_local.models import catalog, gguf, weights
from xlam_local.models.pick import pick

MACHINES = Path(__file__).parent / "machines"

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


@pytest.mark.parametrize("name", EXPECTED)
def test_each_machine_gets_its_model(name: str) -> None:
    here = machine.described(MACHINES / f"{name}.json")
    best = pick(catalog.XLAM, here).best
    plan = best.plan
    assert (best.name, plan.context, plan.kv, plan.gpu_layers) == EXPECTED[name]
    assert fit.fits(plan, here)


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_larger_was_passed_over_for_a_reason(name: str) -> None:
    found = pick(catalog.XLAM, machine.described(MACHINES / f"{name}.json"))
    larger = [m.name for m in catalog.XLAM if m.parameters > found.best.model.parameters]
    assert set(larger) <= {passed.name for passed in found.passed}
    assert all(passed.why for passed in found.passed)


def test_no_machine_is_too_small_in_silence() -> None:
    with pytest.raises(OutOfMemory, match="No model of the catalog fits"):
        pick(catalog.XLAM, Machine("tiny", GIB, GIB // 2, 1))


@pytest.mark.parametrize("available", [2.0, 2.2, 3, 4, 5, 6, 7, 9, 12, 20])
def test_a_pick_always_fits(available: float) -> None:
    here = Machine("any", 32 * GIB, round(available * GIB), 8, speed=30e9)
    best = pick(catalog.XLAM, here).best
    assert best.plan.memory <= here.room


def test_the_catalog_knows_the_whole_family() -> None:
    names = [model.name for model in catalog.BUILT_IN]
    assert names == ["xlam-2-1b", "xlam-2-3b", "xlam-2-8b", "xlam-2-32b", "xlam-2-70b", "demo"]
    for model in catalog.XLAM[:3]:
        assert len(model.files) == 12
        assert model.files["Q4_K_M"].sha256 is not None


@pytest.mark.model
@pytest.mark.parametrize(
    ("file", "repacked"),
    [
        ("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf", 596.53),
        ("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", 28.05),
        ("SmolLM2-135M-Instruct.Q4_1.gguf", 0),
    ],
)
def test_what_llama_cpp_orders_anew_is_known(file: str, repacked: float) -> None:
    path = Path.home() / ".cache/xlam-local-tests" / file
    found = weights.of_file(gguf.read(path)).repacked
    assert found / fit.MIB == pytest.approx(repacked, abs=0.01)
