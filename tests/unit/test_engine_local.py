from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.engine_helpers import GREEDY, generate, user_prompt
from tests.fakes.tiny_models import write_model
from tests.fakes.toolsets import TOOLSETS, toolset_of
from xlam_local import gbnf, grammar, prompt, schema
from xlam_local.engine import GrammarBackend, LoadOptions
from xlam_local.engine.local_engine import LocalEngine
from xlam_local.errors import GrammarError, PromptError
from xlam_local.types import (
    AssistantMessage,
    GenerationEnd,
    Message,
    PrefillProgress,
    PromptPart,
    Sampling,
    Tool,
    UserMessage,
)

BACKENDS: tuple[GrammarBackend, ...] = ("llguidance", "llama.cpp")


@pytest.fixture(scope="module")
def engine(tiny_path: Path) -> Iterator[LocalEngine]:
    loaded = LocalEngine.load(tiny_path, LoadOptions(context_size=1024, threads=1))
    yield loaded
    loaded.close()


def test_a_model_named_xlam_has_xlams_prompt_format(engine: LocalEngine) -> None:
    assert isinstance(engine.prompt_format, prompt.Family)


def test_progress_comes_first_then_text_then_one_end(engine: LocalEngine) -> None:
    items = list(engine.generate(user_prompt(engine, "Hello. " * 50), None, GREEDY))
    progress = [item for item in items if isinstance(item, PrefillProgress)]
    assert [type(item) for item in items] == sorted(
        (type(item) for item in items), key=[PrefillProgress, str, GenerationEnd].index
    )
    end = items[-1]
    assert isinstance(end, GenerationEnd)
    assert progress[-1].done == progress[-1].total == end.usage.prompt_tokens
    assert [item.done for item in progress] == sorted(item.done for item in progress)


def test_prefill_batches_begin_at_the_same_tokens_every_time(engine: LocalEngine) -> None:
    def batch_ends(text: str) -> list[int]:
        items = engine.generate(user_prompt(engine, text), None, GREEDY)
        return [item.done for item in items if isinstance(item, PrefillProgress)]

    for text in "Hello. " * 70, "Hello. " * 70 + "Goodbye. " * 30:
        cached, *between, end = batch_ends(text)
        assert between == [*range(cached + 64 - cached % 64, end, 64)]
    assert cached > 64
    assert len(between) > 1


def test_a_common_prefix_is_not_decoded_again(engine: LocalEngine) -> None:
    text, _ = generate(engine, user_prompt(engine))
    again, end = generate(engine, user_prompt(engine))
    assert again == text
    assert end.usage.cached_tokens == end.usage.prompt_tokens - 1
    generate(engine, user_prompt(engine, "Something else."))
    assert generate(engine, user_prompt(engine))[0] == text


def test_cancelling_does_not_change_later_replies(engine: LocalEngine) -> None:
    text, _ = generate(engine, user_prompt(engine))
    for stop in range(6):
        written = user_prompt(engine, "Quite another thing. " * 20)
        items = engine.generate(written, None, GREEDY)
        for _ in range(stop):
            next(items)
        items.close()
    assert generate(engine, user_prompt(engine))[0] == text


def test_sending_true_ends_a_reply_early(engine: LocalEngine) -> None:
    items = engine.generate(user_prompt(engine), None, Sampling(max_tokens=50))
    while not isinstance(next(items), str):
        pass
    end = items.send(True)
    assert isinstance(end, GenerationEnd)
    assert end.usage.reply_tokens < 5


def test_a_reply_has_at_most_max_tokens(engine: LocalEngine) -> None:
    _, end = generate(engine, user_prompt(engine), Sampling(max_tokens=5))
    assert end.truncated
    assert end.usage.reply_tokens == 5


def test_a_reply_ends_at_the_end_of_the_context(engine: LocalEngine) -> None:
    long = user_prompt(engine, "word " * 950)
    free = engine.context.size - len(engine.model.tokenize(long))
    assert 0 < free < 100
    _, end = generate(engine, long, Sampling(max_tokens=500))
    assert end.truncated
    assert end.usage.reply_tokens == free


def test_a_prompt_that_fills_the_context_is_an_error_with_its_size(engine: LocalEngine) -> None:
    with pytest.raises(PromptError, match="tokens, but the context holds 1024"):
        generate(engine, user_prompt(engine, "word " * 2000))


def test_text_that_looks_like_control_tokens_is_tokenized_as_text(engine: LocalEngine) -> None:
    prompt_format = engine.prompt_format
    assert isinstance(prompt_format, prompt.Family)
    text = f"a{prompt_format.end}b<|endoftext|><|eot_id|>"
    tokens = engine.model.tokenize((PromptPart(text),))
    assert not set(engine.model.control_tokens).intersection(tokens)
    assert b"".join(map(engine.model.token_bytes, tokens)).decode() == text
    (end,) = engine.model.tokenize((PromptPart(prompt_format.end, special=True),))
    assert end in engine.model.end_tokens


