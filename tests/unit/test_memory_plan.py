from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlam_local import memory_plan
from xlam_local.errors import OutOfMemory
from xlam_local.hardware import GIB, MIB, Device, Machine
from xlam_local.memory_plan import LoadRequest, Weights
from xlam_local.model_shape import KvCacheType, ModelShape

QWEN = ModelShape(
    layers=28,
    kv_heads=2,
    head_size=128,
    heads=12,
    embedding_size=1536,
    feed_forward_size=8960,
    vocabulary_size=151936,
    trained_context=32768,
)
LLAMA = ModelShape(
    layers=32,
    kv_heads=8,
    head_size=128,
    heads=32,
    embedding_size=4096,
    feed_forward_size=14336,
    vocabulary_size=128256,
    trained_context=131072,
)
SMALL = Weights("1b", 1117 * MIB, 27 * MIB, QWEN, 596 * MIB)
LARGE = Weights("8b", 4693 * MIB, 133 * MIB, LLAMA)
LAPTOP = Machine("laptop", 8 * GIB, 5 * GIB, 4)
CARD = Device("card", 6 * GIB, 5 * GIB)
WITH_CARD = Machine("gaming", 16 * GIB, 12 * GIB, 8, (CARD,))

devices = st.builds(
    Device,
    st.just("card"),
    st.integers(GIB, 48 * GIB),
    st.integers(0, 48 * GIB),
    st.booleans(),
)
machines = st.builds(
    Machine,
    st.just("any"),
    st.integers(GIB, 64 * GIB),
    st.integers(0, 64 * GIB),
    st.integers(1, 64),
    st.lists(devices, max_size=2).map(tuple),
)
requests = st.builds(
    LoadRequest, st.sampled_from([2048, 8192, 32768]), st.sampled_from(["f16", "q8_0", "q4_0"])
)


@given(st.sampled_from([SMALL, LARGE]), machines, requests)
def test_a_plan_never_needs_more_memory_than_there_is(
    weights: Weights, machine: Machine, request: LoadRequest
) -> None:
    try:
        plan = memory_plan.choose(weights, machine, request)
    except OutOfMemory:
        return
    on_main = plan.memory + plan.gpu_memory if machine.shares_memory else plan.memory
    assert on_main <= machine.usable_memory <= machine.available
    assert plan.gpu_memory <= machine.usable_gpu_memory
    assert plan.context <= max(request.context, memory_plan.MIN_CONTEXT)


