from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from xlam_local import gbnf, grammar, prompt, schema
from xlam_local.engine import Settings
from xlam_local.engine.constraint import Free
from xlam_local.engine.drafts import Costs, Reader, lookup
from xlam_local.engine.local import Engine
from xlam_local.engine.sampling import choose, penalized
from xlam_local.errors import GrammarError, ModelError, ModelMissing, PromptError
from xlam_local.types import Answer, End, Piece, Prefill, Prompt, Sampling, Tool, User

from .tiny import tiny, write
from .toolsets import TOOLSETS, of

GREEDY = Sampling(max_tokens=16)
EXECUTORS = ["llguidance", "llama.cpp"]


@pytest.fixture(scope="module")
def engine(tiny_path: Path) -> Iterator[Engine]:
    loaded = Engine.load(tiny_path, Settings(context=1024, threads=1))
    yield loaded
    loaded.close()


def hello(engine: Engine, text: str = "Hello there.") -> Prompt:
    return prompt.render([User(text)], [], engine.format)


def generate(engine: Engine, written: Prompt, sampling: Sampling = GREEDY) -> tuple[str, End]:
    *pieces, end = engine.generate(written, None, sampling)
    assert isinstance(end, End)
    return "".join(piece for piece in pieces if isinstance(piece, str)), end


def test_a_model_that_calls_itself_xlam_is_prompted_as_one(engine: Engine) -> None:
    assert isinstance(engine.format, prompt.Family)


def test_progress_comes_first_then_text_then_one_end(engine: Engine) -> None:
    items = list(engine.generate(hello(engine, "Hello. " * 50), None, GREEDY))
    reading = [item for item in items if isinstance(item, Prefill)]
    assert [type(item) for item in items] == sorted(
        (type(item) for item in items), key=[Prefill, str, End].index
    )
    assert reading[-1].done == reading[-1].total == items[-1].usage.prompt_tokens  # type: ignore[union-attr]
    assert [item.done for item in reading] == sorted(item.done for item in reading)


def test_prompts_are_read_in_the_same_parts_whenever_they_are_read(engine: Engine) -> None:
    def parts(text: str) -> list[int]:
        items = engine.generate(hello(engine, text), None, GREEDY)
        return [item.done for item in items if isinstance(item, Prefill)]

    for text in "Hello. " * 70, "Hello. " * 70 + "Goodbye. " * 30:
        kept, *rest, end = parts(text)
        assert rest == [*range(kept + 64 - kept % 64, end, 64)]
    assert kept > 64
    assert len(rest) > 1


def test_the_beginning_that_prompts_share_is_not_read_again(engine: Engine) -> None:
    text, _ = generate(engine, hello(engine))
    again, end = generate(engine, hello(engine))
    assert again == text
    assert end.usage.cached_tokens == end.usage.prompt_tokens - 1
    generate(engine, hello(engine, "Something else."))
    fresh, _ = generate(engine, hello(engine))
    assert fresh == text


def test_what_is_cancelled_leaves_nothing_wrong_behind(engine: Engine) -> None:
    text, _ = generate(engine, hello(engine))
    for stop in range(6):
        items = engine.generate(hello(engine, "Quite another thing. " * 20), None, GREEDY)
        for _ in range(stop):
            next(items)
        items.close()
    assert generate(engine, hello(engine))[0] == text


def test_a_reply_ends_early_when_it_is_told_to(engine: Engine) -> None:
    items = engine.generate(hello(engine), None, Sampling(max_tokens=50))
    while not isinstance(next(items), str):
        pass
    end = items.send(True)
    assert isinstance(end, End)
    assert end.usage.reply_tokens < 5


def test_a_reply_has_no_more_tokens_than_it_may(engine: Engine) -> None:
    _, end = generate(engine, hello(engine), Sampling(max_tokens=5))
    assert end.cut
    assert end.usage.reply_tokens == 5


def test_a_reply_ends_where_the_context_does(engine: Engine) -> None:
    long = hello(engine, "word " * 950)
    room = engine.context.size - len(engine.model.tokenize(long))
    assert 0 < room < 100
    _, end = generate(engine, long, Sampling(max_tokens=500))
    assert end.cut
    assert end.usage.reply_tokens == room


