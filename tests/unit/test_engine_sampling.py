from __future__ import annotations

import ctypes
from dataclasses import replace
from typing import Any

import llama_cpp
import numpy as np
import pytest

from xlam_local.engine.constraint import TOKEN_DATA
from xlam_local.engine.sampling import apply_repeat_penalty, candidates, sample, sample_side
from xlam_local.types import Sampling

LOGITS = np.array([1.0, 3.0, 2.0, -np.inf], dtype=np.float32)


def samples(sampling: Sampling, logits: np.ndarray = LOGITS) -> set[int]:
    random = np.random.default_rng(0)
    return {sample(logits, sampling, random) for _ in range(300)}


def test_the_settings_exclude_tokens() -> None:
    assert samples(Sampling()) == {1}
    assert samples(Sampling(temperature=2)) == {0, 1, 2}
    assert samples(Sampling(temperature=2, top_k=2)) == {1, 2}
    assert samples(Sampling(temperature=2, top_k=99)) == {0, 1, 2}
    assert samples(Sampling(temperature=1, top_p=0.5)) == {1}
    assert samples(Sampling(temperature=1, top_p=0.9)) == {1, 2}
    assert samples(Sampling(temperature=5, top_p=0.9)) == {1, 2}
    assert samples(Sampling(temperature=1, min_p=0.2)) == {1, 2}
    assert samples(Sampling(temperature=1, min_p=1)) == {1}


def test_without_truncation_tokens_are_distributed_as_softmax() -> None:
    random = np.random.default_rng(0)
    tokens = [sample(LOGITS, Sampling(temperature=1), random) for _ in range(4000)]
    weights = np.exp(LOGITS - 3)
    shares = np.bincount(tokens, minlength=4) / 4000
    assert np.abs(shares - weights / weights.sum()).max() < 0.03


def test_a_penalty_makes_the_last_tokens_less_likely() -> None:
    logits = np.array([2.0, -2.0, 1.0, -np.inf], dtype=np.float32)
    sampling = Sampling(repeat_penalty=2.0)
    penalized = apply_repeat_penalty(logits, [2] + [0, 1, 3] * 30, sampling)
    assert penalized.tolist() == [1.0, -4.0, 1.0, -np.inf]
    assert logits.tolist()[:3] == [2.0, -2.0, 1.0]


@pytest.mark.slow
def test_a_large_vocabulary_is_truncated_as_if_it_were_sorted() -> None:
    random = np.random.default_rng(3)
    logits = random.standard_normal(50_000).astype(np.float32) * 3
    weights = np.exp(logits.astype(np.float64) - logits.max())
    order = np.argsort(-logits)
    shares = (weights / weights.sum())[order]
    allowed = set(order[: int(np.searchsorted(shares.cumsum(), 0.5)) + 1].tolist())
    sampled = samples(Sampling(temperature=1, top_p=0.5), logits)
    assert sampled <= allowed
    assert len(sampled) > 50
    uniform = np.zeros(50_000, dtype=np.float32)
    assert len(samples(Sampling(temperature=1, top_p=0.9), uniform)) > 250
    top_3 = set(order[:3].tolist())
    assert samples(Sampling(temperature=1, top_k=3, top_p=0.9), logits) <= top_3


LLAMA_CPP_CASES = [
    Sampling(temperature=1.0),
    Sampling(temperature=0.7, top_k=40),
    Sampling(temperature=0.7, top_p=0.9),
    Sampling(temperature=1.5, top_p=0.99),
    Sampling(temperature=1.5, min_p=0.05),
    Sampling(temperature=0.3, top_k=100, top_p=0.5, min_p=0.1),
    Sampling(temperature=2.0, top_k=500, top_p=0.95, min_p=0.3),
    Sampling(temperature=1.0, repeat_penalty=1.3, top_k=20),
    Sampling(temperature=1.0, repeat_penalty=1.3, repeat_last_n=3, min_p=0.2),
    Sampling(temperature=1.0, repeat_penalty=1.3, repeat_last_n=0, top_p=0.3),
]


def llama_cpp_probabilities(logits: np.ndarray, tokens: list[int], sampling: Sampling) -> Any:
    """Return the probability of each token after llama.cpp's own samplers."""
    samplers = [
        llama_cpp.llama_sampler_init_penalties(
            len(logits), sampling.repeat_last_n, sampling.repeat_penalty, 0.0, 0.0
        ),
        llama_cpp.llama_sampler_init_top_k(sampling.top_k),
        llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1),
        llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1),
        llama_cpp.llama_sampler_init_temp(sampling.temperature),
        llama_cpp.llama_sampler_init_dist(0),
    ]
    data = np.zeros(len(logits), dtype=TOKEN_DATA)
    data["id"], data["logit"] = np.arange(len(logits)), logits
    pointer = data.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token_data))
    array = llama_cpp.llama_token_data_array(pointer, len(data), -1, False)
    for sampler in samplers:
        for token in tokens:
            llama_cpp.llama_sampler_accept(sampler, token)
        llama_cpp.llama_sampler_apply(sampler, ctypes.byref(array))
        llama_cpp.llama_sampler_free(sampler)
    kept = data[: array.size]
    probabilities = np.zeros(len(logits))
    probabilities[kept["id"]] = kept["p"]
    return probabilities


