from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlam_local.agent.reply_parser import ReplyParser
from xlam_local.errors import InvalidReply
from xlam_local.types import AssistantMessage, Reply, TextDelta, ToolCall, ToolCallDelta, ToolCalls

ADD: dict[str, Any] = {"name": "add", "arguments": {"a": 2, "b": [1, None]}}
HI = {"name": "say/hi.now", "arguments": {}}
CALL = ToolCall("call_0", "add", {"a": 2, "b": [1, None]})
TOOLS = ("add", "say/hi.now")


def parse_deltas(
    deltas: list[str], tools: Collection[str] = TOOLS
) -> tuple[list[TextDelta | ToolCallDelta], Reply | str]:
    parser = ReplyParser(tools)
    events = [event for delta in deltas for event in parser.feed(delta)]
    events.extend(parser.flush())
    try:
        return events, parser.reply()
    except InvalidReply as error:
        return events, str(error)


def parse(text: str, tools: Collection[str] = TOOLS, first_id: int = 0) -> Reply:
    parser = ReplyParser(tools)
    assert "".join(event.text for event in [*parser.feed(text), *parser.flush()]) == text
    return parser.reply(first_id)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([ADD]),
        json.dumps(ADD),
        json.dumps([ADD], indent=2),
        f"```json\n{json.dumps([ADD])}\n```",
        f"```json\r\n{json.dumps([ADD])}\r\n```\r\n",
        f"```\n{json.dumps(ADD)}```",
        f"<tool_call>\n{json.dumps(ADD)}\n</tool_call>",
        f"[TOOL_CALLS]{json.dumps([ADD])}",
        f"[TOOL_CALLS] {json.dumps([ADD])}",
        f"<|python_tag|>{json.dumps(ADD)}",
        f"<|tool_call|>{json.dumps([ADD])}",
        f"<tool_call>\n```json\n{json.dumps(ADD)}\n```\n</tool_call>",
        f"<|tool_call|>{json.dumps([ADD])}<|/tool_call|>",
        f"<|tool_call_start|>{json.dumps([ADD])}<|tool_call_end|>",
        f"<|START_ACTION|>{json.dumps([ADD])}<|END_ACTION|>",
        f"<|action_start|><|plugin|>{json.dumps(ADD)}<|action_end|>",
        f"<TOOLCALL>{json.dumps([ADD])}</TOOLCALL>",
        f" functools{json.dumps([ADD])}",
        f"[TOOL_CALLS]{json.dumps([ADD])}[/TOOL_CALLS]",
        f"{json.dumps([ADD])}}}]",
        f"{json.dumps([ADD])}<|im_end|>",
        f"{json.dumps(ADD)}</s>",
        f"[TOOL_CALLS] \n{json.dumps([ADD])}</s>",
        f"<tool_call>{json.dumps(ADD)}</tool_call><end_of_turn>\n",
        f"{json.dumps([ADD])}<tool_call>\n</tool_call>",
        json.dumps({"role": "assistant", "content": None, "tool_calls": [ADD]}),
        json.dumps({"action": "add", "action_input": ADD["arguments"]}),
        json.dumps({"tool": "add", "tool_input": ADD["arguments"]}),
        json.dumps({"tool_calls": [ADD]}),
        json.dumps({"tool_calls": [{"id": "a", "type": "function", "function": ADD}]}),
        json.dumps({"function_call": ADD}),
        json.dumps({"type": "function", "function": ADD}),
        json.dumps({"arguments": ADD["arguments"], "name": "add"}),
        json.dumps({"id": "x", **ADD}),
        json.dumps({"type": "function", "name": "add", "parameters": ADD["arguments"]}),
        json.dumps({"function": "add", "parameters": ADD["arguments"]}),
        json.dumps({"tool": "add", "args": ADD["arguments"]}),
        '{"name": "add", "parameters": {"a": 2, "b": [1, null]}}',
        '{"name": "add", "arguments": "{\\"a\\": 2, \\"b\\": [1, null]}"}',
        f"[{json.dumps(ADD)}",
        f"[{json.dumps(ADD)},]",
    ],
)
def test_a_call_is_parsed_in_every_form_that_models_write(text: str) -> None:
    assert parse(text) == ToolCalls((CALL,))
    assert parse(f"\n {text}") == ToolCalls((CALL,))
    thought = "<think>\nI may call add.\n</think>"
    assert parse(f"{thought}\n{text}") == ToolCalls((CALL,), thought)


