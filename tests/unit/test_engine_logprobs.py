"""Log probabilities: each token has that of the model alone, whatever chose the token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.fakes.engine_helpers import user_prompt
from tests.fakes.toolsets import TOOLSETS
from xlam_local import grammar
from xlam_local.engine import LoadOptions
from xlam_local.engine.llama_context import DecodeRequest
from xlam_local.engine.local_engine import LocalEngine
from xlam_local.engine.subprocess_engine import SubprocessEngine
from xlam_local.gbnf import Grammar, token
from xlam_local.grammar import Enforced, TextOrCalls
from xlam_local.types import Sampling, TokenLogprob, TokenLogprobs

TOOLS = TOOLSETS["flat"]
CALLS = grammar.compile_tools(TOOLS, "required").grammar
NAME = TOOLS[0].name
OPTIONS = LoadOptions(context_size=1024, threads=1)
SAMPLING = Sampling(max_tokens=24, logprobs=3)
ENFORCED: dict[str, Enforced | None] = {
    "no grammar": None,
    "calls": CALLS,
    "calls after text": TextOrCalls(
        Grammar({"root": token(f'é 💡 Let me see. [ {{"name": "{NAME}", "arguments": {{')}),
        CALLS,
        (NAME,),
    ),
    "text with characters of several tokens": Grammar({"root": token("日本語 👩‍👩‍👧 Ωé")}),
}


@pytest.fixture(scope="module")
def engine(qwen_path: Path) -> Iterator[LocalEngine]:
    loaded = LocalEngine.load(qwen_path, OPTIONS)
    yield loaded
    loaded.close()


def written(
    engine: LocalEngine | SubprocessEngine, sampling: Sampling, enforced: Enforced | None = None
) -> tuple[str, list[TokenLogprob]]:
    """Return the text of a reply, and its tokens."""
    items = list(engine.generate(user_prompt(engine), enforced, sampling))
    found = [item.tokens for item in items if isinstance(item, TokenLogprobs)]
    text = "".join(item for item in items if isinstance(item, str))
    return text, [each for tokens in found for each in tokens]


def decoded_one_by_one(engine: LocalEngine) -> list[np.ndarray]:
    """Decode the tokens of the last reply again; return the log probabilities in each place."""
    (sequence,) = engine.context.sequences
    tokens, start = list(sequence.tokens), len(engine.model.tokenize(user_prompt(engine)))
    sequence.truncate(0)
    engine.context.decode([DecodeRequest(sequence, tokens[:start])])
    found = []
    for each in tokens[start:]:
        logits = sequence.logits().astype(np.float64)
        found.append(logits - np.log(np.exp(logits).sum()))
        engine.context.decode([DecodeRequest(sequence, [each])])
    return found


def reply_tokens(engine: LocalEngine) -> Sequence[int]:
    return engine.context.sequences[0].tokens[len(engine.model.tokenize(user_prompt(engine))) :]


@pytest.mark.parametrize("enforced", ENFORCED.values(), ids=ENFORCED)
@pytest.mark.parametrize(
    "sampling",
    [SAMPLING, replace(SAMPLING, temperature=0.8, top_k=20, repeat_penalty=1.3, seed=5)],
    ids=["greedy", "random"],
)
def test_each_token_has_the_log_probability_of_the_model_alone(
    engine: LocalEngine, sampling: Sampling, enforced: Enforced | None
) -> None:
    text, found = written(engine, sampling, enforced)
    tokens = list(reply_tokens(engine))
    expected = decoded_one_by_one(engine)
    assert b"".join(each.data for each in found).decode("utf-8", "replace") == text
    assert [each.data for each in found] == list(map(engine.model.token_bytes, tokens))
    for each, values, number in zip(found, expected, tokens, strict=True):
        assert each.logprob == pytest.approx(values[number], abs=1e-3)
        likely = [other.logprob for other in each.alternatives]
        assert likely == pytest.approx(sorted(values, reverse=True)[:3], abs=1e-3)


@pytest.mark.parametrize("enforced", ENFORCED.values(), ids=ENFORCED)
def test_the_reply_is_the_same_without_log_probabilities(
    engine: LocalEngine, enforced: Enforced | None
) -> None:
    text, found = written(engine, replace(SAMPLING, logprobs=None), enforced)
    assert found == []
    assert written(engine, SAMPLING, enforced)[0] == text


def test_without_alternatives_only_the_tokens_are_measured(engine: LocalEngine) -> None:
    _, found = written(engine, replace(SAMPLING, logprobs=0))
    assert len(found) == 24
    assert all(each.alternatives == () for each in found)


def test_the_tokens_of_the_prompt(engine: LocalEngine) -> None:
    text, expected = written(engine, SAMPLING)
    _, found = written(engine, replace(SAMPLING, prompt_logprobs=True))
    (sequence,) = engine.context.sequences
    tokens = engine.model.tokenize(user_prompt(engine))
    assert found[0].logprob is None
    assert len(found) == len(tokens) + len(expected)
    sequence.truncate(0)
    for each, number in zip(found[: len(tokens)], tokens, strict=True):
        if each.logprob is not None:
            logits = sequence.logits().astype(np.float64)
            logprob = logits[number] - np.log(np.exp(logits).sum())
            assert each.logprob == pytest.approx(logprob, abs=1e-3)
        engine.context.decode([DecodeRequest(sequence, [number])])
    after = b"".join(each.data for each in found[len(tokens) :])
    assert after.decode("utf-8", "replace") == text


def test_tokens_after_a_stop_string_are_left_out(engine: LocalEngine) -> None:
    enforced = Grammar({"root": token("One, two, three, four, five.")})
    text, found = written(engine, replace(SAMPLING, stop=("three",)), enforced)
    assert text == "One, two, "
    assert b"".join(each.data for each in found).decode().strip() == "One, two,"


def test_a_reply_that_ends_early_yields_no_more_tokens(engine: LocalEngine) -> None:
    items = engine.generate(user_prompt(engine), None, SAMPLING)
    assert any(isinstance(item, str) for item in iter(lambda: next(items), None))
    rest = [items.send(True), *items]
    assert [type(item).__name__ for item in rest] == ["GenerationEnd"]


def test_the_process_passes_them_on(engine: LocalEngine, qwen_path: Path) -> None:
    other = SubprocessEngine.load(qwen_path, OPTIONS)
    try:
        for enforced in ENFORCED.values():
            assert written(other, SAMPLING, enforced) == written(engine, SAMPLING, enforced)
    finally:
        other.close()
