"""The chat templates of 60 and more model families, compared with Transformers' own rendering."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import pytest

from tests.fakes import chat_templates
from xlam_local import prompt
from xlam_local.prompt import Template
from xlam_local.prompt.chat_template import ARRANGEMENTS, RoleText
from xlam_local.types import (
    AssistantMessage,
    Message,
    SystemMessage,
    Tool,
    ToolCall,
    ToolCalls,
    ToolResult,
    UserMessage,
)

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = Tool("get_weather", "The weather in a city", CITY)
CALL = ToolCall("call_0", "get_weather", {"city": "Oslo"})
QUESTION = UserMessage("What is the weather in Oslo?")
REASONED = "<think>\nThey ask for the weather.\n</think>\n\nI cannot know."
CONVERSATIONS: Mapping[str, tuple[list[Message], bool]] = {
    "a question with a tool": ([QUESTION], True),
    "a question": ([QUESTION], False),
    "a call and its result": (
        [
            SystemMessage("Be brief."),
            *(QUESTION, ToolCalls((CALL,)), ToolResult(CALL, "rain")),
            *(AssistantMessage("It rains."), UserMessage("And in Rome?")),
        ],
        True,
    ),
    "reasoning in earlier answers": (
        [
            *(QUESTION, AssistantMessage(REASONED), UserMessage("Why?")),
            *(AssistantMessage(REASONED), UserMessage("Really?")),
        ],
        False,
    ),
    "white space": (
        [QUESTION, AssistantMessage("It rains."), UserMessage("  indented?\n\n  yes ")],
        True,
    ),
    "a second system message": (
        [
            *(SystemMessage("One."), QUESTION, AssistantMessage("x")),
            *(SystemMessage("Two, a warning."), UserMessage("go")),
        ],
        True,
    ),
    "a result at the end": ([QUESTION, ToolCalls((CALL,)), ToolResult(CALL, "rain\n")], True),
}
REASONING_TOKENS = ("<think>", "</think>", "<|im_start|>", "<|im_end|>", "<s>", "</s>")


def rendered_by_transformers(source: str, variables: Mapping[str, Any]) -> str:
    """Return what the template writes in Transformers."""
    from transformers.utils.chat_template_utils import render_jinja_template

    others = dict(variables)
    messages = others.pop("messages")
    rendered = render_jinja_template(
        conversations=[messages],
        chat_template=source,
        **others,
        bos_token="<s>",
        eos_token="</s>",
    )
    return str(rendered[0][0])


def expected(source: str, texts: list[RoleText]) -> str:
    """Return Transformers' rendering of the first arrangement that omits no message."""
    words = [(role, f"w{number}w") for number, (role, _) in enumerate(texts)]
    for arrange in ARRANGEMENTS:
        try:
            plain = rendered_by_transformers(source, arrange(words))
            if all(word in plain for _, word in words):
                return rendered_by_transformers(source, arrange(texts))
        except Exception:  # a template can raise anything
            continue
    raise AssertionError("Transformers cannot render the conversation.")


def texts_of(messages: list[Message], tools: list[Tool]) -> list[RoleText]:
    """Return the roles and texts that a template with every role gets."""
    plain = "{% for m in messages %}\x1d{{ m.role }}\x1e{{ m.content }}{% endfor %}"
    parts = prompt.text(prompt.render(messages, tools, Template(plain, ()))).split("\x1d")[1:]
    pairs = (part.split("\x1e") for part in parts)
    return [(role, text) for role, text in pairs]


@lru_cache
def templates() -> dict[str, str]:
    """Return the templates that a GGUF file can render.

    The list `additional_special_tokens`, whose order matters, is not in GGUF files.
    """
    found = chat_templates.read_all()
    return {name: one for name, one in found.items() if "additional_special_tokens" not in one}


def mismatches(name: str) -> Iterator[str]:
    """Yield the conversations that a template writes differently than in Transformers."""
    source = templates()[name]
    for title, (messages, with_tool) in CONVERSATIONS.items():
        tools = [TOOL] if with_tool else []
        wanted = expected(source, texts_of(messages, tools))
        for tokens in ((), REASONING_TOKENS):
            template = Template(source, (), "<s>", "</s>", user_defined=tokens)
            if prompt.text(prompt.render(messages, tools, template)) != wanted:
                yield f"{name}: {title}"


def test_templates_of_sixty_families_are_read() -> None:
    assert len(templates()) >= 60
    assert all("{" in source for source in templates().values())


@pytest.mark.slow
def test_every_eighth_template_writes_what_it_writes_in_transformers() -> None:
    names = list(templates())[::8]
    assert [problem for name in names for problem in mismatches(name)] == []


@pytest.mark.slow
def test_every_template_writes_what_it_writes_in_transformers() -> None:
    assert [problem for name in templates() for problem in mismatches(name)] == []


REASONING = {
    "Qwen-Qwen3-0.6B",
    "Qwen-QwQ-32B",
    "GLM-4.6",
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B",
}


@pytest.mark.parametrize("name", sorted(REASONING))
def test_reasoning_of_earlier_answers_is_removed_by_templates_that_do_so(name: str) -> None:
    messages: list[Message] = [QUESTION]
    for _ in range(8):
        messages += [AssistantMessage(REASONED), UserMessage("Why?")]
    for tokens in ((), REASONING_TOKENS):
        template = Template(templates()[name], (), user_defined=tokens)
        rendered = prompt.text(prompt.render(messages, [], template))
        assert "They ask for the weather." not in rendered
        assert rendered.count("I cannot know.") == 8
