"""Several replies at once in one context."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.fakes.engine_helpers import generate, user_prompt
from tests.fakes.toolsets import TOOLSETS
from xlam_local import grammar, prompt
from xlam_local.engine import LoadOptions
from xlam_local.engine.grammar_text import GrammarText
from xlam_local.engine.local_engine import Generation, LocalEngine
from xlam_local.engine.scheduler import Reply
from xlam_local.engine.speculative import common_prefix_length
from xlam_local.errors import Cancelled, ContextExceeded, GrammarError
from xlam_local.types import GenerationEnd, Message, Prompt, Sampling, SystemMessage, UserMessage

TOOLS = TOOLSETS["flat"]
CALLS = grammar.compile_tools(TOOLS, "required").grammar
LONG_SYSTEM = "These words come before everything else. " * 40
OPTIONS = LoadOptions(context_size=1024, threads=1, sequences=4)


@pytest.fixture(scope="module")
def engine(qwen_path: Path) -> Iterator[LocalEngine]:
    loaded = LocalEngine.load(qwen_path, OPTIONS)
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def single(qwen_path: Path) -> Iterator[LocalEngine]:
    loaded = LocalEngine.load(qwen_path, LoadOptions(context_size=1024, threads=1))
    yield loaded
    loaded.close()


def asked(engine: LocalEngine, text: str, system: str = "") -> Prompt:
    messages: list[Message] = [SystemMessage(system)] if system else []
    messages.append(UserMessage(text))
    return prompt.render(messages, TOOLS, engine.prompt_format)


def sampled(seed: int, max_tokens: int = 40) -> Sampling:
    return Sampling(temperature=1, seed=seed, max_tokens=max_tokens)


def submit(
    engine: LocalEngine, text: str, system: str = "", sampling: Sampling = Sampling(max_tokens=20)
) -> Reply:
    return engine.submit(asked(engine, text, system), None, sampling)


def run(engine: LocalEngine, replies: Sequence[Reply]) -> list[GenerationEnd]:
    """Write replies to their ends."""
    ends = {}
    for _ in range(5000):
        for reply in replies:
            for item in reply.take_items():
                if isinstance(item, GenerationEnd):
                    ends[id(reply)] = item
        if all(reply.ended for reply in replies):
            return [ends[id(reply)] for reply in replies]
        engine.scheduler.step()
    raise AssertionError("the replies do not end")


def interleave(generations: Sequence[Generation], luck: random.Random) -> list[str]:
    """Take items of several generations in random order; return the texts."""
    texts = [""] * len(generations)
    open_ones = list(range(len(generations)))
    while open_ones:
        number = luck.choice(open_ones)
        item = next(generations[number], None)
        if item is None:
            open_ones.remove(number)
        if isinstance(item, str):
            texts[number] += item
    return texts


@pytest.mark.parametrize("seed", range(3))
def test_replies_in_turn_are_what_each_is_alone(
    engine: LocalEngine, single: LocalEngine, seed: int
) -> None:
    luck = random.Random(seed)
    requests = [
        (asked(engine, f"Request {n}."), sampled(n, luck.randrange(5, 60))) for n in range(9)
    ]
    texts = interleave([engine.generate(p, CALLS, s) for p, s in requests], luck)
    alone = [generate(single, p, s, CALLS)[0] for p, s in requests]
    # The sums of this model's floats do not depend on the batch; those of larger ones may.
    assert texts == alone


def test_one_reply_at_a_time_is_byte_equal_with_one_sequence(
    engine: LocalEngine, single: LocalEngine
) -> None:
    for seed in range(4):
        written = asked(engine, f"Alone {seed}.")
        first = generate(engine, written, sampled(seed), CALLS)[0]
        assert first == generate(single, written, sampled(seed), CALLS)[0]


def test_a_common_prefix_is_read_once(engine: LocalEngine) -> None:
    replies = [submit(engine, f"Question {n}", LONG_SYSTEM) for n in range(4)]
    ends = run(engine, replies)
    prefix = common_prefix_length(replies[0].prompt, replies[1].prompt)
    assert prefix > 400
    assert [end.usage.cached_tokens for end in ends][1:] == [prefix] * 3
    assert ends[0].usage.cached_tokens < prefix


def test_a_conversation_rests_until_its_sequence_is_needed(qwen_path: Path) -> None:
    engine = LocalEngine.load(qwen_path, OPTIONS)
    first = run(engine, [submit(engine, f"{n} " * 100) for n in range(4)])
    again = run(engine, [submit(engine, f"{n} " * 100) for n in range(4)])
    assert [end.usage.cached_tokens for end in again] == [
        end.usage.prompt_tokens - 1 for end in first
    ]
    new, old = submit(engine, "new " * 100), submit(engine, "0 " * 100)
    for end in run(engine, [new, old]):
        assert end.usage.cached_tokens == common_prefix_length(new.prompt, old.prompt)
    (kept,) = run(engine, [submit(engine, "3 " * 100)])
    assert kept.usage.cached_tokens == kept.usage.prompt_tokens - 1
    engine.close()


def test_a_long_prompt_does_not_stop_other_replies(engine: LocalEngine) -> None:
    short = submit(engine, "Short.", sampling=Sampling(max_tokens=100))
    while short.request is None or short.reads_prompt:
        engine.scheduler.step()
    long = submit(engine, "word " * 300)
    assert long.sequence is None
    steps = 0
    while long.sequence is None or long.reads_prompt:
        assert short.sequence is not None
        before = len(short.sequence.tokens)
        engine.scheduler.step()
        steps += 1
        assert len(short.sequence.tokens) > before
    assert steps >= 300 // engine.context.prefill_size
    run(engine, [short, long])


def test_a_cancelled_reply_leaves_within_one_step(engine: LocalEngine) -> None:
    replies = [submit(engine, f"Reply {n}", sampling=sampled(n, 200)) for n in range(4)]
    for _ in range(12):
        engine.scheduler.step()
    engine.scheduler.cancel(replies[1])
    engine.scheduler.step()
    assert replies[1].ended
    assert isinstance(replies[1].error, Cancelled)
    assert engine.scheduler.running == 3
    ends = run(engine, [replies[0], *replies[2:]])
    assert all(end.usage.reply_tokens for end in ends)


def test_a_grammar_that_cannot_be_loaded_ends_its_reply_only(engine: LocalEngine) -> None:
    good = submit(engine, "Good.")
    bad = engine.submit(asked(engine, "Bad."), GrammarText("start: ("), Sampling(max_tokens=20))
    other = submit(engine, "Other.")
    ends = run(engine, [good, other])
    assert len(ends) == 2
    assert bad.ended
    assert isinstance(bad.error, GrammarError)
    assert engine.scheduler.running == 0


def test_a_prompt_that_fills_the_context_is_refused_while_others_run(engine: LocalEngine) -> None:
    running = submit(engine, "Running.")
    engine.scheduler.step()
    with pytest.raises(ContextExceeded):
        submit(engine, "word " * 2000)
    run(engine, [running])


def test_replies_fill_their_contexts_side_by_side(engine: LocalEngine) -> None:
    replies = [submit(engine, f"{n} " * 300, sampling=Sampling(max_tokens=2000)) for n in range(4)]
    for end in run(engine, replies):
        assert end.usage.prompt_tokens + end.usage.reply_tokens == engine.context.size


@pytest.mark.slow
def test_many_requests_are_answered_in_their_order(engine: LocalEngine) -> None:
    replies = [submit(engine, f"{n}", sampling=sampled(n, 1 + n % 5)) for n in range(1000)]
    while engine.scheduler.busy:
        engine.scheduler.step()
        begun = [reply.sequence is not None for reply in replies]
        assert begun == sorted(begun, reverse=True)
    assert all(reply.ended for reply in replies)
    assert all(reply.error is None for reply in replies)
    assert engine.scheduler.running == 0


def test_closing_a_generator_frees_its_sequence(engine: LocalEngine) -> None:
    generations = [engine.generate(user_prompt(engine), None, sampled(n, 100)) for n in range(6)]
    for generation in generations:
        next(generation)
    for generation in generations:
        generation.close()
    assert not engine.scheduler.busy
    assert generate(engine, user_prompt(engine))[1].usage.reply_tokens == 16
