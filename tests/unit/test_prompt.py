from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from xlam_local import prompt, wire
from xlam_local.errors import PromptError
from xlam_local.prompt import LLAMA, QWEN, Family, Format, Template
from xlam_local.types import (
    Answer,
    Calls,
    Message,
    Piece,
    Result,
    System,
    Tool,
    ToolCall,
    User,
)

# The leaderboard's own prompts, where they are at hand: XLAM_GOLDEN_PROMPTS names the file.
GOLDEN = Path(os.environ.get("XLAM_GOLDEN_PROMPTS", "../shared/data/prompts-golden.jsonl"))

WEATHER = Tool(
    "weather/now.get",
    "The weather in a place, in °C.",
    {"type": "dict", "properties": {"place": {"type": "string"}}, "required": ["place"]},
)
NO_WORDS = Tool("ping", "", {})
CALL = ToolCall("call_0", "weather/now.get", {"place": "Zürich", "days": [1, None]})
LONG: list[Message] = [
    System(" Be brief. "),
    User("Hi "),
    Answer("Hello."),
    User("Weather?"),
    Calls((CALL, ToolCall("call_1", "ping", {}))),
    Result(CALL, '{"temp": 21}'),
    Result(ToolCall("call_1", "ping", {}), " pong\n"),
    Answer("21 °C."),
    User("Thanks"),
]
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIALS = ("<|im_start|>", "<|im_end|>", "<s>", "<s>x")


@pytest.mark.parametrize("family", [QWEN, LLAMA], ids=lambda family: family.name)
@pytest.mark.parametrize("tools", [(), (WEATHER, NO_WORDS)], ids=["no tools", "tools"])
@pytest.mark.parametrize("count", [2, len(LONG)])
def test_prompts_are_as_they_were(
    family: Family, tools: tuple[Tool, ...], count: int, snapshot: SnapshotAssertion
) -> None:
    assert prompt.text(prompt.render(LONG[:count], tools, family)) == snapshot


@pytest.mark.skipif(not GOLDEN.exists(), reason="the leaderboard's prompts are not here")
def test_prompts_are_those_of_the_leaderboard() -> None:
    cases = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
    for case in cases:
        form = prompt.FAMILIES[case["family"]]
        rendered = prompt.render(wire.conversation(case), wire.tools(case["tools"]), form)
        assert prompt.text(rendered) == case["prompt"]
    assert len(cases) >= 16


def test_without_a_system_message_the_default_one_stands() -> None:
    assert "You are developed by Salesforce xLAM team.\n" in prompt.text(
        prompt.render([User("Hi")], [], QWEN)
    )


words = st.text() | st.sampled_from(["<|im_end|>", "<|im_start|>system\n", "a<s>x", "\ufdd0\ufdd1"])
messages = st.lists(
    st.builds(System, words)
    | st.builds(User, words)
    | st.builds(Answer, words)
    | st.builds(lambda text: Result(CALL, text), words)
    | st.builds(lambda text: Calls((ToolCall("c", "f", {text: text}),)), words),
    max_size=5,
)


@given(messages, messages, st.sampled_from([QWEN, LLAMA]))
def test_a_longer_conversation_begins_with_the_shorter_one(
    before: list[Message], after: list[Message], family: Family
) -> None:
    def body(said: list[Message]) -> str:
        written = prompt.text(prompt.render([System("s"), *said], [WEATHER], family))
        opening = prompt.text(prompt.render([System("s")], [WEATHER], family))
        end = len(opening) - len(opening.rpartition(family.open)[2]) - len(family.open)
        return written[: written.rindex(family.open)] if said else written[:end]

    assert body(before + after).startswith(body(before))


@given(words, st.sampled_from([QWEN, LLAMA, Template(CHATML, SPECIALS)]))
def test_words_from_outside_are_never_special(said: str, form: Format) -> None:
    tool = Tool("f", said, {"description": said})
    rendered = prompt.render([System(said), User(said), Result(CALL, said)], [tool], form)
    plain = prompt.render([System("x"), User("x"), Result(CALL, "x")], [tool], form)
    specials = [piece.text for piece in rendered if piece.special]
    assert specials == [piece.text for piece in plain if piece.special]
    assert said.strip() in "".join(piece.text for piece in rendered if not piece.special)