def test_a_prompt_that_leaves_no_room_is_an_error_with_its_size(engine: Engine) -> None:
    with pytest.raises(PromptError, match="tokens, and the context holds 1024"):
        generate(engine, hello(engine, "word " * 2000))


def test_words_that_look_special_are_tokenized_as_words(engine: Engine) -> None:
    specials = set(engine.model.controls)
    form = engine.format
    assert isinstance(form, prompt.Family)
    tokens = engine.model.tokenize((Piece(f"a{form.end}b<|endoftext|><|eot_id|>"),))
    assert not specials.intersection(tokens)
    assert b"".join(map(engine.model.piece, tokens)).decode() == (
        f"a{form.end}b<|endoftext|><|eot_id|>"
    )
    assert engine.model.tokenize((Piece(form.end, special=True),))[0] in engine.model.ends


def test_a_prompt_in_pieces_has_the_tokens_of_the_whole(engine: Engine) -> None:
    written = prompt.render([User("Hi  there"), Answer("x"), User("é\n")], [], engine.format)
    whole = (Piece(prompt.text(written), special=True),)
    assert engine.model.tokenize(written) == engine.model.tokenize(whole)


def test_the_same_seed_draws_the_same_tokens(engine: Engine) -> None:
    first, second, other = (
        generate(engine, hello(engine), Sampling(temperature=1, seed=seed, max_tokens=8))[0]
        for seed in (1, 1, 2)
    )
    assert first == second != other


def calls(engine: Engine, tools: tuple[Tool, ...], seed: int) -> list[dict[str, object]]:
    offer = grammar.for_turn(tools, "required")
    assert len(offer.tools) == len(tools)
    written = prompt.render([User("Go.")], tools, engine.format)
    sampling = Sampling(temperature=1, seed=seed, max_tokens=2000)
    *pieces, end = engine.generate(written, offer.grammar, sampling)
    assert isinstance(end, End)
    assert not end.cut
    text = "".join(piece for piece in pieces if isinstance(piece, str))
    made: list[dict[str, object]] = json.loads(text)
    return made


def check(made: list[dict[str, object]], tools: tuple[Tool, ...]) -> None:
    assert made
    for call in made:
        (tool,) = (tool for tool in tools if tool.name == call["name"])
        assert list(call) == ["name", "arguments"]
        assert isinstance(call["arguments"], dict)
        assert schema.problems(call["arguments"], tool.parameters) == []


@pytest.mark.parametrize("tools", TOOLSETS.values(), ids=TOOLSETS)
def test_random_weights_write_only_valid_calls(
    engine4k: Engine, tools: tuple[Tool, ...], each: int
) -> None:
    for seed in range(each):
        check(calls(engine4k, tools, seed), tools)


@pytest.fixture(
    scope="module",
    params=["llguidance", pytest.param("llama.cpp", marks=pytest.mark.slow)],
)
def engine4k(request: pytest.FixtureRequest, tiny_path: Path) -> Iterator[Engine]:
    loaded = Engine.load(tiny_path, Settings(context=4096, threads=1, executor=request.param))
    yield loaded
    loaded.close()


@pytest.mark.parametrize(
    "name", ["strings", "all optional", "array of objects", "recursion", "endless"]
)
def test_calls_are_closed_when_the_room_runs_out(engine4k: Engine, name: str) -> None:
    tools = {**TOOLSETS, "endless": of({"type": "string", "minLength": 9})}[name]
    offer = grammar.for_turn(tools, "required")
    written = prompt.render([User("Go.")], tools, engine4k.format)
    for room in (70, 90, 130):
        sampling = Sampling(temperature=1, seed=room, max_tokens=room)
        *pieces, end = engine4k.generate(written, offer.grammar, sampling)
        made = json.loads("".join(piece for piece in pieces if isinstance(piece, str)))
        check(made, tools)
        assert isinstance(end, End)
        assert end.usage.reply_tokens <= room