def test_parallel_calls_keep_their_order_and_are_numbered() -> None:
    both = (
        ToolCall("call_3", "add", ADD["arguments"]),
        ToolCall("call_4", "say/hi.now", {}),
    )
    assert parse(json.dumps([ADD, HI]), first_id=3) == ToolCalls(both)
    assert parse(f"{json.dumps(ADD)}; {json.dumps(HI)}", first_id=3) == ToolCalls(both)
    assert parse(f"{json.dumps([ADD])}\n{json.dumps([HI])}", first_id=3) == ToolCalls(both)
    tags = [f"<tool_call>\n{json.dumps(call)}\n</tool_call>" for call in (ADD, HI)]
    assert parse("\n".join(tags), first_id=3) == ToolCalls(both)


def test_text_around_calls_is_kept() -> None:
    text = f"Let me see.\n{json.dumps([ADD])}\n\nThat is it."
    assert parse(text) == ToolCalls((CALL,), "Let me see.\nThat is it.")
    beside = json.dumps({"tool_calls": [ADD], "content": "Let me see."})
    assert parse(beside) == ToolCalls((CALL,), "Let me see.")
    tagged = f"Let me see. <tool_call>{json.dumps(ADD)}</tool_call>"
    assert parse(tagged) == ToolCalls((CALL,), "Let me see.")
    assert parse(f'{json.dumps(ADD)}\n{{"note": 1}}') == ToolCalls((CALL,), '{"note": 1}')
    assert parse(f'{json.dumps([ADD])}\n[{{"sum": 3}}]') == ToolCalls((CALL,), '[{"sum": 3}]')
    assert parse(f"{json.dumps([ADD])}\n[x] is done") == ToolCalls((CALL,), "[x] is done")


@pytest.mark.parametrize("arguments", ["null", '""', "{}", '"{}"'])
def test_missing_arguments_are_no_arguments(arguments: str) -> None:
    text = f'[{{"name": "say/hi.now", "arguments": {arguments}}}]'
    assert parse(text) == ToolCalls((ToolCall("call_0", "say/hi.now", {}),))


DEFINITION = {"name": "add", "description": "Add.", "parameters": {"type": "object"}}
SCHEMA = {"name": "add", "parameters": {"type": "object", "properties": {"a": {}}}}
TEXTS_WITHOUT_CALLS = [
    "Hello, it is [not] a {call}.",
    "[]",
    "",
    '[{"name": "Bob", "age": 3}]',
    '[{"name": "add", "name": "rm", "arguments": {}}]',
    'Bob: {"name": "Bob"}',
    '{"name": x}',
    '[{"name": 3}, 4]',
    '[{"name": "f", "arguments": 3}]',
    '{"name": "Ann", "parameters": {"height": 170}}',
    "[" * 3000,
    "```python\nprint({})\n```",
    '```json\n{"name": "my-app", "version": "1.0.0"}\n```',
    '```json\n[{"name": "alice", "age": 30}, {"name": "bob", "age": 31}]\n```',
    f"Here it is:\n```json\n{json.dumps(DEFINITION)}\n```",
    json.dumps(DEFINITION),
    json.dumps([DEFINITION]),
    json.dumps(SCHEMA),
    json.dumps({"type": "function", "function": DEFINITION}),
    json.dumps({"type": "function", "function": SCHEMA}),
    f"You would send {json.dumps([ADD])} and get a sum.",
    f"You would send `{json.dumps(ADD)}`.",
    f"For example:\n```json\n{json.dumps([ADD])}\n```\nThis adds.",
    f"For example:\n\n```\n{json.dumps(ADD)}\n```",
    f"1. Write {json.dumps([ADD])}\n2. Wait.",
    f"> {json.dumps([ADD])}",
    f'The log says "{json.dumps([ADD])}".',
    f"The tag <tool_call> stands before calls, as in {json.dumps([ADD])}.",
    f"<think>I could send {json.dumps(ADD)}, but no.</think>Hello!",
    f"<think>\n{json.dumps([ADD])}\n</think>\n\nHello!",
    f"<think>{json.dumps([ADD])}",
    f"[THINK]{json.dumps([ADD])}[/THINK]Hello!",
    f"<thought>\n{json.dumps([ADD])}\n</thought>Hello!",
    f"<seed:think>\n{json.dumps([ADD])}\n</seed:think>Hello!",
    f"\u25c1think\u25b7\n{json.dumps([ADD])}\n\u25c1/think\u25b7Hello!",
    f"<|START_THINKING|>\n{json.dumps([ADD])}<|END_THINKING|>Hello!",
    f"<|channel|>analysis<|message|>I may\n{json.dumps([ADD])}<|end|>Hello!",
    json.dumps({"name": "add", "parameters": {"a": {"type": "integer"}}}),
    f"Models write `<tool_call>{json.dumps(ADD)}</tool_call>`.",
    f"Models write:\n```\n<tool_call>\n{json.dumps(ADD)}\n</tool_call>\n```\nThat is it.",
    f"Models write:\n~~~\n{json.dumps([ADD])}\n~~~\nThat is it.",
    f'The tag "<tool_call>" begins one: "<tool_call>{json.dumps(ADD)}</tool_call>".',
]


