from __future__ import annotations

import itertools
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from xlam_local.server.call_stream import CallStream
from xlam_local.server.reply_events import ArgumentsDelta, CallStart
from xlam_local.types import ToolCall

TEXTS = st.text('ab"\\{}[],: \nä', max_size=5)
VALUES = TEXTS | st.integers() | st.lists(TEXTS, max_size=2)
ARGUMENTS = st.dictionaries(TEXTS, VALUES | st.dictionaries(TEXTS, VALUES, max_size=2), max_size=3)
CALLS = st.lists(st.tuples(TEXTS, ARGUMENTS), min_size=1, max_size=3, unique_by=repr)


def read(pieces: list[str], stream: CallStream | None = None) -> list[tuple[str, str, str]]:
    """Return the id, the name and the arguments of each call in a text."""
    stream = stream or new_stream()
    return joined([event for piece in pieces for event in stream.feed(piece)])


def new_stream() -> CallStream:
    numbers = itertools.count()
    return CallStream(lambda: f"id-{next(numbers)}")


def joined(events: list[CallStart | ArgumentsDelta]) -> list[tuple[str, str, str]]:
    calls: list[tuple[str, str, str]] = []
    for event in events:
        if isinstance(event, CallStart):
            assert event.index == len(calls)
            calls.append((event.call_id, event.name, ""))
        else:
            assert event.index == len(calls) - 1
            call_id, name, arguments = calls[-1]
            calls[-1] = (call_id, name, arguments + event.text)
    return calls


@settings(max_examples=50)
@given(CALLS, st.data())
def test_calls_are_the_same_in_any_pieces(
    calls: list[tuple[str, dict[str, object]]], data: st.DataObject
) -> None:
    text = json.dumps([{"name": name, "arguments": given_} for name, given_ in calls])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=20)))
    pieces = [text[a:b] for a, b in itertools.pairwise([0, *cuts, len(text)])]
    found = read(pieces)
    assert [(name, json.loads(arguments)) for _, name, arguments in found] == calls
    assert len({call_id for call_id, _, _ in found}) == len(calls)


def test_arguments_are_passed_on_as_they_are_written() -> None:
    stream = new_stream()
    assert list(stream.feed('[{"name": "f"')) == []
    assert list(stream.feed(', "arguments": {"a": "x')) == [
        CallStart(0, "id-0", "f"),
        ArgumentsDelta(0, '{"a": "x'),
    ]
    assert list(stream.feed('}y"')) == [ArgumentsDelta(0, '}y"')]
    assert list(stream.feed("}}]")) == [ArgumentsDelta(0, "}")]


def test_a_repeated_call_is_never_passed_on() -> None:
    call = '{"name": "f", "arguments": {"a": 1}}'
    assert read([f"[{call}, ", *call, "]"]) == [("id-0", "f", '{"a": 1}')]


def test_a_call_that_begins_like_an_earlier_one_is_passed_on_when_it_differs() -> None:
    first, second = '{"name": "f", "arguments": {"a": 12}}', '{"name": "f", "arguments": {"a": 1}}'
    found = read([*f"[{first}, {second}]"])
    assert [arguments for _, _, arguments in found] == ['{"a": 12}', '{"a": 1}']


def test_calls_in_another_spelling_come_at_the_end() -> None:
    stream = new_stream()
    assert read(['<tool_call>{"tool": "f", "args": {}}</tool_call>'], stream) == []
    assert joined(list(stream.rest([ToolCall("call_0", "f", {"ä": 1})]))) == [
        ("id-0", "f", '{"ä": 1}')
    ]


def test_calls_that_were_passed_on_are_not_repeated_at_the_end() -> None:
    stream = new_stream()
    read(['[{"name": "f", "arguments": {}}]'], stream)
    assert list(stream.rest([ToolCall("call_0", "f", {})])) == []
