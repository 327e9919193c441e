"""Splitting Markdown, text and partial JSON for the screen."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from xlam_local.tui.rendering.blocks import chunks
from xlam_local.tui.rendering.markdown_stream import MAX_FENCE_LINES, MarkdownSplitter
from xlam_local.tui.rendering.partial_json import parse_partial_calls

MARKDOWN = st.lists(
    st.sampled_from(
        ["word ", "\n", "\n\n", "```\n", "```python\n", "~~~\n", "- one\n", "| a |\n", "|---|\n"]
    ),
    max_size=60,
).map("".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(MARKDOWN, st.integers(1, 9))
def test_the_pieces_of_markdown_do_not_depend_on_how_it_arrives(text: str, size: int) -> None:
    whole, streamed = MarkdownSplitter(), MarkdownSplitter()
    expected = [*whole.feed(text), *whole.flush()]
    parts = [text[i : i + size] for i in range(0, len(text), size)]
    found = [piece for part in parts for piece in streamed.feed(part)]
    assert [*found, *streamed.flush()] == expected


@given(MARKDOWN)
def test_the_pieces_of_markdown_contain_every_word(text: str) -> None:
    splitter = MarkdownSplitter()
    found = "".join(piece.text for piece in [*splitter.feed(text), *splitter.flush()])
    assert found.count("word") == text.count("word")


def test_long_code_is_split_into_pieces_that_are_code() -> None:
    splitter = MarkdownSplitter()
    text = "```python\n" + "x = 1\n" * (2 * MAX_FENCE_LINES) + "```\n"
    found = [*splitter.feed(text), *splitter.flush()]
    assert all(piece.text.startswith("```python\n") for piece in found if piece.text)
    assert [piece.continues for piece in found] == [True, True, False]


@given(st.text(st.sampled_from("ab\n"), max_size=500))
def test_chunks_contain_the_whole_text(text: str) -> None:
    assert "\n".join(chunks(text)).rstrip("\n") == text.rstrip("\n")


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=3), st.integers(0, 400))
def test_calls_are_parsed_wherever_their_json_ends(arguments: dict[str, object], end: int) -> None:
    text = json.dumps([{"name": "f", "arguments": arguments}] * 2)
    found = parse_partial_calls(text[:end])
    assert len(found) <= 2
    assert {call.name for call in found} <= {"f"}
    assert [dict(call.arguments) for call in parse_partial_calls(text)] == [arguments] * 2


def test_calls_that_are_nested_too_deeply_are_not_shown_while_they_are_written() -> None:
    text = '[{"name": "f", "arguments": {"a": '
    assert [dict(call.arguments) for call in parse_partial_calls(text + "[[")] == [{"a": [[]]}]
    assert parse_partial_calls(text + "[" * 5_000) == []