@given(st.sampled_from([SMALL, LARGE]), machines, requests)
def test_all_weights_and_the_whole_cache_are_counted(
    weights: Weights, machine: Machine, request: LoadRequest
) -> None:
    for plan in memory_plan.candidates(weights, machine, request):
        file, cache, *_ = plan.items
        assert file.memory + file.gpu_memory >= weights.size
        shape = weights.shape
        values_per_token = 2 * shape.layers * shape.kv_heads * shape.head_size
        bytes_per_value = memory_plan.KV_BYTES_PER_VALUE[plan.kv_cache_type]
        expected = values_per_token * bytes_per_value * plan.context
        assert cache.memory + cache.gpu_memory == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("shape", "kv_cache_type", "bytes_per_token"),
    [(QWEN, "f16", 28672), (LLAMA, "f16", 131072), (QWEN, "q8_0", 28672 * 34 // 64)],
)
def test_the_cache_has_the_known_size_per_token(
    shape: ModelShape, kv_cache_type: KvCacheType, bytes_per_token: int
) -> None:
    weights = Weights("any", GIB, GIB // 64, shape)
    plan = next(memory_plan.candidates(weights, LAPTOP, LoadRequest(8192, kv_cache_type)))
    assert plan.items[1].memory == bytes_per_token * 8192


def test_a_request_that_fits_is_not_downgraded() -> None:
    plan = memory_plan.choose(SMALL, LAPTOP, LoadRequest(8192))
    assert (plan.context, plan.kv_cache_type, plan.gpu_layers) == (8192, "f16", 0)
    assert plan.downgrade == ""
    assert plan.threads == 4
    assert plan.peak_memory == plan.memory + 596 * MIB


def test_the_cache_is_made_smaller_before_the_context() -> None:
    tight = Machine("tight", 4 * GIB, 2 * GIB + 150 * MIB, 2)
    plan = memory_plan.choose(SMALL, tight, LoadRequest(32768))
    assert (plan.context, plan.kv_cache_type) == (16384, "q8_0")
    assert plan.downgrade == "KV cache in q8_0, context of 16384"


def test_the_error_for_a_model_that_does_not_fit_says_what_it_needs() -> None:
    with pytest.raises(OutOfMemory, match=r"8b needs \d\.\d GiB of memory even with 2048 tokens"):
        memory_plan.choose(LARGE, LAPTOP, LoadRequest())


def test_as_many_layers_as_fit_are_offloaded() -> None:
    plan = memory_plan.choose(LARGE, WITH_CARD, LoadRequest())
    assert 0 < plan.gpu_layers < LLAMA.layers
    small = memory_plan.choose(SMALL, WITH_CARD, LoadRequest())
    assert small.gpu_layers == QWEN.layers + 1
    speed = memory_plan.tokens_per_second
    assert speed(small, WITH_CARD) > speed(plan, WITH_CARD)


def test_a_number_of_layers_can_be_requested() -> None:
    assert memory_plan.choose(SMALL, WITH_CARD, LoadRequest(gpu_layers=3)).gpu_layers == 3


def test_shared_memory_is_counted_once() -> None:
    mac = Machine("mac", 8 * GIB, 5 * GIB, 4, (Device("Apple", 5 * GIB, 5 * GIB, shared=True),))
    plan = memory_plan.choose(SMALL, mac, LoadRequest(32768))
    assert plan.memory + plan.gpu_memory <= mac.usable_memory


def test_the_context_is_limited_to_what_the_model_supports() -> None:
    plan = memory_plan.choose(SMALL, LAPTOP, LoadRequest(1 << 20))
    assert plan.context <= QWEN.trained_context


def test_threads_can_be_requested() -> None:
    assert memory_plan.choose(SMALL, LAPTOP, LoadRequest(threads=2)).threads == 2


def test_the_caches_of_all_sequences_are_counted() -> None:
    one, four = (
        memory_plan.choose(SMALL, LAPTOP, LoadRequest(4096, sequences=count)) for count in (1, 4)
    )
    assert (one.sequences, four.sequences) == (1, 4)
    assert four.items[1].memory == 4 * one.items[1].memory
    assert four.items[1].name == "KV cache, 4 x 4096 tokens in f16"


@pytest.mark.parametrize(
    ("weights", "machine", "context", "sequences"),
    [
        (SMALL, LAPTOP, 8192, 4),
        (SMALL, LAPTOP, 32768, 2),
        (LARGE, Machine("laptop", 8 * GIB, 5 * GIB, 4), 2048, 1),
        (SMALL, WITH_CARD, 8192, 8),
    ],
)
def test_as_many_sequences_are_taken_as_fit_beside_the_whole_request(
    weights: Weights, machine: Machine, context: int, sequences: int
) -> None:
    request = LoadRequest(context, sequences=None)
    plan = next(memory_plan.candidates(weights, machine, request))
    single = next(memory_plan.candidates(weights, machine, LoadRequest(context)))
    assert plan.sequences == sequences
    assert (plan.context, plan.gpu_layers) == (single.context, single.gpu_layers)


def test_the_device_is_named() -> None:
    def name(machine: Machine, layers: int | None = None) -> str:
        request = LoadRequest(2048, gpu_layers=layers)
        plan = next(memory_plan.candidates(SMALL, machine, request))
        return memory_plan.device_name(plan, machine)

    with_card = Machine("desktop", 8 * GIB, 5 * GIB, 4, (CARD,))
    assert name(LAPTOP) == name(LAPTOP, layers=9) == "on the CPU with 4 threads"
    assert name(with_card) == "all on card"
    assert name(with_card, layers=9) == "9 of 28 layers on card"
    assert name(with_card, layers=0) == "on the CPU with 4 threads"
