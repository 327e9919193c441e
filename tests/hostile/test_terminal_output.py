"""Nothing that a model, a tool or a file says commands the terminal."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from rich.style import Style

from xlam_local.history import History
from xlam_local.tui.app import XlamApp
from xlam_local.tui.blocks import Block, of_diff, of_markdown, of_text
from xlam_local.tui.completions import Completions, Offer, files
from xlam_local.tui.entries import Answered, Card, Noted, Said
from xlam_local.tui.pen import STYLES, Pen
from xlam_local.tui.question import Approval
from xlam_local.types import Effect, Result, Tool, ToolCall

from .apps import app_with, ask, idle, say, wait_until
from .scripted import Scripted
from .test_agent import ADD_2_3, PARAMETERS

STRINGS = 10_000
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
# What may reach a terminal: printable characters, and none that turn the direction of text.
BAD = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def hostile(count: int) -> list[str]:
    chance = random.Random(11)
    return ["".join(chance.choices(PARTS, k=chance.randint(1, 6))) for _ in range(count)]


PEN = Pen({name: Style(color="#ffffff", bgcolor="#000000") for name in STYLES}, "monokai")


@pytest.mark.parametrize("kind", ["said", "answer", "pieces", "card", "result", "note", "diff"])
def test_no_line_of_an_entry_commands(kind: str) -> None:
    for text in hostile(STRINGS // 7 + 1):
        for block in blocks_of(kind, text):
            for strip in block.strips(PEN, 60):
                assert not BAD.search(strip.text), (kind, text)
                assert all(segment.control is None for segment in strip)
                assert not any(segment.style and segment.style.link for segment in strip)


def blocks_of(kind: str, text: str) -> list[Block]:
    if kind == "said":
        return list(Said(text).blocks(60))
    if kind == "note":
        return list(Noted(text).blocks(60))
    if kind == "diff":
        return [*of_diff(text), *of_text(text), of_markdown(text)]
    if kind in ("answer", "pieces"):
        answer = Answered()
        for piece in text if kind == "pieces" else [text]:
            answer.add(piece)
        return list(answer.blocks(60))
    tool = Tool(text, text, {}, Effect.WRITE)
    card = Card(text, tool)
    call = ToolCall("call_0", text, {text: text, "more": [text, {text: text}]})
    card.set_call(call, tool, 0)
    if kind == "result":
        card.finish(Result(call, text, ok=False))
    return list(card.blocks(60))


def on_screen(app: XlamApp) -> str:
    """All that the screen is drawn of, as the terminal's driver would get it."""
    from textual.strip import Strip

    console = app.console
    strips = app.screen._compositor.render_strips()
    assert all(isinstance(strip, Strip) for strip in strips)
    return "\n".join(strip.render(console) for strip in strips)


# What Textual itself writes is colour and style alone.
COLOUR = re.compile("\x1b\\[[0-9;]*m")


@pytest.mark.parametrize("start", range(0, 40, 10))
async def test_no_screen_commands(own_folders: Path, tmp_path: Path, start: int) -> None:
    texts = hostile(40)[start : start + 10]
    whole = "".join(texts)
    bad = Tool(
        "add", whole, PARAMETERS, Effect.WRITE, lambda a, b: whole, preview=lambda a, b: whole
    )
    engine = Scripted(
        ADD_2_3, [whole], [f'[{{"name": "{whole}", "arguments": {{"a": '], *[["ok"]] * 9
    )
    engine.name = whole
    history = History(own_folders / "data" / "history.db")
    history.take(whole, [])
    history.close()
    app = app_with(engine, [bad], folder=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_until(pilot, lambda: idle(app))
        await say(pilot, whole)
        await wait_until(pilot, lambda: app.chat.query(Approval))
        check(app)
        await wait_until(pilot, lambda: app.chat.query_one(Approval).ready)
        await pilot.press("y")
        await wait_until(pilot, lambda: idle(app))
        check(app)
        await ask(pilot, "Again.")
        check(app)
        for key in ("f3", "ctrl+r", "f1", "f4"):
            await pilot.press(key)
            await app.workers.wait_for_complete()
            await pilot.pause()
            check(app)
            await pilot.press("escape")
        offered = app.chat.query_one(Completions)
        offered.show("x", [Offer(text, text) for text in texts])
        await pilot.pause()
        check(app)


def check(app: XlamApp) -> None:
    drawn = COLOUR.sub("", on_screen(app)).replace("\n", "")
    assert not BAD.search(drawn), BAD.search(drawn)


def test_file_names_that_command_are_offered_harmless(tmp_path: Path) -> None:
    (tmp_path / "a\x1b[2J.txt").write_text("x")
    (offer,) = files("@a", tmp_path)
    assert offer.word == "@a\x1b[2J.txt"


@pytest.mark.parametrize(
    ("seed", "count"), [(5, 60), pytest.param(7, 1000, marks=pytest.mark.slow)]
)
async def test_a_random_user_breaks_nothing(tmp_path: Path, seed: int, count: int) -> None:
    chance = random.Random(seed)
    reads = Tool("add", "Add.", PARAMETERS, Effect.READ, lambda a, b: "x\n" * 50)
    writes = Tool("write", "W.", PARAMETERS, Effect.WRITE, lambda a, b: "y")
    asks = '[{"name": "write", "arguments": {"a": 1, "b": 2}}]'
    replies = [ADD_2_3, ["**Well**\n\n- one\n"], [asks], ["ok"]] * 200
    app = app_with(Scripted(*replies), [reads, writes], folder=tmp_path)
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: idle(app))
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