@pytest.mark.parametrize("text", TEXTS_WITHOUT_CALLS)
def test_text_without_calls_is_an_answer(text: str) -> None:
    assert parse(text) == AssistantMessage(text)


@pytest.mark.parametrize("text", [*TEXTS_WITHOUT_CALLS, json.dumps([ADD]), '[{"name": "add", "ar'])
def test_without_tools_everything_is_text(text: str) -> None:
    assert parse(text, ()) == AssistantMessage(text)


@pytest.mark.parametrize("text", TEXTS_WITHOUT_CALLS)
def test_text_without_calls_is_an_answer_in_single_characters(text: str) -> None:
    assert parse_deltas(list(text))[1] == AssistantMessage(text)


@pytest.mark.parametrize("end", ["</think>", "[/THINK]", "</seed:think>", "<|END_THINKING|>"])
def test_reasoning_that_the_prompt_opened_ends_with_its_own_tag(end: str) -> None:
    parser = ReplyParser(TOOLS, in_reasoning=True)
    thought = f"I may send\n{json.dumps([ADD])}\n{end}"
    events = [*parser.feed(f"{thought}{json.dumps([ADD])}"), *parser.flush()]
    assert events == [TextDelta(thought), ToolCallDelta(json.dumps([ADD]))]


def test_a_reply_may_begin_inside_reasoning() -> None:
    thought = f"I may send {json.dumps([ADD])}\n{json.dumps([ADD])}\n</think>"
    parser = ReplyParser(TOOLS, in_reasoning=True)
    events = [*parser.feed(thought), *parser.feed(json.dumps([ADD]))]
    assert events == [TextDelta(thought), ToolCallDelta(json.dumps([ADD]))]
    assert parser.reply() == ToolCalls((CALL,), thought)
    answer = ReplyParser(TOOLS, in_reasoning=True)
    assert list(answer.feed(f"{thought} No.")) == [TextDelta(f"{thought} No.")]
    assert answer.reply() == AssistantMessage(f"{thought} No.")


@pytest.mark.parametrize(
    "text",
    [
        '[{"name": "add", "argum',
        '[{"name": "add", "arguments": {"a": 2,}}]',
        f'[{json.dumps(ADD)}, {{"name": "add", "arguments": {{"a"',
        'I call\n[{"name": "add", "arguments": {',
        '[{"name": "add", "arguments": ' + '{"a": ' * 3000,
        '[{"name": "f", "arguments": "{"}]',
    ],
)
def test_an_incomplete_call_is_an_error(text: str) -> None:
    with pytest.raises(InvalidReply, match=r"cannot be parsed|is incomplete"):
        parse(text)


@pytest.mark.parametrize("levels", [90, 110, 970, 980, 100_000])
def test_the_nesting_of_arguments_is_limited(levels: int) -> None:
    inner = f'{{"x": {"[" * levels + "]" * levels}}}'
    text = f'[{{"name": "f", "arguments": {inner}}}]'
    as_string = f'[{{"name": "f", "arguments": {json.dumps(inner)}}}]'
    if levels < 100:
        assert parse(text) == parse(as_string)
        assert isinstance(parse(text), ToolCalls)
        return
    for either in (text, as_string):
        with pytest.raises(InvalidReply, match="cannot be parsed"):
            parse(either)


def test_text_is_passed_on_at_once_and_calls_are_separated() -> None:
    parser = ReplyParser(TOOLS)
    assert list(parser.feed("Sure.\n")) == [TextDelta("Sure.\n")]
    assert list(parser.feed('[{"na')) == []
    assert list(parser.feed('me": "add", "arguments": {')) == [
        ToolCallDelta('[{"name": "add", "arguments": {')
    ]
    assert list(parser.feed("}}]")) == [ToolCallDelta("}}]")]
    assert list(parser.flush()) == []
    assert parser.reply() == ToolCalls((ToolCall("call_0", "add", {}),), "Sure.")


