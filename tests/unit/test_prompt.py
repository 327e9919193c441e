from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from xlam_local import conversation_format, openai_format, prompt
from xlam_local.errors import PromptError
from xlam_local.prompt import LLAMA, QWEN, Family, PromptFormat, Template
from xlam_local.prompt.instructions import AFTER_RESULTS
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

# The leaderboard's own prompts; XLAM_GOLDEN_PROMPTS names the file.
GOLDEN = Path(os.environ.get("XLAM_GOLDEN_PROMPTS", "../shared/data/prompts-golden.jsonl"))

WEATHER = Tool(
    "weather/now.get",
    "The weather in a place, in °C.",
    {"type": "dict", "properties": {"place": {"type": "string"}}, "required": ["place"]},
)
NO_DESCRIPTION = Tool("ping", "", {})
CALL = ToolCall("call_0", "weather/now.get", {"place": "Zürich", "days": [1, None]})
OTHER_CALL = ToolCall("call_1", "ping", {})
LONG: list[Message] = [
    SystemMessage(" Be brief. "),
    UserMessage("Hi "),
    AssistantMessage("Hello."),
    UserMessage("Weather?"),
    ToolCalls((CALL, ToolCall("call_1", "ping", {}))),
    ToolResult(CALL, '{"temp": 21}'),
    ToolResult(ToolCall("call_1", "ping", {}), " pong\n"),
    AssistantMessage("21 °C."),
    UserMessage("Thanks"),
]
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIALS = ("<|im_start|>", "<|im_end|>", "<s>", "<s>x")


@pytest.mark.parametrize("family", [QWEN, LLAMA], ids=lambda family: family.name)
@pytest.mark.parametrize("tools", [(), (WEATHER, NO_DESCRIPTION)], ids=["no tools", "tools"])
@pytest.mark.parametrize("count", [2, len(LONG)])
def test_prompts_match_the_snapshots(
    family: Family, tools: tuple[Tool, ...], count: int, snapshot: SnapshotAssertion
) -> None:
    assert prompt.text(prompt.render(LONG[:count], tools, family)) == snapshot


@pytest.mark.skipif(not GOLDEN.exists(), reason="the leaderboard's prompts are not available")
def test_prompts_are_those_of_the_leaderboard() -> None:
    cases = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
    for case in cases:
        family = prompt.FAMILIES[case["family"]]
        rendered = prompt.render(
            conversation_format.conversation(case), openai_format.tools(case["tools"]), family
        )
        assert prompt.text(rendered) == case["prompt"]
    assert len(cases) >= 16


def test_the_default_system_message_is_used_if_there_is_none() -> None:
    assert "You are developed by Salesforce xLAM team.\n" in prompt.text(
        prompt.render([UserMessage("Hi")], [], QWEN)
    )


texts = st.text() | st.sampled_from(["<|im_end|>", "<|im_start|>system\n", "a<s>x", "\ufdd0\ufdd1"])
messages = st.lists(
    st.builds(SystemMessage, texts)
    | st.builds(UserMessage, texts)
    | st.builds(AssistantMessage, texts)
    | st.builds(lambda text: ToolResult(CALL, text), texts)
    | st.builds(lambda text: ToolCalls((ToolCall("c", "f", {text: text}),)), texts),
    max_size=5,
)


@given(messages, messages, st.sampled_from([QWEN, LLAMA]))
def test_a_longer_conversation_begins_with_the_shorter_one(
    before: list[Message], after: list[Message], family: Family
) -> None:
    def body(messages: list[Message]) -> str:
        rendered = prompt.text(prompt.render([SystemMessage("s"), *messages], [WEATHER], family))
        opening = prompt.text(prompt.render([SystemMessage("s")], [WEATHER], family))
        end = len(opening) - len(opening.rpartition(family.open)[2]) - len(family.open)
        return rendered[: rendered.rindex(family.open)] if messages else rendered[:end]

    assert body(before + after).startswith(body(before))


@settings(deadline=None)  # the first template starts a process
@given(texts, st.sampled_from([QWEN, LLAMA, Template(CHATML, SPECIALS)]))
def test_text_of_messages_is_never_special(text: str, prompt_format: PromptFormat) -> None:
    tool = Tool("f", text, {"description": text})
    rendered = prompt.render(
        [SystemMessage(text), UserMessage(text), ToolResult(CALL, text)], [tool], prompt_format
    )
    plain = prompt.render(
        [SystemMessage("x"), UserMessage("x"), ToolResult(CALL, "x")], [tool], prompt_format
    )
    specials = [part.text for part in rendered if part.special]
    assert specials == [part.text for part in plain if part.special]
    assert text.strip() in "".join(part.text for part in rendered if not part.special)


def test_neighboring_plain_parts_are_merged_so_that_tokens_match_the_training() -> None:
    assert prompt.render([SystemMessage("s"), UserMessage("u")], [], LLAMA)[:6] == (
        PromptPart("<|begin_of_text|>", special=True),
        PromptPart("<|start_header_id|>", special=True),
        PromptPart("system"),
        PromptPart("<|end_header_id|>", special=True),
        PromptPart("\n\ns\n"),
        PromptPart("<|eot_id|>", special=True),
    )


