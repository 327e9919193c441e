"""Tool calls in the app with a real model: one of random weights, whose calls are always valid."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from textual.widgets import TextArea

from tests.fakes.tui_helpers import (
    answer_approval,
    app_with_model,
    approval_shown,
    approvals,
    is_idle,
    messages,
    screen_text,
    submit,
    wait_idle,
    wait_long,
    wait_until,
)
from xlam_local.tui.app import XlamApp
from xlam_local.tui.widgets.approval import shows
from xlam_local.tui.widgets.arguments_editor import editable_json, parse_arguments
from xlam_local.types import ApprovalRequest, Effect, Schema, Tool, ToolCall, ToolCalls, ToolResult

COLORS: Schema = {
    "type": "object",
    "properties": {"color": {"enum": ["red", "green"]}},
    "required": ["color"],
    "additionalProperties": False,
}
PAINT = Tool("paint", "Paint the wall.", COLORS, Effect.WRITE, lambda color: f"It is {color} now.")
LOOK = Tool("look", "Look at the wall.", {"type": "object"}, Effect.READ, lambda **_: "A wall.")


def results(app: XlamApp) -> list[ToolResult]:
    return [message for message in messages(app) if isinstance(message, ToolResult)]


def is_on_screen(app: XlamApp, text: str) -> bool:
    return text in screen_text(app)


@pytest.mark.slow
async def test_the_arguments_of_a_call_are_edited_before_it_is_allowed(qwen_path: Path) -> None:
    app = app_with_model(qwen_path, [PAINT], max_steps=1)
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_idle(pilot)
        await submit(pilot, "/choice paint")
        assert "tool choice: paint" in screen_text(app)
        await submit(pilot, "Paint it.")
        await wait_long(pilot, lambda: approvals(app))
        assert "tool choice" not in screen_text(app)
        await approval_shown(pilot)
        await wait_until(pilot, lambda: "e Edit" in screen_text(app))
        (written,) = [m for m in messages(app) if isinstance(m, ToolCalls)]
        color = "red" if written.calls[0].arguments["color"] == "green" else "green"
        await pilot.press("e")
        await wait_until(pilot, lambda: app.chat.query("TextArea#arguments"))
        editor = app.chat.query_one("#arguments", TextArea)
        for text, problem in (
            ("{", "not valid JSON"),
            ("[]", "must be a JSON object"),
            ('{"color": "blue"}', "color"),
            ('{"color": "red", "size": 3}', "size"),
        ):
            editor.text = text
            await pilot.press("ctrl+s")
            await wait_until(pilot, partial(is_on_screen, app, problem))
            assert not results(app)
        await pilot.press("escape")
        await wait_until(pilot, lambda: not app.chat.query("#arguments"))
        assert approvals(app)
        await pilot.press("e")
        await wait_until(pilot, lambda: app.chat.query("TextArea#arguments"))
        app.chat.query_one("#arguments", TextArea).text = f'{{"color": "{color}"}}'
        first = approvals(app)[0]
        await pilot.press("ctrl+s")
        await wait_until(pilot, lambda: approvals(app) and approvals(app)[0] is not first)
        await answer_approval(pilot, "y")
        (result,) = results(app)
        assert result.call.arguments == {"color": color}
        assert f"It is {color} now." in result.output
        assert f"color: {color}" in screen_text(app)


@pytest.mark.slow
@pytest.mark.parametrize("choice", ["required", "none", "look"])
async def test_the_tool_choice_is_for_the_next_message_only(qwen_path: Path, choice: str) -> None:
    app = app_with_model(qwen_path, [LOOK], max_steps=1, max_tokens=200)
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_idle(pilot)
        await pilot.press("ctrl+t")
        await wait_until(pilot, lambda: "text without calls" in screen_text(app))
        await pilot.press(*["down"] * ["auto", "required", "none", "look"].index(choice), "enter")
        await wait_until(pilot, lambda: f"tool choice: {choice}" in screen_text(app))
        await submit(pilot, "What is there?")
        await wait_until(pilot, lambda: messages(app))
        await wait_long(pilot, lambda: is_idle(app))
        assert bool(results(app)) is (choice != "none")
        assert app.chat.tool_choice == "auto"
        await submit(pilot, "/choice paint")
        await wait_until(pilot, lambda: app._notifications)
        (shown,) = app._notifications
        assert shown.message.startswith("There is no tool 'paint'. The choices are: auto, req")


@pytest.mark.slow
async def test_the_page_keys_scroll_the_details_of_an_open_approval(qwen_path: Path) -> None:
    lines = "\n".join(f"line {number}" for number in range(200))
    long = Tool(
        "paint", "Paint.", COLORS, Effect.WRITE, lambda color: "", preview=lambda **_: lines
    )
    app = app_with_model(qwen_path, [long], max_steps=1)
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_idle(pilot)
        for number in range(20):
            app.chat.add_notice(f"notice {number}")
        await submit(pilot, "/choice required")
        await submit(pilot, "Paint it.")
        await wait_long(pilot, lambda: "line 3" in screen_text(app))
        top = app.chat.transcript.scroll_offset.y
        (approval,) = approvals(app)
        await pilot.press("pagedown")
        await wait_until(pilot, lambda: "line 12" in screen_text(app))
        assert "Always call" not in screen_text(app)
        while not approval.seen_to_end:
            await pilot.press("pagedown")
        await wait_until(pilot, lambda: "C Always call T Always tool" in screen_text(app))
        assert app.chat.transcript.scroll_offset.y == top
        await pilot.press("pageup")
        approval.shown_at -= 60
        await pilot.press("n")
        await wait_idle(pilot)


@pytest.mark.parametrize("size", [(40, 10), (60, 15), (80, 24), (200, 50)])
async def test_the_last_line_of_the_details_was_on_the_screen_before_a_key_allows(
    qwen_path: Path, size: tuple[int, int]
) -> None:
    lines = "\n".join(f"line {number}" for number in range(60))
    long = replace(PAINT, preview=lambda **_: f"{lines}\nred\ngreen")
    app = app_with_model(qwen_path, [long], max_steps=1)
    async with app.run_test(size=size) as pilot:
        await wait_idle(pilot)
        await submit(pilot, "/choice required")
        await submit(pilot, "Paint it.")
        await wait_long(pilot, lambda: "line 0" in screen_text(app))
        (approval,) = approvals(app)
        approval.shown_at -= 60
        seen = ""
        for _ in range(100):
            seen += screen_text(app)
            await pilot.press("y")
            if not approvals(app):
                break
            await pilot.press("pagedown")
            await pilot.pause()
        await wait_idle(pilot)
        assert all(f"line {number}" in seen for number in range(60))
        assert "green" in seen
        assert [result.ok for result in results(app)] == [True]


async def test_the_arguments_are_edited_in_the_smallest_terminal(qwen_path: Path) -> None:
    app = app_with_model(qwen_path, [PAINT], max_steps=1)
    async with app.run_test(size=(40, 10)) as pilot:
        await wait_idle(pilot)
        await submit(pilot, "/choice required")
        await submit(pilot, "Paint it.")
        await wait_long(pilot, lambda: approvals(app))
        approval = await approval_shown(pilot)
        await pilot.press("e")
        await wait_until(pilot, lambda: '"color": ' in screen_text(app))
        await pilot.press("escape")
        await wait_until(pilot, lambda: '"color": ' not in screen_text(app))
        assert approval.has_focus
        await answer_approval(pilot, "n")


def test_arguments_are_edited_as_json_with_invisible_characters_as_escapes() -> None:
    arguments = {"color": "r\u200bé\n\u202e", "n": [1, {"a": None}]}
    request = ApprovalRequest(LOOK, ToolCall("call_0", "look", arguments))
    text = editable_json(arguments)
    assert "é" in text
    assert all(char.isprintable() or char == "\n" for char in text)
    assert parse_arguments(text, request) == arguments


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "This is not valid JSON: Expecting property name enclosed in double quotes at line"),
        ('{"a": 1, "a": 2}', "This is not valid JSON: an object has the key 'a' twice."),
        ('{"a": NaN}', "This is not valid JSON: NaN is not a JSON number."),
        ("[" * 100_000, "This is nested more than 200 levels deep."),
        ('{"a": "\\ud83d"}', "This has half of a surrogate pair at /a"),
        ("9" * 5_000, "This has an integer with more than 4300 digits."),
        ("[]", "The arguments must be a JSON object"),
    ],
)
def test_what_is_wrong_with_edited_arguments_is_a_sentence(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        parse_arguments(text, ApprovalRequest(LOOK, ToolCall("call_0", "look", {})))


NEW = "--- no file\n+++ a/b.md (new file)\n@@ -0,0 +1,2 @@\n+one\n+two"
CHANGED = "--- a.md\n+++ a.md\n@@ -1,2 +1,2 @@\n one\n-two\n+2"


@pytest.mark.parametrize(
    ("preview", "value", "shown"),
    [
        (NEW, "a/b.md", True),
        (NEW, "one\ntwo", True),
        (NEW, "one\ntwo\n", True),
        (NEW, "one", False),
        (NEW, "b.md", False),
        (NEW, "", False),
        (NEW, 1, False),
        (CHANGED, "a.md", True),
        (CHANGED, "two", True),
        (CHANGED, "2", True),
        (CHANGED, "one\n2", False),
        ("ls -l\nin /notes, sandbox: isolated", "ls -l", True),
        ("ls -l\nin /notes, sandbox: isolated", "ls", False),
        ("", "x", False),
    ],
)
def test_an_argument_is_left_out_only_if_the_preview_shows_all_of_it(
    preview: str, value: object, shown: bool
) -> None:
    assert shows(preview, value) is shown
