"""Templates that cannot read every role, or read messages in another form."""

from __future__ import annotations

import pytest

from xlam_local import prompt
from xlam_local.errors import PromptError
from xlam_local.prompt import Template
from xlam_local.types import (
    AssistantMessage,
    Message,
    SystemMessage,
    ToolCall,
    ToolCalls,
    ToolResult,
    UserMessage,
)

CALL = ToolCall("call_0", "f", {})
CALL_TEXT = '[{"name": "f", "arguments": {}}]'
CONVERSATION: list[Message] = [
    *(SystemMessage("S"), UserMessage("U"), ToolCalls((CALL,)), ToolResult(CALL, "R")),
    *(AssistantMessage("<t>x</t>A"), UserMessage("V")),
]
EVERY = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
SYSTEM, REST = "<system>S<user>U", f"<assistant>{CALL_TEXT}<tool>R<assistant><t>x</t>A<user>V"
NO_TOOL = REST.replace("<tool>", "<user>")
PARTS = "{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %}"
RENDERED = {
    "every role": (EVERY, SYSTEM + REST),
    "messages as lists of parts": (EVERY.replace("{{ m.content }}", PARTS), SYSTEM + REST),
    "lists of parts without a system role": (
        "{% if messages[0].role == 'system' %}{{ raise_exception('No system role.') }}{% endif %}"
        + EVERY.replace("{{ m.content }}", PARTS),
        "<user>S\n\nU" + NO_TOOL,
    ),
    "a role that is dropped": (
        EVERY.replace("messages", "messages if m.role != 'tool'"),
        SYSTEM + NO_TOOL,
    ),
    "tools that must be there": ("{% for t in tools %}{% endfor %}" + EVERY, SYSTEM + REST),
    "documents that must be there": ("{{ documents | length }}" + EVERY, "0" + SYSTEM + REST),
    "functions as text": ("{{ functions + '' }}" + EVERY, SYSTEM + REST),
    "answers without reasoning": (
        EVERY.replace("m.content", "m.content.split('</t>')[-1]"),
        SYSTEM + REST.replace("<t>x</t>", ""),
    ),
    "text in capitals around": (EVERY.replace("m.role", "m.role | upper"), None),
    "JSON in ASCII": ("{{ messages | tojson(ensure_ascii=true) }}", None),
}


@pytest.mark.parametrize("tokens", [(), ("<t>", "</t>", "<user>")], ids=["plain", "special"])
@pytest.mark.parametrize(("source", "expected"), RENDERED.values(), ids=RENDERED)
def test_a_conversation_is_passed_as_the_template_can_read_it(
    source: str, expected: str | None, tokens: tuple[str, ...]
) -> None:
    template = Template(source, (), user_defined=tokens)
    rendered = prompt.text(prompt.render(CONVERSATION, [], template))
    if expected is not None:
        assert rendered == expected
    assert "\ufdd0" not in rendered
    assert "ufdd0" not in rendered


@pytest.mark.parametrize(
    "source",
    [
        "{% for m in messages[-3:] %}{{ m.content }}{% endfor %}",
        "{% for m in messages if m.role != 'assistant' %}{{ m.content }}{% endfor %}",
        "{{ messages[0].content }}",
        "Hello.",
    ],
)
def test_a_template_that_omits_messages_in_every_arrangement_is_an_error(source: str) -> None:
    with pytest.raises(PromptError, match="it omits a message"):
        prompt.render(CONVERSATION, [], Template(source, ()))


def test_a_dropped_text_is_noticed_also_if_another_text_contains_it() -> None:
    messages: list[Message] = [UserMessage("abc"), ToolCalls((CALL,)), ToolResult(CALL, "b")]
    source = EVERY.replace("messages", "messages if m.role != 'tool'")
    rendered = prompt.text(prompt.render(messages, [], Template(source, ())))
    assert rendered == f"<user>abc<assistant>{CALL_TEXT}<user>b"


def test_a_token_that_only_text_contains_is_removed_from_no_answer() -> None:
    source = EVERY.replace("m.content", "m.content.split('</t>')[-1]")
    call = ToolCall("call_0", "f", {"x": "a</t>b"})
    messages: list[Message] = [
        UserMessage("a</t>b"),
        ToolCalls((call,)),
        ToolResult(call, "c</t>d"),
    ]
    rendered = prompt.text(
        prompt.render(messages, [], Template(source, (), user_defined=("</t>",)))
    )
    assert rendered == (
        '<user>a</t>b<assistant>[{"name": "f", "arguments": {"x": "a</t>b"}}]<tool>c</t>d'
    )
