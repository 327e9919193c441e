"""Texts that contain special tokens, before and after a template is rendered."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlam_local import prompt
from xlam_local.prompt import Template, special_tokens
from xlam_local.types import (
    AssistantMessage,
    Message,
    PromptPart,
    SystemMessage,
    Tool,
    ToolCall,
    ToolCalls,
    ToolResult,
    UserMessage,
)

TOKENS = ("<|im_start|>", "<|im_end|>", "<think>", "</think>", "ab", "bc", "<s>", "<s>x", "[INST]")
PIECES = st.sampled_from([*"<>|/[]abc xs\n", "\ufdd0", "\ufdd1", *TOKENS])
TEXTS = st.lists(PIECES).map("".join) | st.text()
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
THINKING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content.split('</think>')[-1] }}"
    "<|im_end|>\n{% endfor %}<|im_start|>assistant\n<think>\n"
)


@given(TEXTS)
def test_a_marked_text_contains_no_token_and_is_restored(text: str) -> None:
    marked = special_tokens.mark(text, TOKENS)
    assert not any(token in marked for token in TOKENS)
    assert special_tokens.unmark(marked) == text


@given(st.lists(TEXTS))
def test_neighboring_texts_are_not_a_token_together(texts: list[str]) -> None:
    marked = "".join(special_tokens.mark(text, TOKENS) for text in texts)
    assert special_tokens.written(marked, TOKENS) == set()


@pytest.mark.slow
@given(st.lists(TEXTS | st.sampled_from(TOKENS).map(lambda token: (token,))))
def test_the_tokens_that_a_template_writes_are_special(texts: list[str | tuple[str]]) -> None:
    rendered = "".join(
        special_tokens.mark(text, TOKENS) if isinstance(text, str) else text[0] for text in texts
    )
    written = "".join(text[0] for text in texts if isinstance(text, tuple))
    parts = list(special_tokens.split(rendered, TOKENS))
    special = "".join(part.text for part in parts if part.special)
    assert len(special) <= len(written)
    assert not any(token in part.text for part in parts if not part.special for token in TOKENS)
    assert special_tokens.unmark(rendered) == "".join(part.text for part in parts)


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        *(("<think>", True), ("[/INST]", True), ("<\uff5cUser\uff5c>", True), ("</s>", True)),
        *(("  ", False), ("\n\n", False), ("▁▁", False), ("word", False), ("<", False)),
    ],
)
def test_only_markup_can_be_a_special_token(token: str, expected: bool) -> None:
    assert special_tokens.is_markup(token) is expected


def test_thousands_of_tokens_are_one_pattern() -> None:
    tokens = tuple(f"<unused{number}>" for number in range(6000))
    text = "<a href='x'>" * 2000 + "<unused5999>"
    marked = special_tokens.mark(text, tokens)
    assert marked.endswith("<\ufdd0unused5999>")


def test_a_user_defined_token_is_special_if_the_template_uses_it() -> None:
    template = Template(THINKING, ("<|im_start|>", "<|im_end|>"), user_defined=("<think>", "<b>"))
    parts = prompt.render([UserMessage("a <think> b <b> c")], [], template)
    assert parts == (
        PromptPart("<|im_start|>", special=True),
        PromptPart("user\na <"),
        PromptPart("think> b <b> c"),
        PromptPart("<|im_end|>", special=True),
        PromptPart("\n"),
        PromptPart("<|im_start|>", special=True),
        PromptPart("assistant\n"),
        PromptPart("<think>", special=True),
    )


def test_a_token_that_the_template_puts_together_is_special() -> None:
    source = "{% for m in messages %}{{ '<|' + m.role + '|>' }}{{ m.content }}{% endfor %}"
    template = Template(source, (), user_defined=("<|user|>", "<|tool|>"))
    parts = prompt.render([UserMessage("I am <|user|> and <|tool|>.")], [], template)
    assert parts == (
        PromptPart("<|user|>", special=True),
        PromptPart("I am <"),
        PromptPart("|user|> and <|tool|>."),
    )


@pytest.mark.parametrize("text", ["<think>a</think>b", "a</think>b", "<think></think>b"])
def test_a_template_finds_its_tokens_in_answers(text: str) -> None:
    messages: list[Message] = [UserMessage("a"), AssistantMessage(text), UserMessage("c")]
    template = Template(THINKING, (), user_defined=("<think>", "</think>"))
    assert "assistant\nb<|im_end|>" in prompt.text(prompt.render(messages, [], template))


def conversation(text: str) -> tuple[list[Message], list[Tool]]:
    """Return a conversation and a tool with a text in every place but answers."""
    call = ToolCall("call_0", text, {text: text, "nested": [{"y": text}]})
    messages: list[Message] = [
        *(SystemMessage(text), UserMessage(text), ToolCalls((call,)), ToolResult(call, text)),
        *(AssistantMessage("Done."), UserMessage(text)),
    ]
    return messages, [Tool(text, text, {"description": text, "properties": {text: {}}})]


@pytest.mark.parametrize("source", [CHATML, THINKING])
@settings(deadline=None, max_examples=50)
@given(TEXTS)
def test_no_text_adds_special_tokens_anywhere(source: str, text: str) -> None:
    template = Template(source, TOKENS[:2], user_defined=TOKENS[2:])
    parts = prompt.render(*conversation(text), template)
    expected = prompt.render(*conversation("x"), template)
    assert [part for part in parts if part.special] == [part for part in expected if part.special]
    used = {part.text for part in expected if part.special}
    assert not any(token in part.text for part in parts if not part.special for token in used)
