from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.fakes.engine_helpers import generate
from tests.fakes.toolsets import toolset_of
from xlam_local import grammar, prompt
from xlam_local.engine import LoadOptions
from xlam_local.engine.constraint import NoConstraint
from xlam_local.engine.llama_context import DecodeRequest
from xlam_local.engine.local_engine import LocalEngine
from xlam_local.engine.speculative import BatchCosts, PromptLookupDecoder, prompt_lookup
from xlam_local.types import PromptPart, Sampling, UserMessage


@pytest.mark.parametrize("speculative", [True, None])
def test_drafts_do_not_change_the_reply(qwen_path: Path, speculative: bool | None) -> None:
    short = {"type": "string", "minLength": 3, "maxLength": 5}
    tools = toolset_of({"type": "array", "items": short, "minItems": 15, "maxItems": 20})
    compiled = grammar.compile_tools(tools, "required")
    message = UserMessage('[{"name": "' * 3 + "word word " * 30)
    replies = []
    for setting in (False, speculative):
        options = LoadOptions(context_size=2048, threads=1, speculative=setting)
        engine = LocalEngine.load(qwen_path, options)
        written = prompt.render([message], tools, engine.prompt_format)
        text, end = generate(engine, written, Sampling(max_tokens=300), compiled.grammar)
        replies.append((text, end.truncated, end.usage.reply_tokens))
        expected = [*engine.model.tokenize(written), *engine.model.tokenize((PromptPart(text),))]
        assert len(engine.context.sequences[0].tokens) <= len(expected) + 8
        if setting:
            assert end.usage.drafted_tokens > 0
        engine.close()
    assert replies[0] == replies[1]


@pytest.mark.parametrize("count", [1, 24, 25, 31, 32, 33, 70])
def test_a_draft_is_decoded_in_one_batch(qwen_path: Path, count: int) -> None:
    engine = LocalEngine.load(qwen_path, LoadOptions(context_size=512, threads=1, batch_size=32))
    repeating = [*range(1000, 1020)] * 5
    context, (sequence,) = engine.context, engine.context.sequences
    decoder = PromptLookupDecoder(context, sequence, BatchCosts(), speculative=True)
    for request in decoder.read(repeating[:count], NoConstraint()):
        context.decode([request])
    logits = decoder.logits().copy()
    decoder.finish()
    assert sequence.tokens == repeating[:count]
    sequence.truncate(0)
    for token in repeating[:count]:
        context.decode([DecodeRequest(sequence, [token])])
    assert np.allclose(logits, sequence.logits(), atol=0.05)
    engine.close()


def drafted(engine: LocalEngine, tokens: Sequence[int]) -> int:
    """Return how many tokens are drafted for a reply if a draft token costs half a batch."""
    costs = BatchCosts()
    for size, seconds in ((1, 1.0), (2, 1.5), (16, 8.5)):
        costs.record(size, seconds)
    context, (sequence,) = engine.context, engine.context.sequences
    sequence.truncate(0)
    decoder = PromptLookupDecoder(context, sequence, costs, speculative=None)
    for token in tokens:
        for request in decoder.read([token], NoConstraint()):
            context.decode([request])
    decoder.finish()
    assert sequence.tokens == list(tokens)
    return decoder.drafted


def test_tokens_are_drafted_once_predictions_were_right(qwen_path: Path) -> None:
    engine = LocalEngine.load(qwen_path, LoadOptions(context_size=512, threads=1, batch_size=32))
    repeated = list(range(1000, 1010))
    assert drafted(engine, repeated) == 0
    assert drafted(engine, [*repeated, *repeated[:2]]) == 0
    assert drafted(engine, [*repeated, *repeated[:3]]) == 1
    assert drafted(engine, repeated * 3) > 5
    misleading = [token for last in range(1, 20) for token in (7, 8, 100 + last)]
    assert drafted(engine, misleading) == 0
    engine.close()


def test_the_cost_of_a_batch_is_interpolated() -> None:
    costs = BatchCosts()
    assert costs.seconds(2) is None
    costs.record(1, 1.0)
    costs.record(5, 3.0)
    assert costs.seconds(3) == 2.0
    assert costs.seconds(9) is None
    assert list(costs.curve()) == [1, 5]


def test_the_best_size_has_the_most_tokens_a_second() -> None:
    costs = BatchCosts()
    assert costs.best_size(4) == 4
    costs.record(1, 1.0)
    costs.record(4, 2.0)
    assert costs.best_size(4) == 4
    costs.record(8, 8.0)
    assert [costs.best_size(most) for most in (1, 2, 8, 9)] == [1, 2, 4, 9]


def test_tokens_after_the_last_occurrence_are_looked_up() -> None:
    assert prompt_lookup([1, 2, 3, 4, 5, 1, 2], 2) == [3, 4]
    assert prompt_lookup([1, 2, 9, 1, 2, 3, 1, 2], 9) == [3, 1, 2]
    assert prompt_lookup([1, 2, 3], 4) == []
    assert prompt_lookup([1], 4) == []
    assert prompt_lookup([], 4) == []
    assert prompt_lookup([1, 1, 1], 4) == [1]
    shifted = 1 << 8  # Its bytes are those of 1, one byte later.
    assert prompt_lookup([0, shifted, shifted, 1, 1, 5, 1, 1], 1) == [5]