@pytest.mark.parametrize("sampling", LLAMA_CPP_CASES, ids=str)
def test_the_samplers_are_those_of_llama_cpp(sampling: Sampling) -> None:
    random = np.random.default_rng(5)
    logits = random.standard_normal(1000).astype(np.float32) * 4
    tokens = [int(token) for token in np.argsort(-logits)[:5]]
    expected = llama_cpp_probabilities(logits, tokens, sampling)
    penalized = apply_repeat_penalty(logits, tokens, sampling)
    kept = candidates(penalized, sampling)
    kept = np.arange(len(logits)) if kept is None else kept
    assert sorted(kept) == np.flatnonzero(expected).tolist()
    weights = np.exp((penalized[kept].astype(np.float64) - penalized.max()) / sampling.temperature)
    assert np.allclose(weights / weights.sum(), expected[kept], atol=1e-5)


def test_many_tokens_are_drawn_as_often_as_is_likely() -> None:
    random = np.random.default_rng(3)
    logits = random.standard_normal(5000).astype(np.float32) * 4
    sampling = Sampling(temperature=1)
    tokens = [sample(logits, sampling, random) for _ in range(6000)]
    weights = np.exp(logits.astype(np.float64))
    shares = np.bincount(tokens, minlength=5000) / 6000
    assert np.abs(shares - weights / weights.sum()).max() < 0.02


def test_a_forbidden_token_is_never_drawn() -> None:
    logits = np.full(600, -np.inf, dtype=np.float32)
    logits[[3, 255, 256, 599]] = 0.0
    assert samples(Sampling(temperature=1), logits) == {3, 255, 256, 599}
    assert samples(Sampling(temperature=0.01, top_k=600, min_p=0.1), logits) == {3, 255, 256, 599}
    nothing = np.full(600, -np.inf, dtype=np.float32)
    assert logits[sample(logits, Sampling(temperature=1), np.random.default_rng(0))] == 0
    assert nothing[sample(nothing, Sampling(temperature=1), np.random.default_rng(0))] == -np.inf


def test_a_seed_determines_the_tokens() -> None:
    logits = np.random.default_rng(1).standard_normal(2000).astype(np.float32)
    for sampling in LLAMA_CPP_CASES[:6]:
        drawn = [
            [sample(logits, replace(sampling, seed=seed), random) for _ in range(20)]
            for seed in (1, 1, 2)
            for random in [np.random.default_rng(seed)]
        ]
        assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("temperature", [5e-324, 1e-40, 1e-7, 1e-6])
def test_a_tiny_temperature_takes_the_most_likely_token(temperature: float) -> None:
    logits = np.array([1.0, 3.0, 2.0, -np.inf], dtype=np.float32)
    token = sample(logits, Sampling(temperature=temperature), np.random.default_rng(0))
    assert token == 1


def group_tokens(probabilities: list[float]) -> np.ndarray:
    """Return logits where the tokens 6, 7, 8 … have the given probabilities and others none."""
    logits = np.full(500, -20, dtype=np.float32)
    logits[6 : 6 + len(probabilities)] = np.log(probabilities)
    return logits


@pytest.mark.parametrize(
    ("group", "expected"),
    [((8, 9), 7), ((9, 8, 7), 7), ((8,), 7), ((), 7), ((6, 8, 9), 8), ((7,), 8), ((50,), 7)],
)
def test_a_group_of_tokens_is_compared_as_a_whole(group: tuple[int, ...], expected: int) -> None:
    logits = group_tokens([0.15, 0.4, 0.25, 0.2])
    side = sample_side(logits, group.__contains__, 0, np.random.default_rng(0))
    assert side.argmax() == expected
    tokens = np.flatnonzero(side > -np.inf)
    in_group = set(group) & set(range(6, 10))
    assert set(tokens.tolist()) >= in_group or in_group.isdisjoint(tokens.tolist())


def test_a_group_of_all_tokens_and_equal_ones() -> None:
    random = np.random.default_rng(0)
    equal = np.zeros(3, dtype=np.float32)
    assert (sample_side(equal, lambda _: True, 0, random) == equal).all()
    single = np.array([1, -np.inf], dtype=np.float32)
    assert sample_side(single, (0,).__contains__, 0, random).argmax() == 0


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [(1.0, 0.6), (0.5, 0.36 / (0.36 + 0.16)), (2.0, 0.6**0.5 / (0.6**0.5 + 0.4**0.5)), (1e-3, 1)],
)
def test_the_temperature_changes_the_sum_of_a_group(temperature: float, expected: float) -> None:
    logits = group_tokens([0.4, 0.3, 0.3])
    random = np.random.default_rng(1)
    sides = [sample_side(logits, (7, 8).__contains__, temperature, random) for _ in range(2000)]
    share = np.mean([side[7] > -np.inf for side in sides])
    assert abs(share - expected) < 4 * (0.25 / len(sides)) ** 0.5
