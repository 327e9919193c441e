"""No text of a model, a tool or a file reaches the terminal as a control sequence."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from rich.style import Style

from tests.fakes.fake_engine import Scripted
from tests.fakes.tui_helpers import (
    answer_approval,
    app_with,
    approval_shown,
    run_turn,
    submit,
    wait_idle,
)
from tests.fakes.turns import ADD_2_3, PARAMETERS
from xlam_local.history import History
from xlam_local.tui.app import XlamApp
from xlam_local.tui.rendering.blocks import Block, diff_blocks, markdown_block, text_blocks
from xlam_local.tui.rendering.entries import AnswerEntry, NoticeEntry, UserEntry
from xlam_local.tui.rendering.renderer import STYLES, LineRenderer
from xlam_local.tui.rendering.tool_call_card import ToolCallCard
from xlam_local.tui.widgets.completions import Completion, Completions, file_completions
from xlam_local.types import Effect, Tool, ToolCall, ToolResult

TEXTS = 1_000
ALL_TEXTS = 10_000
PARTS = (
    "\x1b]52;c;aGk=\x07",
    "\x1b]0;title\x07",
    "\x1b[2J",
    "\x1b[31m",
    "\x1b[?1049l",
    "\x1bP+q544e\x1b\\",
    "\x1b_Gf=100;AAAA\x1b\\",
    "\x9b2J",
    "\x9d52;c;x\x9c",
    "\x90q\x9c",
    "\x07",
    "\x08\x08\x08",
    "\r",
    "\x0b\x0c",
    "\x0e\x0f",
    "\x05",
    "\x7f",
    "\x00",
    "\u202egnp.exe",
    "\u2066\u2069\u200e",
    "&#27;[2J",
    "&#x9b;2J",
    "&#x202e;",
    "[bold red]",
    "[/]",
    "[@click=app.quit]x[/]",
    "[link=file:///etc/passwd]x[/link]",
    "[x](\x1b]8;;http://a\x07)",
    "[x](javascript:alert(1))",
    "![x](\x1b[2J)",
    "```\n\x1b[2J",
    "```\x1b[2J\ncode",
    "| a |\n|---|\n| \x1b[2J |\n",
    "<\x1b[2J>",
    "\ud800",
    "e\u0301" * 40,
    "\u200b\u200d\ufeff",
    "\N{FAMILY}\N{ZERO WIDTH JOINER}" * 5,
    "\t\t",
    "\n\n",
    "word ",
    "x" * 200,
    "%s%n{0}",
    "\\x1b[2J",
)
# Control characters, and those that change the direction of text.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def hostile(count: int) -> list[str]:
    """Return random texts of these parts."""
    chance = random.Random(11)
    return ["".join(chance.choices(PARTS, k=chance.randint(1, 6))) for _ in range(count)]


RENDERER = LineRenderer(
    {name: Style(color="#ffffff", bgcolor="#000000") for name in STYLES}, "monokai"
)


KINDS = ("user", "answer", "streamed", "card", "result", "notice", "diff")


@pytest.mark.parametrize(
    "count", [TEXTS // len(KINDS), pytest.param(ALL_TEXTS // len(KINDS), marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("kind", KINDS)
def test_no_line_of_an_entry_has_control_characters(kind: str, count: int) -> None:
    for text in hostile(count):
        for block in blocks_of(kind, text):
            for strip in block.strips(RENDERER, 60):
                assert not UNSAFE.search(strip.text), (kind, text)
                assert all(segment.control is None for segment in strip)
                assert not any(segment.style and segment.style.link for segment in strip)


def blocks_of(kind: str, text: str) -> list[Block]:
    if kind == "user":
        return list(UserEntry(text).blocks(60))
    if kind == "notice":
        return list(NoticeEntry(text).blocks(60))
    if kind == "diff":
        return [*diff_blocks(text), *text_blocks(text), markdown_block(text)]
    if kind in ("answer", "streamed"):
        answer = AnswerEntry()
        for piece in text if kind == "streamed" else [text]:
            answer.append(piece)
        return list(answer.blocks(60))
    tool = Tool(text, text, {}, Effect.WRITE)
    card = ToolCallCard(text, tool)
    call = ToolCall("call_0", text, {text: text, "more": [text, {text: text}]})
    card.set_call(call, tool, 0)
    if kind == "result":
        card.finish(ToolResult(call, text, ok=False))
    return list(card.blocks(60))


def terminal_output(app: XlamApp) -> str:
    """Return what the terminal's driver would write for the screen."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.render(app.console) for strip in strips)


