"""What a reply may begin with if it is to call a tool."""

from __future__ import annotations

import pytest

from xlam_local.grammar import CallDetector

TOOLS = ("add", "send_mail")


@pytest.mark.parametrize(
    "text",
    ["[", "[{", '{"', "{\n", "```", "```json", "<", "<tool", "<tool_call>", "\n[", "[TOOL", "fun"],
)
def test_a_token_may_begin_calls(text: str) -> None:
    detector = CallDetector(TOOLS, early=True)
    assert detector.at_start
    assert detector.may_open_calls(text)


@pytest.mark.parametrize("text", ["To", "The", "<?", "[1", "{}", "I", "**", " ", "", "<b>", "fund"])
def test_a_token_begins_text(text: str) -> None:
    assert not CallDetector(TOOLS, early=True).may_open_calls(text)


def test_without_tools_nothing_begins_calls() -> None:
    detector = CallDetector((), early=True)
    assert not detector.at_start
    assert not detector.may_open_calls("[")


@pytest.mark.parametrize(
    ("text", "at_start"),
    [
        ("", True),
        ("\n", True),
        ("Well", False),
        ("[", False),
        ("<think>", False),
        ("<think>Hm.", False),
        ("<think>Hm.</think>\n", True),
        ("<think>Hm.</think>Well", False),
        ("Well.\n", False),
    ],
)
def test_calls_may_begin_at_the_start_and_after_reasoning(text: str, at_start: bool) -> None:
    detector = CallDetector(TOOLS, early=True)
    detector.feed(text)
    assert detector.at_start == at_start
