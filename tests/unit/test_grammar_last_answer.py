from __future__ import annotations

import pytest

from tests.fakes.grammar_checks import accepted
from xlam_local.grammar import CALL_TAGS, for_last_answer

CALL = '[{"name": "add", "arguments": {"a": 2, "b": 3}}]'


@pytest.mark.parametrize(
    "text",
    [
        "298",
        "There are 298 days.",
        "- [notes](notes.md)\n[orders](orders.txt)\n[ ] done",
        f"The call was {CALL}.",
        "```python\nprint({1: [2]})\n```",
        "a < b, \u00e9 \U0001f600",
    ],
)
def test_text_is_an_answer(text: str) -> None:
    assert accepted(for_last_answer(), text) == [True]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        CALL,
        "{}",
        "[ {",
        "[[ {",
        '[["name": "add"',
        f"```json\n{CALL}\n```",
        f"I call it:\n{CALL}",
        'Now:\n  {"name": "add"}',
        *CALL_TAGS,
    ],
)
def test_what_begins_as_a_call_is_no_answer(text: str) -> None:
    assert accepted(for_last_answer(), text) == [False]