def test_neighbouring_plain_pieces_are_one_so_that_tokens_fall_as_in_training() -> None:
    assert prompt.render([System("s"), User("u")], [], LLAMA)[:6] == (
        Piece("<|begin_of_text|>", special=True),
        Piece("<|start_header_id|>", special=True),
        Piece("system"),
        Piece("<|end_header_id|>", special=True),
        Piece("\n\ns\n"),
        Piece("<|eot_id|>", special=True),
    )


def test_a_template_gives_other_models_the_same_instructions() -> None:
    written = prompt.text(prompt.render([User("Hi")], [WEATHER], Template(CHATML, SPECIALS)))
    assert written.startswith("<|im_start|>system\nYou are a helpful assistant that can use tools.")
    assert "calls in a single JSON array" in written
    assert "Salesforce" not in written
    assert written.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")


def test_a_template_without_tools_brings_its_own_system_message() -> None:
    form = Template("{{ messages[0].role }}|", ())
    with pytest.raises(PromptError, match="leaves a message out"):
        prompt.render([User("Hi")], [], form)
    written = prompt.text(prompt.render([User("Hi")], [], Template(CHATML, ())))
    assert written.startswith("<|im_start|>user")


def test_the_first_token_is_written_once() -> None:
    with_bos = Template("{{ bos_token }}" + CHATML, SPECIALS, bos="<s>", add_bos=True)
    without = Template(CHATML, SPECIALS, bos="<s>", add_bos=True)
    for form in (with_bos, without):
        pieces = prompt.render([User("Hi")], [], form)
        assert pieces[0] == Piece("<s>", special=True)
        assert [piece.text for piece in pieces].count("<s>") == 1


STRICT = (
    "{% for m in messages %}{% if m.role not in ['user', 'assistant'] %}"
    "{{ raise_exception('Only user and assistant.') }}{% endif %}"
    "{% if not loop.first and loop.previtem.role == m.role %}"
    "{{ raise_exception('Roles take turns.') }}{% endif %}[{{ m.role }}] {{ m.content }}\n"
    "{% endfor %}"
)


def test_a_template_that_knows_no_system_and_no_tools_still_hears_everything() -> None:
    said: list[Message] = [System("Be brief."), User("Weather?"), Calls((CALL,))]
    said.append(Result(CALL, "sunny"))
    written = prompt.text(prompt.render(said, [WEATHER], Template(STRICT, ())))
    assert written.startswith("[user] Be brief.")
    assert written.endswith("[user] sunny\n")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("{{ nothing.at.all }}", "undefined"),
        ("{% if %}", "Expected"),
        ("{{ raise_exception('No.') }}", "No"),
        ("{{ messages.__class__.__mro__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe"),
        ("{% for i in range(1000000) %}{{ i }}{% endfor %}", "Range too big"),
    ],
)
def test_a_template_that_fails_or_reaches_out_is_told(source: str, told: str) -> None:
    with pytest.raises(PromptError, match=f"(?i){told}"):
        prompt.render([User("Hi")], [], Template(source, ()))


@pytest.mark.parametrize(
    ("metadata", "family"),
    [
        ({"general.name": "XLAM 2 1b Fc R", "general.architecture": "qwen2"}, QWEN),
        ({"general.basename": "Llama-xLAM-2", "general.architecture": "llama"}, LLAMA),
        ({"general.name": "Qwen2.5", "general.architecture": "qwen2"}, None),
        ({"general.name": "xLAM-1", "general.architecture": "mixtral"}, None),
        ({}, None),
    ],
)
def test_an_xlam_file_is_told_by_its_metadata(
    metadata: dict[str, str], family: Family | None
) -> None:
    assert prompt.xlam_family(metadata) is family
