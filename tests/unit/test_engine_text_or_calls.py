"""A reply of text or calls: the beginning of calls is taken back and written in their grammar."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.engine_helpers import generate
from tests.fakes.toolsets import TOOLSETS
from xlam_local import prompt
from xlam_local.engine import GrammarBackend, LoadOptions
from xlam_local.engine.local_engine import LocalEngine
from xlam_local.engine.subprocess_engine import SubprocessEngine
from xlam_local.gbnf import Grammar, token
from xlam_local.grammar import TextOrCalls, compile_tools
from xlam_local.types import Prompt, PromptPart, Sampling, TokenLogprobs, UserMessage

TOOLS = TOOLSETS["flat"]
NAME = TOOLS[0].name
CALLS = compile_tools(TOOLS, "required").grammar
SAMPLING = Sampling(max_tokens=40)


@pytest.fixture(scope="module", params=["llguidance", "llama.cpp"])
def engine(request: pytest.FixtureRequest, qwen_path: Path) -> Iterator[LocalEngine]:
    backend: GrammarBackend = request.param
    options = LoadOptions(context_size=1024, threads=1, grammar_backend=backend)
    loaded = LocalEngine.load(qwen_path, options)
    yield loaded
    loaded.close()


def forced(text: str) -> TextOrCalls:
    """Return a grammar under which every model begins with `text`."""
    return TextOrCalls(Grammar({"root": token(text)}), CALLS, (NAME,))


def written(engine: LocalEngine | SubprocessEngine) -> Prompt:
    return prompt.render([UserMessage("Go.")], TOOLS, engine.prompt_format)


@pytest.mark.parametrize(
    "opening",
    [
        f'[{{"name": "{NAME[:3]}',
        '[{"name": "another", "arguments":',
        '[{"name": "another", "parameters":',
        f'[\n    {{\n        "name": "{NAME}",\n        "arguments"',
        f'```json\n[{{"name": "{NAME}", "arguments"',
        f'{{"name": "{NAME}", "city"',
        f'{{"name": "{NAME}"}}',
        f'<tool_call>\n{{"name": "{NAME}", "arguments"',
        '{"name": "another", "arguments": {',
        f'{{"type": "function", "function": {{"name": "{NAME}", "arguments"',
        f'{{"action": "{NAME}", "action_input"',
        f"<function={NAME}>",
        f"[TOOL_CALLS]{NAME}[",
        f"<tool_call>{NAME}\n",
        f"<|tool_calls_section_begin|><|tool_call_begin|>functions.{NAME}:",
        f"[{NAME}(city=",
        f"<|python_start|>[{NAME}()",
    ],
)
def test_calls_are_written_as_if_the_model_had_opened_them_so(
    engine: LocalEngine, opening: str
) -> None:
    expected, _ = generate(engine, written(engine), SAMPLING, CALLS)
    kept = list(engine.context.sequences[0].tokens)
    text, end = generate(engine, written(engine), SAMPLING, forced(opening))
    assert text == expected
    assert engine.context.sequences[0].tokens == kept
    assert end.usage.reply_tokens <= SAMPLING.max_tokens


@pytest.mark.parametrize("before", ["Let me see.\n", "é 💡 I think\n\n", "<think>no</think>\n"])
def test_text_before_calls_is_kept(engine: LocalEngine, before: str) -> None:
    array = f'[ {{"name": "{NAME}", "arguments": {{'
    text, _ = generate(engine, written(engine), SAMPLING, forced(before + array))
    again = (*written(engine), PromptPart(before))
    calls, _ = generate(engine, again, SAMPLING, CALLS)
    assert text.startswith(before + '[{"name": "')
    assert text.removeprefix(before).startswith(calls[:20])


def test_the_reply_ends_if_the_limit_is_reached_within_the_opening(engine: LocalEngine) -> None:
    opening = f'[ {{"name": "{NAME}", "arguments"'
    text, end = generate(engine, written(engine), Sampling(max_tokens=4), forced(opening))
    assert end.truncated
    assert opening.startswith(text)
    assert end.usage.reply_tokens == 4


@pytest.mark.parametrize(
    "answer",
    [
        f'For example: [{{"name": "{NAME}", "arguments": {{}}}}]',
        f'{{"name": "{NAME}", "description": "It does something."}}',
        '[{"name": "Zoë", "age": 36}, {"name": "Ada", "age": 5}]',
        f'```json\n{{"name": "{NAME}", "parameters": {{"type": "object"}}}}\n```',
        f'{{"name": "{NAME}", "parameters": {{"city": {{"type": "string"}}}}}}',
        f'Write `<tool_call>{{"name": "{NAME}", "arguments": {{}}}}</tool_call>`.',
        f"[{NAME}(city)](docs.md) tells more.",
        f"<tool_call>{NAME} is what I would write.",
        f'{{"name": "{NAME}", "title": "It", "inputSchema": {{"type": "object"}}}}',
        f'{{"name": "{NAME}", "strict": true, "parameters": {{"type": "object"}}}}',
        f'<thought>[{{"name": "{NAME}", "arguments": {{}}}}]</thought>No.',
    ],
)
def test_text_that_opens_no_calls_is_written_to_its_end(engine: LocalEngine, answer: str) -> None:
    text, end = generate(engine, written(engine), Sampling(max_tokens=200), forced(answer))
    assert text == answer
    assert not end.truncated


@pytest.mark.slow
def test_a_child_process_writes_the_same(qwen_path: Path) -> None:
    options = LoadOptions(context_size=1024, threads=1)
    local, child = LocalEngine.load(qwen_path, options), SubprocessEngine.load(qwen_path, options)
    for opening in (f'{{"name": "{NAME}", "arguments"', "<think>so</think>[{"):
        expected = generate(local, written(local), SAMPLING, forced(opening))[0]
        assert generate(child, written(child), SAMPLING, forced(opening))[0] == expected
    local.close()
    child.close()


def test_a_prompt_that_ends_in_reasoning_begins_no_calls(engine: LocalEngine) -> None:
    call = json.dumps([{"name": NAME, "arguments": {}}])
    thinking = (*written(engine), PromptPart("<think>\n"))
    text, _ = generate(engine, thinking, Sampling(max_tokens=200), forced(call))
    assert text == call


def test_a_control_token_that_models_write_before_calls_begins_them(qwen_path: Path) -> None:
    engine = LocalEngine.load(qwen_path, LoadOptions(context_size=1024, threads=1))
    expected = generate(engine, written(engine), SAMPLING, CALLS)[0]
    # Every token of this model counts as such a tag, because it writes none by itself.
    engine.__dict__["_call_tag_tokens"] = frozenset(range(engine.model.vocab_size))
    assert generate(engine, written(engine), SAMPLING, forced("Text."))[0] == expected
    engine.close()


def test_the_tokens_that_begin_calls_count_together(qwen_path: Path) -> None:
    engine = LocalEngine.load(qwen_path, LoadOptions(context_size=1024, threads=1))
    expected = generate(engine, written(engine), SAMPLING, CALLS)[0]
    first = Sampling(max_tokens=1, logprobs=1)
    items = list(engine.generate(written(engine), None, first))
    best = next(item for item in items if isinstance(item, TokenLogprobs)).tokens[0].data
    (likeliest,) = (
        token for token in range(engine.model.vocab_size) if engine.model.token_bytes(token) == best
    )
    all_tokens = frozenset(range(engine.model.vocab_size))
    engine.__dict__["_call_tag_tokens"] = all_tokens - {likeliest}
    assert generate(engine, written(engine), SAMPLING, forced("Text."))[0] == expected
    engine.__dict__["_call_tag_tokens"] = frozenset({likeliest})
    assert generate(engine, written(engine), SAMPLING, forced("Text."))[0] == "Text."
    engine.close()