def test_a_grammar_that_llama_cpp_cannot_load_is_an_error(qwen_path: Path) -> None:
    engine = Engine.load(qwen_path, Settings(context=256, threads=1, executor="llama.cpp"))
    circle = gbnf.Grammar({"root": gbnf.seq(gbnf.Ref("root"), gbnf.Lit("a"))})
    with pytest.raises(GrammarError, match="cannot load the grammar"):
        list(engine.generate(hello(engine), circle, GREEDY))
    engine.close()


def test_both_executors_write_the_same(qwen_path: Path) -> None:
    tools = TOOLSETS["flat"]
    written = []
    for executor in EXECUTORS:
        engine = Engine.load(qwen_path, Settings(context=1024, threads=1, executor=executor))  # type: ignore[arg-type]
        offer = grammar.for_turn(tools, "required")
        said = prompt.render([User("Go.")], tools, engine.format)
        pieces = engine.generate(said, offer.grammar, Sampling(max_tokens=40))
        written.append("".join(piece for piece in pieces if isinstance(piece, str)))
        engine.close()
    assert written[0][:20] == written[1][:20]


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"no model file .*nope\.gguf"):
        Engine.load(tmp_path / "nope.gguf")


def test_a_file_that_is_no_gguf_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"llama\.cpp cannot load bad\.gguf"):
        Engine.load(path)


def test_an_architecture_that_llama_cpp_does_not_know_is_named(tmp_path: Path) -> None:
    path = tmp_path / "odd.gguf"
    write(path, "qwen2", "odd", written_as="martian")
    with pytest.raises(ModelError, match="unknown model architecture: 'martian'"):
        Engine.load(path)


def test_a_model_without_a_template_cannot_chat() -> None:
    engine = Engine.load(tiny("qwen2", "nameless"), Settings(context=256))
    with pytest.raises(ModelError, match="has no chat template"):
        engine.format  # noqa: B018
    engine.close()


LOGITS = np.array([1.0, 3.0, 2.0, -np.inf], dtype=np.float32)


def draws(sampling: Sampling, logits: np.ndarray = LOGITS) -> set[int]:
    random = np.random.default_rng(0)
    return {choose(logits, sampling, random) for _ in range(300)}


def test_sampling_keeps_what_its_settings_say() -> None:
    assert draws(Sampling()) == {1}
    assert draws(Sampling(temperature=2)) == {0, 1, 2}
    assert draws(Sampling(temperature=2, top_k=2)) == {1, 2}
    assert draws(Sampling(temperature=2, top_k=99)) == {0, 1, 2}
    assert draws(Sampling(temperature=1, top_p=0.5)) == {1}
    assert draws(Sampling(temperature=1, top_p=0.9)) == {1, 2}
    assert draws(Sampling(temperature=1, min_p=0.2)) == {1, 2}
    assert draws(Sampling(temperature=1, min_p=1)) == {1}


def test_without_a_cut_tokens_are_drawn_as_softmax_says() -> None:
    random = np.random.default_rng(0)
    drawn = [choose(LOGITS, Sampling(temperature=1), random) for _ in range(4000)]
    weights = np.exp(LOGITS - 3)
    shares = np.bincount(drawn, minlength=4) / 4000
    assert np.abs(shares - weights / weights.sum()).max() < 0.03


def test_the_last_tokens_are_less_likely_under_a_penalty() -> None:
    logits = np.array([2.0, -2.0, 1.0, -np.inf], dtype=np.float32)
    assert penalized(logits, [2] + [0, 1, 3] * 30, 2.0).tolist() == [1.0, -4.0, 1.0, -np.inf]
    assert logits.tolist()[:3] == [2.0, -2.0, 1.0]


def test_a_large_vocabulary_is_cut_as_a_sorted_one_would_be() -> None:
    random = np.random.default_rng(3)
    logits = random.standard_normal(50_000).astype(np.float32) * 3
    weights = np.exp(logits.astype(np.float64) - logits.max())
    order = np.argsort(-logits)
    shares = (weights / weights.sum())[order]
    allowed = set(order[: int(np.searchsorted(shares.cumsum(), 0.5)) + 1].tolist())
    drawn = draws(Sampling(temperature=1, top_p=0.5), logits)
    assert drawn <= allowed
    assert len(drawn) > 50
    flat = np.zeros(50_000, dtype=np.float32)
    assert len(draws(Sampling(temperature=1, top_p=0.9), flat)) > 250
    assert draws(Sampling(temperature=1, top_k=3, top_p=0.9), logits) <= set(order[:3].tolist())


