from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlam_local import fit
from xlam_local.errors import OutOfMemory
from xlam_local.fit import GIB, MIB, Device, Machine, Shape, Weights, Wish

QWEN = Shape(28, 2, 128, 12, 1536, 8960, 151936, 32768)
LLAMA = Shape(32, 8, 128, 32, 4096, 14336, 128256, 131072)
SMALL = Weights("1b", 1117 * MIB, 27 * MIB, QWEN, 596 * MIB)
LARGE = Weights("8b", 4693 * MIB, 133 * MIB, LLAMA)
LAPTOP = Machine("laptop", 8 * GIB, 5 * GIB, 4)
CARD = Device("card", 6 * GIB, 5 * GIB)

machines = st.builds(
    Machine,
    st.just("any"),
    st.integers(GIB, 64 * GIB),
    st.integers(0, 64 * GIB),
    st.integers(1, 64),
    st.lists(
        st.builds(
            Device,
            st.just("card"),
            st.integers(GIB, 48 * GIB),
            st.integers(0, 48 * GIB),
            st.booleans(),
        ),
        max_size=2,
    ).map(tuple),
)
wishes = st.builds(
    Wish, st.sampled_from([2048, 8192, 32768]), st.sampled_from(["f16", "q8_0", "q4_0"])
)


@given(st.sampled_from([SMALL, LARGE]), machines, wishes)
def test_a_plan_never_needs_more_than_there_is(
    weights: Weights, machine: Machine, wish: Wish
) -> None:
    try:
        plan = fit.choose(weights, machine, wish)
    except OutOfMemory:
        return
    taken = plan.memory + plan.gpu if machine.shared else plan.memory
    assert taken <= machine.room <= machine.available
    assert plan.gpu <= machine.gpu_room
    assert plan.context <= max(wish.context, fit.SMALLEST_CONTEXT)


@given(st.sampled_from([SMALL, LARGE]), machines, wishes)
def test_everything_lies_somewhere(weights: Weights, machine: Machine, wish: Wish) -> None:
    for plan in fit.plans(weights, machine, wish):
        first, cache, *_ = plan.parts
        assert first.memory + first.gpu >= weights.size
        layers = weights.shape.layers
        per_token = 2 * layers * weights.shape.kv_heads * weights.shape.head
        whole = per_token * fit.KV_BYTES[plan.kv] * plan.context
        assert cache.memory + cache.gpu == pytest.approx(whole, rel=0.01)


@pytest.mark.parametrize(
    ("shape", "kv", "bytes_a_token"),
    [(QWEN, "f16", 28672), (LLAMA, "f16", 131072), (QWEN, "q8_0", 28672 * 34 // 64)],
)
def test_the_cache_takes_what_is_known_of_the_models(
    shape: Shape, kv: fit.KvType, bytes_a_token: int
) -> None:
    weights = Weights("any", GIB, GIB // 64, shape)
    plan = next(fit.plans(weights, LAPTOP, Wish(8192, kv)))
    assert plan.parts[1].memory == bytes_a_token * 8192


def test_a_wish_that_fits_is_granted() -> None:
    plan = fit.choose(SMALL, LAPTOP, Wish(8192))
    assert (plan.context, plan.kv, plan.gpu_layers, plan.changed) == (8192, "f16", 0, "")
    assert plan.threads == 4
    assert plan.peak == plan.memory + 596 * MIB


def test_without_room_the_cache_is_made_smaller_then_the_context() -> None:
    tight = Machine("tight", 4 * GIB, 2 * GIB + 150 * MIB, 2)
    plan = fit.choose(SMALL, tight, Wish(32768))
    assert (plan.context, plan.kv) == (16384, "q8_0")
    assert plan.changed == "KV cache in q8_0, context of 16384"


def test_a_model_that_does_not_fit_says_what_it_needs() -> None:
    with pytest.raises(OutOfMemory, match=r"8b needs \d\.\d GiB of memory even with 2048 tokens"):
        fit.choose(LARGE, LAPTOP, Wish())


def test_layers_go_to_the_card_as_far_as_it_holds_them() -> None:
    machine = Machine("gaming", 16 * GIB, 12 * GIB, 8, (CARD,))
    plan = fit.choose(LARGE, machine, Wish())
    assert 0 < plan.gpu_layers < LLAMA.layers
    small = fit.choose(SMALL, machine, Wish())
    assert small.gpu_layers == QWEN.layers + 1
    assert fit.speed(small, machine) > fit.speed(plan, machine)


def test_a_number_of_layers_can_be_asked_for() -> None:
    machine = Machine("gaming", 16 * GIB, 12 * GIB, 8, (CARD,))
    assert fit.choose(SMALL, machine, Wish(gpu_layers=3)).gpu_layers == 3


def test_memory_that_is_shared_is_counted_once() -> None:
    mac = Machine("mac", 8 * GIB, 5 * GIB, 4, (Device("Apple", 5 * GIB, 5 * GIB, shared=True),))
    plan = fit.choose(SMALL, mac, Wish(32768))
    assert plan.memory + plan.gpu <= mac.room


def test_a_context_is_never_longer_than_the_model_was_trained_on() -> None:
    assert fit.choose(SMALL, LAPTOP, Wish(1 << 20)).context <= QWEN.context


def test_threads_can_be_asked_for() -> None:
    assert fit.choose(SMALL, LAPTOP, Wish(threads=2)).threads == 2


def test_where_a_model_computes_is_told() -> None:
    def told(machine: Machine, layers: int | None = None) -> str:
        plan = next(fit.plans(SMALL, machine, Wish(2048, gpu_layers=layers)))
        return fit.where(plan, machine)

    with_card = Machine("desktop", 8 * GIB, 5 * GIB, 4, (CARD,))
    assert told(LAPTOP) == told(LAPTOP, layers=9) == "on the CPU with 4 threads"
    assert told(with_card) == "all on card"
    assert told(with_card, layers=9) == "9 of 28 layers on card"
    assert told(with_card, layers=0) == "on the CPU with 4 threads"