# Textual itself writes only colors and styles.
COLOR = re.compile("\x1b\\[[0-9;]*m")


def check(app: XlamApp) -> None:
    text = COLOR.sub("", terminal_output(app)).replace("\n", "")
    assert not UNSAFE.search(text), UNSAFE.search(text)


@pytest.mark.slow
@pytest.mark.parametrize("start", [0, 20])
async def test_no_screen_has_control_characters(
    own_folders: Path, tmp_path: Path, start: int
) -> None:
    texts = hostile(40)[start : start + 20]
    joined = "".join(texts)
    tool = Tool(
        "add", joined, PARAMETERS, Effect.WRITE, lambda a, b: joined, preview=lambda a, b: joined
    )
    partial_call = f'[{{"name": "{joined}", "arguments": {{"a": '
    engine = Scripted(ADD_2_3, [joined], [partial_call], *[["ok"]] * 9)
    engine.name = joined
    history = History(own_folders / "data" / "history.db")
    history.import_messages(joined, [])
    history.close()
    app = app_with(engine, [tool], folder=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_idle(pilot)
        await submit(pilot, joined)
        await approval_shown(pilot)
        check(app)
        await answer_approval(pilot, "y")
        check(app)
        await run_turn(pilot, "Again.")
        check(app)
        for key in ("f3", "ctrl+r", "f1", "f4"):
            await pilot.press(key)
            await app.workers.wait_for_complete()
            await pilot.pause()
            check(app)
            await pilot.press("escape")
        completions = app.chat.query_one(Completions)
        completions.show_choices("x", [Completion(text, text) for text in texts])
        await pilot.pause()
        check(app)


def test_a_file_name_with_control_characters_is_completed_unchanged(tmp_path: Path) -> None:
    (tmp_path / "a\x1b[2J.txt").write_text("x")
    (completion,) = file_completions("@a", tmp_path)
    assert completion.word == "@a\x1b[2J.txt"


@pytest.mark.parametrize(
    ("seed", "count"), [(5, 60), pytest.param(7, 1000, marks=pytest.mark.slow)]
)
async def test_random_keys_break_nothing(tmp_path: Path, seed: int, count: int) -> None:
    chance = random.Random(seed)
    reading = Tool("add", "Add.", PARAMETERS, Effect.READ, lambda a, b: "x\n" * 50)
    writing = Tool("write", "W.", PARAMETERS, Effect.WRITE, lambda a, b: "y")
    write_call = '[{"name": "write", "arguments": {"a": 1, "b": 2}}]'
    replies = [ADD_2_3, ["**Well**\n\n- one\n"], [write_call], ["ok"]] * 200
    app = app_with(Scripted(*replies), [reading, writing], folder=tmp_path)
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        for _ in range(count):
            if chance.random() < 0.05:
                await pilot.resize_terminal(chance.randint(1, 200), chance.randint(1, 60))
            else:
                await pilot.press(chance.choice(KEYS))
        assert app.is_running
        await pilot.resize_terminal(100, 30)


KEYS = (
    *"abcdehjkrtxyn/@ 1",
    *("enter", "escape", "tab", "shift+tab", "up", "down", "left", "right", "home", "end"),
    *("pageup", "pagedown", "backspace", "delete", "space", "ctrl+j", "ctrl+end"),
    *("f1", "f3", "f4", "f5", "f6", "f7", "f8", "ctrl+n", "ctrl+r", "ctrl+g", "ctrl+e"),
    *("ctrl+y", "ctrl+p", "ctrl+a", "ctrl+k", "ctrl+u", "ctrl+z"),
)