@pytest.mark.parametrize("drafts", [True, None])
def test_drafts_change_no_byte(qwen_path: Path, drafts: bool | None) -> None:
    tools = TOOLSETS["strings"]
    offer = grammar.for_turn(tools, "required")
    replies = []
    for setting in (False, drafts):
        engine = Engine.load(qwen_path, Settings(context=2048, threads=1, drafts=setting))
        said = prompt.render([User('[{"name": "' * 3 + "word word " * 30)], tools, engine.format)
        items = list(engine.generate(said, offer.grammar, Sampling(max_tokens=300)))
        assert isinstance(items[-1], End)
        text = "".join(item for item in items if isinstance(item, str))
        replies.append((text, items[-1].cut, items[-1].usage.reply_tokens))
        known = [*engine.model.tokenize(said), *engine.model.tokenize((Piece(text),))]
        assert len(engine.context.tokens) <= len(known) + 8
        if setting:
            assert items[-1].usage.drafted_tokens > 0
        engine.close()
    assert replies[0] == replies[1]


@pytest.mark.parametrize("count", [1, 24, 25, 31, 32, 33, 70])
def test_a_guess_never_stands_across_two_batches(qwen_path: Path, count: int) -> None:
    engine = Engine.load(qwen_path, Settings(context=512, threads=1, batch=32))
    again = [*range(1000, 1020)] * 5
    reader = Reader(engine.context, Costs(), drafts=True)
    reader.read(again[:count], Free())
    expected = reader.logits().copy()
    reader.finish()
    assert engine.context.tokens == again[:count]
    engine.context.keep(0)
    for token in again[:count]:
        engine.context.decode([token])
    assert np.allclose(expected, engine.context.logits(), atol=0.05)
    engine.close()


def test_a_batch_costs_what_the_sizes_around_it_do() -> None:
    costs = Costs()
    assert costs.of(2) is None
    costs.learn(1, 1.0)
    costs.learn(5, 3.0)
    assert costs.of(3) == 2.0
    assert costs.of(9) is None
    assert list(costs.curve()) == [1, 5]


def test_what_stood_before_is_looked_up() -> None:
    assert lookup([1, 2, 3, 4, 5, 1, 2], 2) == [3, 4]
    assert lookup([1, 2, 9, 1, 2, 3, 1, 2], 9) == [3, 1, 2]
    assert lookup([1, 2, 3], 4) == []
    assert lookup([1], 4) == []


def test_a_context_beyond_the_trained_one_is_stretched(tmp_path: Path) -> None:
    path = tmp_path / "long.gguf"
    write(path, "qwen2", "long", context=32768)
    engine = Engine.load(path, Settings(context=40000, threads=1))
    assert engine.size >= 40000
    assert engine.model.longest == 131072
    engine.close()
    engine = Engine.load(path, Settings(context=1 << 20, threads=1))
    assert engine.size == 131072
    engine.close()


def test_a_kv_type_that_the_model_cannot_have_is_an_error_with_the_way_out(
    qwen_path: Path,
) -> None:
    with pytest.raises(ModelError, match=r"KV in q8_0, cannot be made .* With KV in f16 it may"):
        Engine.load(qwen_path, Settings(context=512, threads=1, kv="q8_0"))


def test_a_context_larger_than_memory_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "long.gguf"
    write(path, "llama", "long", context=1 << 23)
    script = f"""
import resource
from pathlib import Path
from xlam_local.engine import Settings
from xlam_local.engine.local import Engine
from xlam_local.errors import OutOfMemory
resource.setrlimit(resource.RLIMIT_AS, ({2 << 30}, {2 << 30}))
try:
    Engine.load(Path({str(path)!r}), Settings(context=1 << 23, threads=1))
except OutOfMemory as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert re.match(rb"A context of 8388608 tokens, KV in f16, cannot be made", told.stdout)
