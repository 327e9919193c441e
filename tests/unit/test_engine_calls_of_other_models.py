"""Models other than xLAM: the tag before their calls, and each call on a line of its own."""

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
from xlam_local.engine.grammar_text import GrammarSerializer
from xlam_local.engine.local_engine import LocalEngine
from xlam_local.engine.subprocess_engine import SubprocessEngine
from xlam_local.gbnf import Grammar, token
from xlam_local.grammar import TextOrCalls, begins_another_call, compile_tools, of_other_models
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
OPTIONS = LoadOptions(context_size=2048, threads=1)
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
    loaded = LocalEngine.load(other_path, OPTIONS)
    yield loaded
    loaded.close()


@pytest.fixture
def eager(other_path: Path) -> Iterator[LocalEngine]:
    """A model that begins another call after each, because every token counts as a tag."""
    loaded = LocalEngine.load(other_path, OPTIONS)
    loaded.__dict__["_call_tag_tokens"] = frozenset(range(loaded.model.vocab_size))
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def xlam(qwen_path: Path) -> Iterator[LocalEngine]:
    loaded = LocalEngine.load(qwen_path, OPTIONS)
    yield loaded
    loaded.close()


def written(engine: LocalEngine | SubprocessEngine) -> Prompt:
    return prompt.render([UserMessage("Go.")], TOOLS, engine.prompt_format)


def calls_on_their_lines(text: str) -> int:
    """Return the number of calls in a complete list, each on a line of its own."""
    assert text.startswith('[\n    {"name": "')
    assert text.endswith("}\n]")
    lines = text.splitlines()
    assert all(json.loads(line.removesuffix(","))["name"] == NAME for line in lines[1:-1])
    assert len(json.loads(text)) == len(lines) - 2
    return len(lines) - 2


@pytest.mark.parametrize("enforced", [CALLS, ONE_CALL], ids=["many", "one"])
def test_the_tag_stands_before_the_calls_and_is_not_part_of_the_reply(
    other: LocalEngine, xlam: LocalEngine, enforced: Grammar
) -> None:
    tagged = (*written(other), PromptPart("<tool_call>\n", special=True))
    expected, _ = generate(xlam, tagged, SAMPLING, of_other_models(enforced, False))
    assert generate(other, written(other), SAMPLING, enforced)[0] == expected


@pytest.mark.parametrize("before", ["", "Yes.\n"])
@pytest.mark.parametrize("markup", ["", "```json\n", "<function_call>", "<TOOLCALL>\n```json\n"])
def test_the_markup_that_the_model_wrote_stands_before_the_calls(
    other: LocalEngine, xlam: LocalEngine, before: str, markup: str
) -> None:
    begun = (*written(other), PromptPart(before), PromptPart(markup))
    used = len(other.model.tokenize(begun)) - len(other.model.tokenize(written(other)))
    rest = Sampling(max_tokens=SAMPLING.max_tokens - used)
    expected, _ = generate(xlam, begun, rest, of_other_models(CALLS, True))
    opening = TextOrCalls(Grammar({"root": token(before + markup + OPENING)}), CALLS, (NAME,))
    text, end = generate(other, written(other), SAMPLING, opening)
    if before and markup.startswith("```"):  # code after text is an example
        assert text == before + markup + OPENING
    else:
        assert text == before + expected
        assert end.usage.reply_tokens <= SAMPLING.max_tokens


def test_a_control_token_that_begins_calls_stays_before_them(other_path: Path) -> None:
    engine = LocalEngine.load(other_path, OPTIONS)
    engine.__dict__["_call_tag_tokens"] = frozenset(range(engine.model.vocab_size))
    text, _ = generate(engine, written(engine), SAMPLING, compile_tools(TOOLS).enforced)
    assert text.startswith("[")
    held = engine.context.sequences[0].tokens[len(engine.model.tokenize(written(engine))) :]
    newline, opening = (engine.model.tokenize((PromptPart(part),)) for part in ("\n", text[:7]))
    assert list(held[1 : 1 + len(newline)]) == newline
    assert list(held[1 + len(newline) :][: len(opening)]) == opening
    engine.close()


@pytest.mark.parametrize("backend", ["llguidance", "llama.cpp"])
@pytest.mark.parametrize("enforced", [CALLS, ONE_CALL], ids=["many", "one"])
def test_each_call_is_on_a_line_of_its_own(
    other_path: Path, enforced: Grammar, backend: GrammarBackend
) -> None:
    engine = LocalEngine.load(
        other_path, LoadOptions(context_size=2048, threads=1, grammar_backend=backend)
    )
    counts = set()
    for seed in range(8):
        hot = Sampling(max_tokens=600, temperature=1.0, seed=seed)
        text, end = generate(engine, written(engine), hot, enforced)
        counts.add(0 if end.truncated else calls_on_their_lines(text))
    assert max(counts) == 1 if enforced is ONE_CALL else max(counts) > 1
    engine.close()


def test_xlam_writes_its_calls_on_one_line(xlam: LocalEngine) -> None:
    text, _ = generate(xlam, written(xlam), SAMPLING, CALLS)
    assert "\n" not in text
    assert text.startswith('[{"name": "')
    assert text.endswith("}]")


def test_an_engine_in_another_process_writes_the_same(other: LocalEngine, other_path: Path) -> None:
    expected = generate(other, written(other), SAMPLING, CALLS)[0]
    engine = SubprocessEngine.load(other_path, OPTIONS)
    assert generate(engine, written(engine), SAMPLING, CALLS)[0] == expected
    engine.close()


def test_calls_are_closed_before_the_limit(other: LocalEngine) -> None:
    for max_tokens in range(40, 200, 8):
        hot = Sampling(max_tokens=max_tokens, temperature=1.0, seed=max_tokens)
        text, end = generate(other, written(other), hot, CALLS)
        assert end.usage.reply_tokens <= max_tokens
        assert end.truncated or calls_on_their_lines(text)


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


def test_calls_are_added_to_the_list_until_one_repeats_or_the_limit_is_near(
    eager: LocalEngine, other: LocalEngine
) -> None:
    first = json.loads(generate(other, written(other), SAMPLING, CALLS)[0])
    text, end = generate(eager, written(eager), SAMPLING, CALLS)
    calls = json.loads(text)
    assert calls[: len(first)] == first
    assert len(calls) > len(first)
    assert calls_on_their_lines(text) == len(calls)
    assert end.usage.reply_tokens <= SAMPLING.max_tokens


def test_no_call_is_added_where_only_one_is_allowed(eager: LocalEngine, other: LocalEngine) -> None:
    expected = generate(other, written(other), SAMPLING, ONE_CALL)[0]
    assert generate(eager, written(eager), SAMPLING, ONE_CALL)[0] == expected


def test_calls_are_added_to_a_list_on_one_line(eager: LocalEngine) -> None:
    eager._serializer = GrammarSerializer("llguidance", lambda: True)
    text, _ = generate(eager, written(eager), SAMPLING, CALLS)
    assert "\n" not in text
    assert text.startswith('[{"name": "')
    assert text.endswith("}]")
    assert len(json.loads(text)) > 1


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