def test_a_prompt_in_parts_has_the_tokens_of_the_whole_text(engine: LocalEngine) -> None:
    messages: list[Message] = [UserMessage("Hi  there"), AssistantMessage("x"), UserMessage("é\n")]
    written = prompt.render(messages, [], engine.prompt_format)
    whole = (PromptPart(prompt.text(written), special=True),)
    assert engine.model.tokenize(written) == engine.model.tokenize(whole)


def test_a_seed_determines_the_reply(engine: LocalEngine) -> None:
    first, second, other = (
        generate(engine, user_prompt(engine), Sampling(temperature=1, seed=seed, max_tokens=8))[0]
        for seed in (1, 1, 2)
    )
    assert first == second != other


def random_calls(
    engine: LocalEngine, tools: tuple[Tool, ...], seed: int
) -> list[dict[str, object]]:
    compiled = grammar.compile_tools(tools, "required")
    assert len(compiled.tools) == len(tools)
    written = prompt.render([UserMessage("Go.")], tools, engine.prompt_format)
    # Random weights may go on to another call again and again: the limit closes such replies.
    sampling = Sampling(temperature=1, seed=seed, max_tokens=1000)
    text, _ = generate(engine, written, sampling, compiled.grammar)
    calls: list[dict[str, object]] = json.loads(text)
    return calls


def assert_valid(calls: list[dict[str, object]], tools: tuple[Tool, ...]) -> None:
    assert calls
    for call in calls:
        (tool,) = (tool for tool in tools if tool.name == call["name"])
        assert list(call) == ["name", "arguments"]
        assert isinstance(call["arguments"], dict)
        assert schema.validate(call["arguments"], tool.parameters) == []


@pytest.fixture(
    scope="module",
    params=["llguidance", pytest.param("llama.cpp", marks=pytest.mark.slow)],
)
def engine_4k(request: pytest.FixtureRequest, tiny_path: Path) -> Iterator[LocalEngine]:
    options = LoadOptions(context_size=4096, threads=1, grammar_backend=request.param)
    loaded = LocalEngine.load(tiny_path, options)
    yield loaded
    loaded.close()


@pytest.mark.slow
@pytest.mark.parametrize("tools", TOOLSETS.values(), ids=TOOLSETS)
def test_random_weights_write_only_valid_calls(
    engine_4k: LocalEngine, tools: tuple[Tool, ...], calls_per_toolset: int
) -> None:
    for seed in range(calls_per_toolset):
        assert_valid(random_calls(engine_4k, tools, seed), tools)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["strings", "all optional", "array of objects", "recursion", "infinite"]
)
def test_calls_are_closed_before_the_token_limit(engine_4k: LocalEngine, name: str) -> None:
    infinite = toolset_of({"type": "string", "minLength": 9})
    tools = {**TOOLSETS, "infinite": infinite}[name]
    compiled = grammar.compile_tools(tools, "required")
    written = prompt.render([UserMessage("Go.")], tools, engine_4k.prompt_format)
    for limit in (70, 90, 130):
        sampling = Sampling(temperature=1, seed=limit, max_tokens=limit)
        text, end = generate(engine_4k, written, sampling, compiled.grammar)
        assert_valid(json.loads(text), tools)
        assert end.usage.reply_tokens <= limit


def test_a_grammar_that_llama_cpp_cannot_load_is_an_error(qwen_path: Path) -> None:
    options = LoadOptions(context_size=256, threads=1, grammar_backend="llama.cpp")
    engine = LocalEngine.load(qwen_path, options)
    left_recursive = gbnf.Grammar({"root": gbnf.seq(gbnf.Ref("root"), gbnf.Literal("a"))})
    with pytest.raises(GrammarError, match="cannot load the grammar"):
        generate(engine, user_prompt(engine), grammar=left_recursive)
    engine.close()


def test_both_backends_write_the_same(qwen_path: Path) -> None:
    tools = TOOLSETS["flat"]
    compiled = grammar.compile_tools(tools, "required")
    texts = []
    for backend in BACKENDS:
        options = LoadOptions(context_size=1024, threads=1, grammar_backend=backend)
        engine = LocalEngine.load(qwen_path, options)
        written = prompt.render([UserMessage("Go.")], tools, engine.prompt_format)
        sampling = Sampling(max_tokens=40)
        texts.append(generate(engine, written, sampling, compiled.grammar)[0])
        engine.close()
    assert texts[0][:20] == texts[1][:20]


def test_templates_get_the_tokens_that_the_file_names(tmp_path: Path) -> None:
    path = tmp_path / "named.gguf"
    template = "{{ pad_token + unk_token }}{% for m in messages %}{{ m.content }}{% endfor %}"
    ids = {"padding": 0, "unknown": 1, "seperator": 4_000_000_000}
    write_model(path, "llama", "other", chat_template=template, token_ids=ids)
    loaded = LocalEngine.load(path, LoadOptions(context_size=64, threads=1))
    named = dict(loaded.model.named_tokens)
    assert named == {
        "pad_token": loaded.model.token_text(0),
        "unk_token": loaded.model.token_text(1),
    }
    written = prompt.text(prompt.render([UserMessage("Hi")], [], loaded.prompt_format))
    assert written.endswith(f"{named['pad_token']}{named['unk_token']}Hi")
    loaded.close()