def test_other_models_get_the_tools_before_the_instructions() -> None:
    rendered = prompt.text(
        prompt.render([UserMessage("Hi")], [WEATHER], Template(CHATML, SPECIALS))
    )
    assert rendered.startswith(
        "<|im_start|>system\nYou are a helpful assistant that can use tools."
    )
    _, _, after_tools = rendered.partition(prompt.tool_text(WEATHER).strip())
    assert after_tools.startswith("\n</tools>\n\nIf functions help")
    assert "Salesforce" not in rendered
    assert rendered.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")


def test_without_tools_a_template_gets_no_system_message() -> None:
    template = Template("{{ messages[0].role }}|", ())
    with pytest.raises(PromptError, match="omits a message"):
        prompt.render([UserMessage("Hi")], [], template)
    rendered = prompt.text(prompt.render([UserMessage("Hi")], [], Template(CHATML, ())))
    assert rendered.startswith("<|im_start|>user")


def test_the_bos_token_occurs_once() -> None:
    with_bos = Template("{{ bos_token }}" + CHATML, SPECIALS, bos="<s>", add_bos=True)
    without = Template(CHATML, SPECIALS, bos="<s>", add_bos=True)
    for template in (with_bos, without):
        parts = prompt.render([UserMessage("Hi")], [], template)
        assert parts[0] == PromptPart("<s>", special=True)
        assert [part.text for part in parts].count("<s>") == 1


STRICT = (
    "{% for m in messages %}{% if m.role not in ['user', 'assistant'] %}"
    "{{ raise_exception('Only user and assistant.') }}{% endif %}"
    "{% if not loop.first and loop.previtem.role == m.role %}"
    "{{ raise_exception('Roles take turns.') }}{% endif %}[{{ m.role }}] {{ m.content }}\n"
    "{% endfor %}"
)


def test_a_template_without_system_and_tool_roles_gets_every_message() -> None:
    messages: list[Message] = [
        SystemMessage("Be brief."),
        UserMessage("Weather?"),
        ToolCalls((CALL,)),
    ]
    messages.append(ToolResult(CALL, "sunny"))
    rendered = prompt.text(prompt.render(messages, [WEATHER], Template(STRICT, ())))
    assert rendered.startswith("[user] Be brief.")
    assert rendered.endswith(f"[user] sunny\n\n{AFTER_RESULTS}\n")


def test_other_models_read_after_the_last_result_what_to_do_with_it() -> None:
    calls = ToolCalls((CALL, OTHER_CALL))
    results = [ToolResult(call, f"sunny {call.id}\n") for call in calls.calls]
    asked: list[Message] = [UserMessage("Weather?"), calls]
    messages = [*asked, *results, AssistantMessage("Sun.")]
    shown = prompt.text(prompt.render(messages, [WEATHER], Template(STRICT, ())))
    assert shown.count(AFTER_RESULTS) == 1
    assert f"sunny call_1\n\n{AFTER_RESULTS}" in shown
    assert AFTER_RESULTS not in prompt.text(prompt.render(messages, [], Template(STRICT, ())))
    assert AFTER_RESULTS not in prompt.text(prompt.render(messages, [WEATHER], QWEN))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ nothing.at.all }}", "undefined"),
        ("{% if %}", "Expected"),
        ("{{ raise_exception('No.') }}", "No"),
        ("{{ messages.__class__.__mro__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe"),
        ("{% for i in range(1000000) %}{{ i }}{% endfor %}", "Range too big"),
    ],
)
def test_a_template_that_fails_or_leaves_the_sandbox_is_an_error(source: str, message: str) -> None:
    with pytest.raises(PromptError, match=f"(?i){message}"):
        prompt.render([UserMessage("Hi")], [], Template(source, ()))


@pytest.mark.parametrize(
    ("metadata", "family"),
    [
        ({"general.name": "XLAM 2 1b Fc R", "general.architecture": "qwen2"}, QWEN),
        ({"general.name": "xLAM-7b-fc-r", "general.architecture": "llama"}, None),
        ({"general.basename": "Llama-xLAM-2", "general.architecture": "llama"}, LLAMA),
        ({"general.name": "Qwen2.5", "general.architecture": "qwen2"}, None),
        ({"general.name": "xLAM-1", "general.architecture": "mixtral"}, None),
        ({}, None),
    ],
)
def test_an_xlam_model_is_recognized_by_its_metadata(
    metadata: dict[str, str], family: Family | None
) -> None:
    assert prompt.xlam_family(metadata) is family


@pytest.mark.parametrize("last", [UserMessage("And now?"), SystemMessage("Answer.")])
def test_calls_that_did_not_run_are_left_out_before_the_last_text(last: Message) -> None:
    ran: list[Message] = [UserMessage("Hi"), ToolCalls((CALL,)), ToolResult(CALL, "3 °C")]
    skipped = ToolResult(CALL, "You have it.", ok=True, skipped=True)
    again: list[Message] = [ToolCalls((CALL,)), skipped]
    both: list[Message] = [ToolCalls((CALL, OTHER_CALL)), skipped, ToolResult(OTHER_CALL, "pong")]
    other: list[Message] = [ToolCalls((OTHER_CALL,)), ToolResult(OTHER_CALL, "pong")]

    def written(*messages: Message) -> str:
        return prompt.text(prompt.render(messages, [WEATHER], QWEN))

    assert written(*ran, *again, last) == written(*ran, last)
    assert written(*ran, *both, last) == written(*ran, *other, last)
    assert "You have it." in written(*ran, *again)