def test_text_that_was_held_back_is_flushed_at_the_end() -> None:
    events, reply = parse_deltas(["See\n[", "{"])
    assert "".join(event.text for event in events) == "See\n[{"
    assert reply == AssistantMessage("See\n[{")


FRAGMENTS = [
    "Hi ",
    "[",
    "{",
    '"name": "',
    '"na',
    "```",
    "json\n",
    "`",
    "<tool_call>",
    "<to",
    "]",
    "é",
    "(",
    "<code>",
    "</code>",
    "<function=add>",
    "[add(",
    "a=1)",
    "</function>",
]
CALLS = [json.dumps(ADD), json.dumps([ADD, HI]), json.dumps([HI], indent=1), "; ", "\n", ", "]
TEXTS = st.lists(st.sampled_from([*FRAGMENTS, *CALLS]), max_size=8).map("".join)


@given(TEXTS, st.data())
def test_a_reply_is_the_same_in_any_deltas(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    deltas = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    events, reply = parse_deltas(deltas)
    whole_events, whole_reply = parse_deltas([text])
    assert reply == whole_reply
    assert _merged(events) == _merged(whole_events)
    assert "".join(event.text for event in events) == text


def _merged(events: list[TextDelta | ToolCallDelta]) -> list[tuple[type, str]]:
    merged: list[tuple[type, str]] = []
    for event in events:
        if merged and merged[-1][0] is type(event):
            merged[-1] = (type(event), merged[-1][1] + event.text)
        else:
            merged.append((type(event), event.text))
    return merged


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ('{"a": 1, "a": 2}', "/a is written twice"),
        ('{"x": [0, {"b": 1, "b": 1}]}', "/x/1/b is written twice"),
        (r'{"x": ["\ud83d"]}', "/x/0 has half of a surrogate pair"),
        (r'{"\udc00": 1}', "/ has half of a surrogate pair"),
        ('{"x": {"y": NaN}}', "/x/y is not a number that JSON can hold"),
        ('{"x": 1e999}', "/x is not a number that JSON can hold"),
        ('{"x": -Infinity}', "/x is not a number that JSON can hold"),
        (f'{{"x": {"9" * 5000}}}', "an integer has too many digits"),
        (f'{{"x": {"[" * 150 + "]" * 150}}}', "it is nested more than 100 levels deep"),
        (f'{{"x": {"[" * 100_000}', "it is nested more than 100 levels deep"),
        ('{"x": 1,}', "character "),
    ],
)
def test_what_is_wrong_with_arguments_is_told_with_its_place(arguments: str, problem: str) -> None:
    add = json.dumps(ADD)
    inside = f"/arguments{problem}" if problem.startswith("/") else problem
    inside = inside.replace("arguments/ has", "arguments has")
    with pytest.raises(InvalidReply, match=re.escape(f"cannot be parsed (call 2, {inside}")):
        parse(f'[{add}, {{"name": "add", "arguments": {arguments}}}]')
    quoted = json.dumps(arguments)
    with pytest.raises(InvalidReply, match=re.escape(f"(call 2, /arguments: {problem}")):
        parse(f'[{add}, {{"name": "add", "arguments": {quoted}}}]')


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        ('{"name": "say/hi.now"}', "'say/hi.now': it has no arguments"),
        ('{"name": "add", "arguments": [1]}', "/arguments: it is not an object"),
        ('{"name": "add", "name": "say/hi.now", "arguments": {}}', "/name is written twice"),
        ('{"name": "add", "arguments": {}, "arguments": {"a": 1}}', "/arguments is written twice"),
        (json.dumps(DEFINITION), "'add': it is the definition of a tool"),
        (json.dumps(SCHEMA), "'add': it is the definition of a tool"),
    ],
)
def test_a_second_call_that_is_none_is_an_error(second: str, problem: str) -> None:
    with pytest.raises(InvalidReply, match=re.escape(f"(call 2, {problem}")):
        parse(f"[{json.dumps(ADD)}, {second}]")


def test_whole_surrogate_pairs_are_characters() -> None:
    text = r'[{"name": "add", "arguments": {"a": "\ud83d\ude00"}}]'
    assert parse(text) == ToolCalls((ToolCall("call_0", "add", {"a": "\U0001f600"}),))
