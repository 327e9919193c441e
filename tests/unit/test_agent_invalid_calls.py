"""Calls with arguments that no grammar allows, as engines without a grammar write them."""

from __future__ import annotations

import pytest

from tests.fakes.fake_engine import Scripted
from tests.fakes.turns import ADD, ADD_2_3, allow_all
from xlam_local.agent import turn
from xlam_local.history import Summary, export
from xlam_local.types import (
    AssistantMessage,
    Message,
    SystemMessage,
    Tool,
    ToolCalls,
    ToolResult,
    UserMessage,
)

SUMMARY = Summary(1, "A talk", 0.0, 0.0)
MESSAGES = (AssistantMessage, SystemMessage, ToolCalls, ToolResult)
WRONG = [
    '{"a": 1, "a": 2, "b": 3}',
    '{"a": NaN, "b": 3}',
    '{"a": 1e999, "b": 3}',
    r'{"a": "\ud83d", "b": 3}',
    '"{\\"a\\": 1, \\"a\\": 2, \\"b\\": 3}"',
]


def talk_after(arguments: str) -> tuple[list[Message], Scripted]:
    engine = Scripted([f'[{{"name": "add", "arguments": {arguments}}}]'], ADD_2_3, ["It is 5."])
    asked = UserMessage("2 + 3?")
    events = turn([asked], [ADD], engine, allow_all)
    said = [event for event in events if isinstance(event, MESSAGES)]
    return [asked, *said], engine


@pytest.mark.parametrize("arguments", WRONG)
def test_arguments_that_no_grammar_allows_are_corrected_by_the_model(arguments: str) -> None:
    messages, engine = talk_after(arguments)
    (told,) = (message.text for message in messages if isinstance(message, SystemMessage))
    assert "(call 1, /arguments" in told
    assert "/a" in told
    assert told in engine.prompts[1]
    assert [one.output for one in messages if isinstance(one, ToolResult)] == ["5"]


@pytest.mark.parametrize("arguments", WRONG)
@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_a_conversation_with_such_arguments_is_exported_and_imported(
    arguments: str, kind: export.Format
) -> None:
    messages, _ = talk_after(arguments)
    text = export.export(SUMMARY, messages, kind)
    ((_, read),) = export.parse_conversations(text.encode().decode(), "x")
    assert read == messages


def test_no_call_of_a_list_runs_if_one_has_no_arguments() -> None:
    ran: list[int] = []
    add = Tool("add", "Add.", ADD.parameters, run=lambda a, b: ran.append(a + b))
    reply = '[{"name": "add", "arguments": {"a": 1, "b": 1}}, {"name": "add"}]'
    engine = Scripted([reply], ADD_2_3, ["It is 5."])
    list(turn([UserMessage("2 + 3?")], [add], engine, allow_all))
    assert "(call 2, 'add': it has no arguments)" in engine.prompts[1]
    assert ran == [5]
