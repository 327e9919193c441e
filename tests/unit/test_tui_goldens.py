"""Every screen and state of the app, as pictures."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.image import SVGImageSnapshotExtension

from xlam_local.agent import Generation
from xlam_local.errors import EngineStopped, ModelMissing
from xlam_local.gbnf import Grammar
from xlam_local.history import History
from xlam_local.tui.app import XlamApp
from xlam_local.tui.loaded import Loaded
from xlam_local.tui.question import Approval
from xlam_local.types import (
    Answer,
    Effect,
    End,
    Loading,
    Note,
    Prefill,
    Prompt,
    Result,
    Sampling,
    Tool,
    ToolCall,
    Usage,
    User,
)

from .apps import App, app_opening, app_with, ask, idle, say, screen_text, wait_until
from .scripted import Scripted
from .test_agent import PARAMETERS

ANSWER = """\
# The sum

It is **5**, as `add(2, 3)` says:

```python
def add(a, b):
    return a + b  # nothing else
```

| a | b | sum |
|---|---|----:|
| 2 | 3 |   5 |

1. First this.
2. Then *that*.

> Said someone.
"""
DIFF = "--- notes.md\n+++ notes.md\n@@ -1,2 +1,2 @@\n-Buy milk.\n+Buy bread.\n Call home.\n"
ADD = Tool(
    "add", "Add two numbers.", PARAMETERS, Effect.READ, lambda a, b: {"sum": a + b}, source="given"
)
LIST = Tool(
    "list_files",
    "List the files in a folder.",
    {"type": "object", "properties": {"folder": {"type": "string"}}, "required": ["folder"]},
    Effect.READ,
    lambda folder: "\n".join(f"file-{number}.txt" for number in range(12)),
)
WRITE = Tool(
    "write_file",
    "Write a text file.",
    {
        "type": "object",
        "properties": {"path": {"type": "string"}, "text": {"type": "string"}},
        "required": ["path", "text"],
    },
    Effect.WRITE,
    lambda path, text: "Written.",
    preview=lambda path, text: DIFF,
)
TOOLS = (ADD, LIST, WRITE)
CALLS = (
    '[{"name": "add", "arguments": {"a": 2, "b": 3}}, '
    '{"name": "list_files", "arguments": {"folder": "."}}]'
)
WRITES = '[{"name": "write_file", "arguments": {"path": "notes.md", "text": "Buy bread."}}]'

Check = Callable[[XlamApp], None]


@pytest.fixture
def golden(snapshot: SnapshotAssertion) -> Check:
    """Compares the screen with its picture."""

    def check(app: XlamApp) -> None:
        drawn = app.export_screenshot(title="xlam-local")
        # The identifier is made of the content, which holds the clip paths' names.
        assert re.sub(r"terminal-\d+", "terminal", drawn) == snapshot(
            extension_class=SVGImageSnapshotExtension
        )

    return check


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


async def still(pilot: App, app: XlamApp) -> None:
    """Let nothing move any more."""
    await app.workers.wait_for_complete()
    app.vitals = None
    app.chat.figures._letters = 0
    app.chat.prompt.cursor_blink = False
    app.chat.figures.speeds.extend([0.0] * 60)
    app.chat.figures.first = None
    app.chat.tell()
    await pilot.pause()


@pytest.mark.parametrize("size", [(80, 24), (140, 40), (200, 50)])
async def test_a_chat(golden: Check, size: tuple[int, int]) -> None:
    app = app_with(Scripted([CALLS], [ANSWER]), TOOLS)
    async with app.run_test(size=size) as pilot:
        await ask(pilot, "What is 2 + 3, and which files are here?")
        await still(pilot, app)
        golden(app)


@pytest.mark.parametrize("theme", ["textual-light", "ansi-dark", "nord"])
async def test_a_chat_in_other_colours(golden: Check, theme: str) -> None:
    app = app_with(Scripted([CALLS], [ANSWER]), TOOLS)
    async with app.run_test(size=(100, 44)) as pilot:
        await ask(pilot, "What is 2 + 3, and which files are here?")
        app.theme = theme
        await still(pilot, app)
        golden(app)


async def test_a_chat_without_colour(golden: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = app_with(Scripted([CALLS], [ANSWER]), TOOLS)
    async with app.run_test(size=(100, 44)) as pilot:
        await ask(pilot, "What is 2 + 3, and which files are here?")
        await still(pilot, app)
        golden(app)


async def test_a_message_is_chosen_and_unfolded(golden: Check) -> None:
    app = app_with(Scripted([CALLS], ["Done."]), TOOLS)
    async with app.run_test(size=(100, 40)) as pilot:
        await ask(pilot, "Which files are here?")
        await pilot.press("f6", "up", "enter")
        await still(pilot, app)
        golden(app)


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
async def test_a_question(golden: Check, size: tuple[int, int]) -> None:
    app = app_with(Scripted([WRITES], ["Done."]), TOOLS)
    async with app.run_test(size=size) as pilot:
        await wait_until(pilot, lambda: idle(app))
        await say(pilot, "Write that down.")
        await wait_until(pilot, lambda: app.chat.query(Approval))
        await still(pilot, app)
        golden(app)
        await pilot.press("n")


async def test_a_reason(golden: Check) -> None:
    app = app_with(Scripted([WRITES], ["All right, I leave it."]), TOOLS)
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_until(pilot, lambda: idle(app))
        await say(pilot, "Write that down.")
        await wait_until(pilot, lambda: app.chat.query(Approval))
        await pilot.press("r", *"Not in that file.", "enter")
        await wait_until(pilot, lambda: idle(app))
        await still(pilot, app)
        golden(app)


class Held(Scripted):
    """Reads or writes to a point, and waits there."""

    def __init__(self, *items: Prefill | str) -> None:
        super().__init__()
        self.items = items
        self.go = threading.Event()

    def generate(self, written: Prompt, grammar: Grammar | None, sampling: Sampling) -> Generation:
        yield from self.items
        self.go.wait(10)
        raise EngineStopped("llama.cpp ended with signal 9.")


HELD: dict[str, tuple[Prefill | str, ...]] = {
    "reading": (Prefill(0, 4000), Prefill(1000, 4000)),
    "answering": (Prefill(10, 10), "# Well\n\nOne moment, I am *still*"),
    "calling": (Prefill(10, 10), CALLS[:70]),
}


@pytest.mark.parametrize("state", HELD)
async def test_a_turn_that_goes_on(golden: Check, state: str) -> None:
    engine = Held(*HELD[state])
    app = app_with(engine, TOOLS)
    async with app.run_test(size=(100, 24)) as pilot:
        await wait_until(pilot, lambda: idle(app))
        await say(pilot, "What is 2 + 3?")
        await say(pilot, "And then?")
        doing = {"reading": "25 %", "answering": "still", "calling": "a: 2"}[state]
        await wait_until(pilot, lambda: doing in screen_text(app))
        await still(pilot, app)
        golden(app)
        engine.go.set()


async def test_a_crash(golden: Check) -> None:
    engine = Held("Well, ")
    engine.go.set()
    app = app_with(engine, TOOLS)
    async with app.run_test(size=(100, 24)) as pilot:
        await ask(pilot, "What is 2 + 3?")
        await still(pilot, app)
        golden(app)


async def test_the_numbers(golden: Check) -> None:
    usage = Usage(1400, 1250, 60, 0.4, 3.0, drafted_tokens=20, accepted_tokens=15)
    app = app_with(Scripted(["Well.", End(False, usage)]), TOOLS)
    async with app.run_test(size=(120, 32)) as pilot:
        await ask(pilot, "What is 2 + 3?")
        await pilot.press("f5")
        await still(pilot, app)
        golden(app)


async def test_what_completes_the_line(golden: Check) -> None:
    app = app_with(Scripted(), TOOLS)
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: idle(app))
        await pilot.press(*"/", "down")
        await still(pilot, app)
        golden(app)


async def test_loading(golden: Check) -> None:
    go = threading.Event()

    def opening(name: str | None) -> Generator[Loading | Note, None, Loaded]:
        yield Loading(0.4)
        go.wait(10)
        return Scripted()

    app = app_opening(opening)
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: "40 %" in screen_text(app))
        await still(pilot, app)
        golden(app)
        go.set()


def missing(name: str | None) -> Generator[Loading | Note, None, Loaded]:
    yield Loading(0.0)
    raise ModelMissing("No model is installed.")


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
async def test_the_first_start(golden: Check, size: tuple[int, int]) -> None:
    app = app_opening(missing)
    async with app.run_test(size=size) as pilot:
        await wait_until(pilot, lambda: "can be had" in screen_text(app))
        await wait_until(pilot, lambda: "For this machine" in screen_text(app))
        await still(pilot, app)
        golden(app)


async def test_a_licence(golden: Check) -> None:
    app = app_opening(missing)
    async with app.run_test(size=(120, 30)) as pilot:
        await wait_until(pilot, lambda: "can be had" in screen_text(app))
        await pilot.press("enter")
        await wait_until(pilot, lambda: "Do you accept this?" in screen_text(app))
        golden(app)


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
async def test_the_tools(golden: Check, size: tuple[int, int]) -> None:
    app = app_with(Scripted(), TOOLS)
    async with app.run_test(size=size) as pilot:
        await wait_until(pilot, lambda: idle(app))
        await pilot.press("f3")
        await wait_until(pilot, lambda: "tokens together" in screen_text(app))
        await pilot.press("down")
        await wait_until(pilot, lambda: "Policy" in screen_text(app))
        golden(app)


@pytest.mark.parametrize("words", ["", "milk"])
async def test_the_history(golden: Check, own_folders: Path, words: str) -> None:
    history = History(own_folders / "data" / "history.db")
    call = ToolCall("call_0", "list_files", {"folder": "."})
    history.take("", [User("Where is the milk?"), Answer("In the *fridge*.")])
    history.take("", [User("And the bread?"), Result(call, "bread.txt"), Answer("In a file.")])
    history._database.execute("UPDATE conversation SET changed = 1800000000 - id * 100000")
    history.close()
    app = app_with(Scripted(), TOOLS)
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_until(pilot, lambda: idle(app))
        await say(pilot, f"/search {words}" if words else "/history")
        told = "milk" if words else "bread"
        await wait_until(pilot, lambda: f"{told}?" in screen_text(app).partition("│")[2])
        app.screen.query_one("#list").focus()
        await still(pilot, app)
        golden(app)


async def test_the_settings(golden: Check) -> None:
    app = app_with(Scripted())
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: idle(app))
        await pilot.press("f4", "down")
        await pilot.press(*"4096", "enter")
        await wait_until(pilot, lambda: "context is kept" in screen_text(app))
        app.screen.set_focus(None)
        await pilot.pause()
        golden(app)


async def test_the_help(golden: Check) -> None:
    app = app_with(Scripted())
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_until(pilot, lambda: idle(app))
        await pilot.press("f1")
        await wait_until(pilot, lambda: "/export" in screen_text(app))
        golden(app)


async def test_a_terminal_too_small(golden: Check) -> None:
    app = app_with(Scripted())
    async with app.run_test(size=(30, 8)) as pilot:
        await wait_until(pilot, lambda: "too small" in screen_text(app))
        golden(app)
