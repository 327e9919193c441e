"""Models other than xLAM: the tag before their calls, and calls in several lists."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.engine_helpers import generate
from tests.fakes.resources import fetch
from tests.fakes.tiny_models import write_model
from tests.fakes.toolsets import TOOLSETS
from xlam_local import prompt
from xlam_local.engine import GrammarBackend, LoadOptions
from xlam_local.engine.local_engine import LocalEngine
from xlam_local.gbnf import Grammar, token
from xlam_local.grammar import TextOrCalls, begins_another_call, compile_tools
from xlam_local.types import Effect, Prompt, PromptPart, Sampling, TokenLogprobs, Tool, UserMessage

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}<|im_start|>assistant\n"
)
TOOLS = TOOLSETS["flat"]
NAME = TOOLS[0].name
CALLS = compile_tools(TOOLS, "required").grammar
ONE_CALL = compile_tools(TOOLS, "required", parallel=False).grammar
OPENING = f'[ {{"name": "{NAME}", "arguments": {{'
SAMPLING = Sampling(max_tokens=400)
WEATHER = Tool(
    "get_weather",
    "Get the current weather in a city.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    Effect.READ,
    None,
    source="given",
)


@pytest.fixture(scope="module")
def other_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with the weights of `qwen_path` and a chat template of its own."""
    path = tmp_path_factory.mktemp("models") / "other.gguf"
    write_model(path, "qwen2", "other", chat_template=TEMPLATE)
    return path


@pytest.fixture(scope="module")
def other(other_path: Path) -> Iterator[LocalEngine]:
    loaded = LocalEngine.load(other_path, LoadOptions(context_size=2048, threads=1))
    yield loaded
    loaded.close()


@pytest.fixture
def eager(other_path: Path) -> Iterator[LocalEngine]:
    """A model that begins another call after each, because every token counts as a tag."""
    loaded = LocalEngine.load(other_path, LoadOptions(context_size=2048, threads=1))
    loaded.__dict__["_call_tag_tokens"] = frozenset(range(loaded.model.vocab_size))
    yield loaded
    loaded.close()


def written(engine: LocalEngine) -> Prompt:
    return prompt.render([UserMessage("Go.")], TOOLS, engine.prompt_format)


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("\n</tool_call>\n<tool_call>", True),
        ("\n<tool_call>\n", True),
        ("</tool_call>\n[{", None),
        ('\n[{"name": "', True),
        ('\n```\n\n```json\n[{"name": "', True),
        (', {"name": "', True),
        ('\n{"type": "function", "function": {"name": "', True),
        ("<function=", True),
        ("", None),
        ("\n\n", None),
        ("\n</tool_call>", None),
        ("\n```\n", None),
        ("\n</tool_call>\nThe weather", False),
        ("\n[1]", False),
        ("\nThis calls", False),
        ('\n{"city": ', False),
    ],
)
def test_what_follows_a_list_shows_whether_another_call_begins(
    text: str, begins: bool | None
) -> None:
    assert begins_another_call(text) is begins


@pytest.mark.parametrize("enforced", [CALLS, ONE_CALL], ids=["many", "one"])
def test_the_tag_stands_before_the_calls_and_is_not_part_of_the_reply(
    other: LocalEngine, qwen_path: Path, enforced: Grammar
) -> None:
    tagged = (*written(other), PromptPart("<tool_call>\n", special=True))
    xlam = LocalEngine.load(qwen_path, LoadOptions(context_size=2048, threads=1))
    expected, _ = generate(xlam, tagged, SAMPLING, enforced)
    xlam.close()
    assert generate(other, written(other), SAMPLING, enforced)[0] == expected
    opening = TextOrCalls(Grammar({"root": token(OPENING)}), enforced, (NAME,))
    assert generate(other, written(other), SAMPLING, opening)[0] == expected


def test_calls_are_added_to_the_list_until_one_repeats_or_the_limit_is_near(
    eager: LocalEngine, other: LocalEngine
) -> None:
    first = json.loads(generate(other, written(other), SAMPLING, CALLS)[0])
    text, end = generate(eager, written(eager), SAMPLING, CALLS)
    calls = json.loads(text)
    assert calls[: len(first)] == first
    assert len(calls) > len(first)
    assert end.usage.reply_tokens <= SAMPLING.max_tokens
    assert not end.truncated


def test_no_call_is_added_where_only_one_is_allowed(eager: LocalEngine, other: LocalEngine) -> None:
    expected = generate(other, written(other), SAMPLING, ONE_CALL)[0]
    assert generate(eager, written(eager), SAMPLING, ONE_CALL)[0] == expected


@pytest.mark.parametrize("opening", [None, f'[ {{"name": "{NAME}"'], ids=["calls", "text or calls"])
def test_logged_tokens_are_those_of_the_reply(eager: LocalEngine, opening: str | None) -> None:
    enforced = (
        CALLS if opening is None else TextOrCalls(Grammar({"root": token(opening)}), CALLS, (NAME,))
    )
    text, _ = generate(eager, written(eager), SAMPLING, enforced)
    logged = Sampling(max_tokens=SAMPLING.max_tokens, logprobs=0)
    items = list(eager.generate(written(eager), enforced, logged))
    assert "".join(item for item in items if isinstance(item, str)) == text
    tokens = [each for item in items if isinstance(item, TokenLogprobs) for each in item.tokens]
    assert b"".join(each.data for each in tokens).decode() == text


def test_a_backend_that_cannot_take_tokens_back_adds_no_call(other_path: Path) -> None:
    backend: GrammarBackend = "llama.cpp"
    options = LoadOptions(context_size=2048, threads=1, grammar_backend=backend)
    engine = LocalEngine.load(other_path, options)
    expected = json.loads(generate(engine, written(engine), SAMPLING, CALLS)[0])
    engine.__dict__["_call_tag_tokens"] = frozenset(range(engine.model.vocab_size))
    assert json.loads(generate(engine, written(engine), SAMPLING, CALLS)[0]) == expected
    engine.close()


@pytest.mark.model
def test_a_real_model_calls_a_tool_for_each_city() -> None:
    engine = LocalEngine.load(fetch("qwen2.5-coder-0.5b"), LoadOptions(context_size=2048))
    question = UserMessage("What is the weather in Oslo, in Lima and in Cairo?")
    asked = prompt.render([question], [WEATHER], engine.prompt_format)
    grammar = compile_tools([WEATHER], "required").grammar
    calls = json.loads(generate(engine, asked, SAMPLING, grammar)[0])
    assert [call["arguments"]["city"] for call in calls] == ["Oslo", "Lima", "Cairo"]
    engine.close()
