"""Calls in which the name of the tool stands outside the JSON, and texts that look like them."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from xlam_local.agent.reply_parser import ReplyParser
from xlam_local.errors import InvalidReply
from xlam_local.grammar import CallDetector
from xlam_local.types import AssistantMessage, Reply, TextDelta, ToolCall, ToolCalls

SCHEMAS: dict[str, dict[str, Any]] = {
    "get_weather": {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "zip": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "days": {"type": "integer"},
            "units": {"type": "array"},
        },
    },
    "list_files": {"type": "object"},
}
ROME = '{"city": "Rome"}'
ARRAY = f'[{{"name": "get_weather", "arguments": {ROME}}}]'
CALL = ToolCall("call_0", "get_weather", {"city": "Rome"})


def parse(text: str, step: int = 1, tools: dict[str, Any] = SCHEMAS) -> Reply:
    parser = ReplyParser(tools, schemas=tools)
    events = [
        event
        for start in range(0, len(text), step)
        for event in parser.feed(text[start : start + step])
    ]
    events += parser.flush()
    assert "".join(event.text for event in events) == text
    return parser.reply()


SPELLINGS = [
    f"<function=get_weather>{ROME}</function>",
    "<function=get_weather>\n<parameter=city>\nRome\n</parameter>\n</function>",
    "<tool_call>\n<function=get_weather>\n<parameter=city>\nRome\n</parameter>\n</function>\n"
    "</tool_call>",
    '[get_weather(city="Rome")]',
    "[get_weather(city='Rome')]",
    '<|python_start|>[get_weather(city="Rome")]<|python_end|>',
    '<|tool_call_start|>[get_weather(city="Rome")]<|tool_call_end|>',
    '<function_calls>\nget_weather(city="Rome")\n</function_calls>',
    f"[TOOL_CALLS]get_weather[ARGS]{ROME}",
    f"[TOOL_CALLS]get_weather[CALL_ID]a1B2[ARGS]{ROME}",
    f"[TOOL_CALLS]get_weather{ROME}",
    "<\uff5ctool\u2581calls\u2581begin\uff5c><\uff5ctool\u2581call\u2581begin\uff5c>function"
    f"<\uff5ctool\u2581sep\uff5c>get_weather\n```json\n{ROME}\n```"
    "<\uff5ctool\u2581call\u2581end\uff5c><\uff5ctool\u2581calls\u2581end\uff5c>",
    "<\uff5ctool\u2581calls\u2581begin\uff5c><\uff5ctool\u2581call\u2581begin\uff5c>get_weather"
    f"<\uff5ctool\u2581sep\uff5c>{ROME}<\uff5ctool\u2581call\u2581end\uff5c>",
    "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0"
    f"<|tool_call_argument_begin|>{ROME}<|tool_call_end|><|tool_calls_section_end|>",
    "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Rome</arg_value>\n</tool_call>",
    '<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="city">Rome</parameter>\n'
    "</invoke>\n</minimax:tool_call>",
    '<function_calls>\n<invoke name="get_weather">\n<parameter name="city">Rome</parameter>\n'
    "</invoke>\n</function_calls>",
    f"<tool_calls><tool_call>get_weather\n```json\n{ROME}\n```</tool_call></tool_calls>",
]


@pytest.mark.parametrize("text", SPELLINGS)
@pytest.mark.parametrize("step", [1, 1000])
def test_a_named_call_is_read_in_every_spelling(text: str, step: int) -> None:
    assert parse(text, step) == ToolCalls((CALL,))
    thought = "<think>Hm.</think>"
    assert parse(f"{thought}\n{text}\n", step) == ToolCalls((CALL,), thought)


@pytest.mark.parametrize("text", SPELLINGS)
def test_a_named_call_opens_calls_early(text: str) -> None:
    detector = CallDetector(SCHEMAS, early=True)
    detector.feed(text)
    assert detector.opening == 0


@pytest.mark.parametrize("text", SPELLINGS)
def test_a_named_call_is_text_in_code_or_without_tools(text: str) -> None:
    for quoted in (f"Models write:\n~~~\n{text}\n~~~", f"As in <code>{text}</code>.", f"({text})"):
        assert parse(quoted) == AssistantMessage(quoted)
    assert parse(text, tools={}) == AssistantMessage(text)
    other = text.replace("get_weather", "get_time")
    assert parse(other) == AssistantMessage(other)
    thought = f"<think>{text}</think>No."
    assert parse(thought) == AssistantMessage(thought)


def test_several_named_calls_are_read_in_order() -> None:
    both = ToolCalls((CALL, ToolCall("call_1", "list_files", {})))
    assert parse('[get_weather(city="Rome"), list_files()]') == both
    assert (
        parse(f"<function=get_weather>{ROME}</function><function=list_files>{{}}</function>")
        == both
    )
    assert parse(f"[TOOL_CALLS]get_weather[ARGS]{ROME}[TOOL_CALLS]list_files[ARGS]{{}}") == both
    empty = "<tool_call><function=list_files>\n</function></tool_call>"
    assert parse(f"<tool_call>{SPELLINGS[1]}</tool_call>\n{empty}") == both
    after = parse('[get_weather(city="Rome")]\nSee list(x=1).')
    assert after == ToolCalls((CALL,), "See list(x=1).")
    before = parse(f"Let me see.\n<function=get_weather>{ROME}</function>")
    assert before == ToolCalls((CALL,), "Let me see.")


def test_values_without_a_type_are_read_by_the_schema() -> None:
    values = {
        "city": "12",
        "zip": "00501",
        "days": "3",
        "units": '["C"]',
        "more": "true",
        "x": "a\nb",
    }
    expected = {"city": "12", "zip": "00501", "days": 3, "units": ["C"], "more": True, "x": "a\nb"}
    parameters = "".join(
        f"<parameter={key}>\n{text}\n</parameter>\n" for key, text in values.items()
    )
    qwen = f"<function=get_weather>\n{parameters}</function>"
    arguments = "".join(
        f"<arg_key>{key}</arg_key><arg_value>{text}</arg_value>" for key, text in values.items()
    )
    for text in (qwen, f"<tool_call>get_weather{arguments}</tool_call>"):
        assert parse(text) == ToolCalls((ToolCall("call_0", "get_weather", expected),))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("a=-1, b=2.5, c=None, d=True", {"a": -1, "b": 2.5, "c": None, "d": True}),
        ("a=null, b=true, c=[false]", {"a": None, "b": True, "c": [False]}),
        ("a={'b': ('c', [])}", {"a": {"b": ["c", []]}}),
        ("a=')](', b=\"it's\"", {"a": ")](", "b": "it's"}),
        (r"a='\d\n\'', b='\\'", {"a": "\\d\n'", "b": "\\"}),
        ('a="""x"""', {"a": "x"}),
    ],
)
def test_arguments_in_python_are_read(written: str, expected: dict[str, Any]) -> None:
    assert parse(f"[get_weather({written})]") == ToolCalls(
        (ToolCall("call_0", "get_weather", expected),)
    )


@pytest.mark.parametrize(
    "text",
    [
        "[get_weather(city='Rome'",
        "[get_weather(city=Rome)]",
        "[get_weather(city=b'x')]",
        "[get_weather(city={1: 2})]",
        "[get_weather(city={**x})]",
        "[get_weather(city=1e999)]",
        "[get_weather(city='x', **more)]",
        "[get_weather(city=f())]",
        f"[get_weather(city={'[' * 150 + ']' * 150})]",
        f"[get_weather(city={'[' * 9000})]",
        "<function=get_weather><parameter=city>Rome</function>",
        '<function=get_weather>{"city": }</function>',
        f"[TOOL_CALLS]get_weather[ARGS]{ROME[:-2]}",
        "<tool_call>get_weather<arg_key>city</arg_key></tool_call>",
    ],
)
def test_a_named_call_that_cannot_be_read_is_an_error(text: str) -> None:
    with pytest.raises(InvalidReply, match="cannot be parsed"):
        parse(text)


@pytest.mark.parametrize("number", ["1e400", "-1e999", "NaN", "Infinity", "-Infinity", "[1e400]"])
def test_a_number_that_json_cannot_hold_is_an_error(number: str) -> None:
    arguments = f'{{"days": {number}}}'
    for written in (arguments, json.dumps(arguments)):
        with pytest.raises(InvalidReply, match="cannot be parsed"):
            parse(f'[{{"name": "get_weather", "arguments": {written}}}]')


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[get_weather(days=1, days=2)]", "'days' is written twice"),
        ("[get_weather(city={'x': 1, 'x': 2})]", "'x' is written twice"),
        (r"[get_weather(city='\ud83d')]", "/city has half of a surrogate pair"),
        (r'<function=get_weather>{"city": "\ud83d"}</function>', "/city has half of a surrogate"),
        ('<function=get_weather>{"city": 1, "city": 2}</function>', "/city is written twice"),
        (
            "<function=get_weather><parameter=city>a</parameter><parameter=city>b</parameter>"
            "</function>",
            "/city is written twice",
        ),
        ("[get_weather(city=f())]", "its arguments are not JSON values"),
    ],
)
def test_what_is_wrong_with_a_named_call_is_told(text: str, problem: str) -> None:
    with pytest.raises(InvalidReply, match=re.escape(f"cannot be parsed (call 1, {problem}")):
        parse(text)


OBJECT = '"type": "object", "properties": {"city": {"type": "string"}}'
TEXTS = [
    "[get_weather(city)](docs.md) tells more.",
    '`[get_weather(city="Rome")]` is how it is called.',
    "<tool_call>get_weather is what I would write.",
    "<function=get_weather> is how Llama begins a call.",
    "<tool_call> is the tag that begins a call.",
    '{"name": "get_weather", "title": "Weather", "inputSchema": {"type": "object"}}',
    f'{{"name": "get_weather", "strict": true, "parameters": {{{OBJECT}}}}}',
    f'{{"type": "function", "name": "get_weather", "strict": true, "parameters": {{{OBJECT}}}}}',
    f'```json\n{{"name": "get_weather", "type": "function", "parameters": {{{OBJECT}}}}}\n```',
    '{"name": "get_weather", "annotations": {"readOnlyHint": true}}',
    '{"name": "get_weather", "parameter_definitions": {"city": {"type": "str"}}}',
    f'{{"name": "get_weather", "parameters": {{"title": "W", "description": "D", {OBJECT}}}}}',
    '{"name": "get_weather", "parameters": {"type": ["object", "null"]}}',
    '{"name": "get_weather", "parameters": {"type": "OBJECT", "properties": {}}}',
    '{"name": "get_weather", "parameters": {"allOf": [{"type": "object"}]}}',
    '{"name": "get_weather", "parameters": {"$ref": "#/$defs/x"}}',
    '{"name": "get_weather", "parameters": {"city": {"type": "STRING"}}}',
    '{"name": "get_weather", "parameters": {"city": {"description": "C", "type": "string"}}}',
    '{"name": "get_weather", "parameters": {"city": {"type": ["string", "null"]}}}',
    f"As in <code><tool_call>{ARRAY}</tool_call></code>.",
    f"As in:\n<pre class='x'>\n{ARRAY}\n</pre>\nThat is it.",
    f"So: \u201e<tool_call>{ARRAY}</tool_call>\u201c",
    f"\u300c<tool_call>{ARRAY}</tool_call>\u300d",
    f"The form (<tool_call>{ARRAY}</tool_call>) is used.",
    f"<analysis>\n{ARRAY}\n</analysis>\nNo.",
    f"<scratch_pad>\n{ARRAY}\n</scratch_pad>\nNo.",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("step", [1, 1000])
def test_what_only_looks_like_a_call_is_text(text: str, step: int) -> None:
    assert parse(text, step) == AssistantMessage(text)


@pytest.mark.parametrize("text", [text for text in TEXTS if not text.startswith("<function")])
def test_what_only_looks_like_a_call_opens_none_early(text: str) -> None:
    detector = CallDetector(SCHEMAS, early=True)
    assert "".join(map(detector.feed, text)) + detector.flush() == text
    assert detector.opening is None


@pytest.mark.parametrize(
    "arguments",
    [
        '{"title": "T"}',
        '{"title": "T", "city": "Rome"}',
        '{"description": "D", "title": "T", "days": 3}',
        '{"type": 3}',
        '{"type": [1]}',
        '{"type": "rain"}',
        '{"city": {"title": "T"}}',
        '{"city": {"description": "D", "id": 3}}',
        '{"title": ["T"]}',
    ],
)
def test_arguments_that_share_keys_with_a_schema_are_a_call(arguments: str) -> None:
    text = f'{{"name": "get_weather", "parameters": {arguments}}}'
    expected = ToolCalls((ToolCall("call_0", "get_weather", json.loads(arguments)),))
    assert parse(text) == expected


@pytest.mark.parametrize("flat", ['"city": "Rome"', '"title": "T"', '"title": "T", "city": "x"'])
def test_arguments_beside_the_name_open_calls_early(flat: str) -> None:
    detector = CallDetector(SCHEMAS, early=True)
    detector.feed(f'{{"name": "get_weather", {flat}}}')
    assert detector.opening == 0


def test_text_after_code_in_html_may_call() -> None:
    parser = ReplyParser(SCHEMAS)
    text = f"I use <code>get_weather</code>.\n{ARRAY}"
    events = [event for char in text for event in parser.feed(char)]
    before = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert before == "I use <code>get_weather</code>.\n"
    assert parser.reply() == ToolCalls((CALL,), before.strip())


def test_a_long_text_in_small_pieces_is_read_in_linear_time() -> None:
    text = "Hello <b>x</b> (see [1]) `code`\n" * 3000
    started = time.process_time()
    assert parse(text, step=4) == AssistantMessage(text.strip())
    assert time.process_time() - started < 2
