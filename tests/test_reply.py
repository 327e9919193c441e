import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlam_local.errors import ReplyError
from xlam_local.reply import ReplyReader, read
from xlam_local.types import Answer, CallDelta, Calls, Delta, Reply, ToolCall

ADD: dict[str, Any] = {"name": "add", "arguments": {"a": 2, "b": [1, None]}}
HI = {"name": "say/hi.now", "arguments": {}}
CALL = ToolCall("call_0", "add", {"a": 2, "b": [1, None]})


def heard(pieces: list[str]) -> tuple[list[Delta | CallDelta], Reply | str]:
    reader = ReplyReader()
    events = [event for piece in pieces for event in reader.feed(piece)]
    events.extend(reader.rest())
    try:
        return events, read(reader.text)
    except ReplyError as error:
        return events, str(error)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([ADD]),
        json.dumps(ADD),
        json.dumps([ADD], indent=2),
        f"```json\n{json.dumps([ADD])}\n```",
        f"```\n{json.dumps(ADD)}```",
        f"<tool_call>\n{json.dumps(ADD)}\n</tool_call>",
        '{"name": "add", "parameters": {"a": 2, "b": [1, null]}}',
        '{"name": "add", "arguments": "{\\"a\\": 2, \\"b\\": [1, null]}"}',
        f"[{json.dumps(ADD)}",
    ],
)
def test_a_call_is_read_in_every_form_models_write(text: str) -> None:
    assert read(text) == Calls((CALL,))


def test_parallel_calls_keep_their_order_and_are_numbered() -> None:
    both = (
        ToolCall("call_3", "add", ADD["arguments"]),
        ToolCall("call_4", "say/hi.now", {}),
    )
    assert read(json.dumps([ADD, HI]), first=3) == Calls(both)
    assert read(f"{json.dumps(ADD)}; {json.dumps(HI)}", first=3) == Calls(both)
    assert read(f"{json.dumps([ADD])}\n{json.dumps([HI])}", first=3) == Calls(both)


def test_words_beside_calls_are_kept() -> None:
    text = f"Let me see.\n```json\n{json.dumps([ADD])}\n```\nThat is it."
    assert read(text) == Calls((CALL,), "Let me see.\nThat is it.")


@pytest.mark.parametrize(
    "text",
    [
        "Hello, it is [not] a {call}.",
        "[]",
        "",
        '[{"name": "Bob", "age": 3}]',
        'Bob: {"name": "Bob"}',
        '{"name": x}',
        '[{"name": 3}, 4]',
        '[{"name": "f", "arguments": "{"}]',
        '[{"name": "f", "arguments": 3}]',
        "[" * 3000,
        "```python\nprint({})\n```",
    ],
)
def test_what_is_no_call_is_an_answer(text: str) -> None:
    assert read(text) == Answer(text)


@pytest.mark.parametrize(
    "text",
    [
        '[{"name": "add", "argum',
        '[{"name": "add", "arguments": {"a": 2,}}]',
        f'[{json.dumps(ADD)}, {{"name": "add", "arguments": {{"a"',
        'I call {"name": "add", "arguments": {',
        '[{"name": "add", "arguments": ' + '{"a": ' * 3000,
    ],
)
def test_a_call_that_is_not_whole_is_an_error(text: str) -> None:
    with pytest.raises(ReplyError, match="cannot be read"):
        read(text)


@pytest.mark.parametrize("levels", [90, 110, 970, 980, 100_000])
def test_arguments_have_so_many_levels_and_no_more(levels: int) -> None:
    inner = f'{{"x": {"[" * levels + "]" * levels}}}'
    text = f'[{{"name": "f", "arguments": {inner}}}]'
    within = f'[{{"name": "f", "arguments": {json.dumps(inner)}}}]'
    if levels < 100:
        assert read(text) == read(within)
        assert isinstance(read(text), Calls)
        return
    with pytest.raises(ReplyError, match="cannot be read"):
        read(text)
    assert isinstance(read(within), Answer)


def test_words_go_through_at_once_and_calls_are_told_apart() -> None:
    reader = ReplyReader()
    assert list(reader.feed("Sure. ")) == [Delta("Sure. ")]
    assert list(reader.feed('[{"na')) == []
    assert list(reader.feed('me": "add"')) == [CallDelta('[{"name": "add"')]
    assert list(reader.feed(', "arguments": {}}]')) == [CallDelta(', "arguments": {}}]')]
    assert list(reader.rest()) == []
    assert read(reader.text) == Calls((ToolCall("call_0", "add", {}),), "Sure.")


def test_what_was_held_back_and_is_no_call_comes_at_the_end() -> None:
    events, reply = heard(["See [", "{"])
    assert "".join(event.text for event in events) == "See [{"
    assert reply == Answer("See [{")


WORDS = ["Hi ", "[", "{", '"name": "', '"na', "```", "json\n", "`", "<tool_call>", "<to", "]", "é"]
CALLS = [json.dumps(ADD), json.dumps([ADD, HI]), json.dumps([HI], indent=1), "; ", "\n", ", "]
TEXTS = st.lists(st.sampled_from([*WORDS, *CALLS]), max_size=8).map("".join)


@given(TEXTS, st.data())
def test_a_reply_read_in_any_pieces_is_the_same_reply(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    events, reply = heard(pieces)
    whole_events, whole_reply = heard([text])
    assert reply == whole_reply
    assert _merged(events) == _merged(whole_events)
    assert "".join(event.text for event in events) == text


def _merged(events: list[Delta | CallDelta]) -> list[tuple[type, str]]:
    merged: list[tuple[type, str]] = []
    for event in events:
        if merged and merged[-1][0] is type(event):
            merged[-1] = (type(event), merged[-1][1] + event.text)
        else:
            merged.append((type(event), event.text))
    return merged
