"""Every screen and state of the app, compared with a picture."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.image import SVGImageSnapshotExtension

from tests.fakes.fake_engine import Scripted
from tests.fakes.tui_engines import HeldEngine
from tests.fakes.tui_helpers import (
    App,
    app_loading,
    app_with,
    approval_shown,
    approvals,
    run_turn,
    screen_text,
    submit,
    wait_idle,
    wait_until,
)
from tests.fakes.turns import PARAMETERS
from xlam_local.errors import ModelMissing
from xlam_local.history import History
from xlam_local.tui.app import XlamApp
from xlam_local.tui.state.controller import LoadSteps
from xlam_local.types import (
    AssistantMessage,
    Effect,
    GenerationEnd,
    LoadProgress,
    PrefillProgress,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
    UserMessage,
)

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


def columns_by_lines(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


@pytest.fixture
def golden(snapshot: SnapshotAssertion) -> Check:
    """Compares the screen with its picture."""

    def check(app: XlamApp) -> None:
        picture = app.export_screenshot(title="xlam-local")
        # Rich derives the ids of the elements from the whole content.
        assert re.sub(r"terminal-\d+", "terminal", picture) == snapshot(
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


async def freeze(pilot: App, app: XlamApp) -> None:
    """Remove everything from the screen that depends on time."""
    await app.workers.wait_for_complete()
    app.controller.system_stats = None
    app.chat.stats._bar_chars = 0
    app.chat.prompt.cursor_blink = False
    app.chat.stats.bars.extend([0.0] * 60)
    app.chat.stats.first_token_s = None
    app.chat.update_status()
    await pilot.pause()


@pytest.mark.slow
@pytest.mark.parametrize("size", [(80, 24), (140, 40), (200, 50)], ids=columns_by_lines)
async def test_a_chat(golden: Check, size: tuple[int, int]) -> None:
    app = app_with(Scripted([CALLS], [ANSWER]), TOOLS)
    async with app.run_test(size=size) as pilot:
        await run_turn(pilot, "What is 2 + 3, and which files are here?")
        await freeze(pilot, app)
        golden(app)


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["textual-light", "ansi-dark", "nord"])
async def test_a_chat_in_other_colors(golden: Check, theme: str) -> None:
    app = app_with(Scripted([CALLS], [ANSWER]), TOOLS)
    async with app.run_test(size=(100, 44)) as pilot:
        await run_turn(pilot, "What is 2 + 3, and which files are here?")
        app.theme = theme
        await freeze(pilot, app)
        golden(app)


@pytest.mark.slow
async def test_a_chat_without_color(golden: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = app_with(Scripted([CALLS], [ANSWER]), TOOLS)
    async with app.run_test(size=(100, 44)) as pilot:
        await run_turn(pilot, "What is 2 + 3, and which files are here?")
        await freeze(pilot, app)
        golden(app)


@pytest.mark.slow
async def test_a_selected_and_expanded_card(golden: Check) -> None:
    app = app_with(Scripted([CALLS], ["Done."]), TOOLS)
    async with app.run_test(size=(100, 40)) as pilot:
        await run_turn(pilot, "Which files are here?")
        await pilot.press("f6", "up", "enter")
        await freeze(pilot, app)
        golden(app)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(80, 24), (140, 40)], ids=columns_by_lines)
async def test_an_approval(golden: Check, size: tuple[int, int]) -> None:
    app = app_with(Scripted([WRITES], ["Done."]), TOOLS)
    async with app.run_test(size=size) as pilot:
        await wait_idle(pilot)
        await submit(pilot, "Write that down.")
        await wait_until(pilot, lambda: approvals(app))
        await freeze(pilot, app)
        golden(app)
        await pilot.press("n")


@pytest.mark.slow
async def test_a_denial_with_a_reason(golden: Check) -> None:
    app = app_with(Scripted([WRITES], ["All right, I leave it."]), TOOLS)
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_idle(pilot)
        await submit(pilot, "Write that down.")
        await approval_shown(pilot)
        await pilot.press("r", *"Not in that file.", "enter")
        await wait_idle(pilot)
        await freeze(pilot, app)
        golden(app)


HELD: dict[str, tuple[PrefillProgress | str, ...]] = {
    "reading": (PrefillProgress(0, 4000), PrefillProgress(1000, 4000)),
    "answering": (PrefillProgress(10, 10), "# Well\n\nOne moment, I am *still*"),
    "calling": (PrefillProgress(10, 10), CALLS[:70]),
}


@pytest.mark.slow
@pytest.mark.parametrize("state", HELD)
async def test_a_running_turn(golden: Check, state: str) -> None:
    engine = HeldEngine(*HELD[state])
    app = app_with(engine, TOOLS)
    async with app.run_test(size=(100, 24)) as pilot:
        await wait_idle(pilot)
        await submit(pilot, "What is 2 + 3?")
        await submit(pilot, "And then?")
        text = {"reading": "25 %", "answering": "still", "calling": "a: 2"}[state]
        await wait_until(pilot, lambda: text in screen_text(app))
        await freeze(pilot, app)
        golden(app)
        engine.go.set()


async def test_a_crash(golden: Check) -> None:
    engine = HeldEngine("Well, ")
    engine.go.set()
    app = app_with(engine, TOOLS)
    async with app.run_test(size=(100, 24)) as pilot:
        await run_turn(pilot, "What is 2 + 3?")
        await freeze(pilot, app)
        golden(app)


@pytest.mark.slow
async def test_the_statistics(golden: Check) -> None:
    usage = Usage(1400, 1250, 60, 0.4, 3.0, drafted_tokens=20, accepted_tokens=15)
    app = app_with(Scripted(["Well.", GenerationEnd(False, usage)]), TOOLS)
    async with app.run_test(size=(120, 32)) as pilot:
        await run_turn(pilot, "What is 2 + 3?")
        await pilot.press("f5")
        await freeze(pilot, app)
        golden(app)


@pytest.mark.slow
async def test_completions(golden: Check) -> None:
    app = app_with(Scripted(), TOOLS)
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await pilot.press(*"/", "down")
        await freeze(pilot, app)
        golden(app)


async def test_loading(golden: Check) -> None:
    go = threading.Event()

    def load_engine(name: str | None) -> LoadSteps:
        yield LoadProgress(0.4)
        go.wait(10)
        return Scripted()

    app = app_loading(load_engine)
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: "40 %" in screen_text(app))
        await freeze(pilot, app)
        golden(app)
        go.set()


def no_model(name: str | None) -> LoadSteps:
    yield LoadProgress(0.0)
    raise ModelMissing("No model is installed.")


@pytest.mark.slow
@pytest.mark.parametrize("size", [(80, 24), (140, 40)], ids=columns_by_lines)
async def test_the_first_start(golden: Check, size: tuple[int, int]) -> None:
    app = app_loading(no_model)
    async with app.run_test(size=size) as pilot:
        await wait_until(pilot, lambda: "KV cache, 8192 tokens" in screen_text(app))
        # The message is shown last; the details also say "Recommended for this machine".
        await wait_until(pilot, lambda: "No model is installed. Recommended" in screen_text(app))
        await freeze(pilot, app)
        golden(app)


@pytest.mark.slow
async def test_a_license(golden: Check) -> None:
    app = app_loading(no_model)
    async with app.run_test(size=(120, 30)) as pilot:
        await wait_until(pilot, lambda: "KV cache, 8192 tokens" in screen_text(app))
        await pilot.press("enter")
        await wait_until(pilot, lambda: "Do you accept?" in screen_text(app))
        golden(app)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(80, 24), (140, 40)], ids=columns_by_lines)
async def test_the_tools(golden: Check, size: tuple[int, int]) -> None:
    app = app_with(Scripted(), TOOLS)
    async with app.run_test(size=size) as pilot:
        await wait_idle(pilot)
        await pilot.press("f3")
        await wait_until(pilot, lambda: "tokens in total" in screen_text(app))
        await pilot.press("down")
        await wait_until(pilot, lambda: "Policy" in screen_text(app))
        golden(app)


@pytest.mark.slow
@pytest.mark.parametrize("words", ["", "milk"])
async def test_the_history(golden: Check, own_folders: Path, words: str) -> None:
    history = History(own_folders / "data" / "history.db")
    call = ToolCall("call_0", "list_files", {"folder": "."})
    history.import_messages(
        "", [UserMessage("Where is the milk?"), AssistantMessage("In the *fridge*.")]
    )
    history.import_messages(
        "",
        [
            UserMessage("And the bread?"),
            ToolResult(call, "bread.txt"),
            AssistantMessage("In a file."),
        ],
    )
    history._database.execute("UPDATE conversation SET changed = 1800000000 - id * 100000")
    history.close()
    app = app_with(Scripted(), TOOLS)
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_idle(pilot)
        await submit(pilot, f"/search {words}" if words else "/history")
        found = "milk" if words else "bread"
        await wait_until(pilot, lambda: f"{found}?" in screen_text(app).partition("│")[2])
        app.screen.query_one("#list").focus()
        await freeze(pilot, app)
        golden(app)


@pytest.mark.slow
async def test_the_settings(golden: Check) -> None:
    app = app_with(Scripted())
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await pilot.press("f4", "down")
        await pilot.press(*"4096", "enter")
        await wait_until(pilot, lambda: "Saved context" in screen_text(app))
        app.screen.set_focus(None)
        app.screen.refresh(layout=True)  # The scroll bar may be drawn before the message's height.
        await pilot.pause()
        golden(app)


@pytest.mark.slow
async def test_the_help(golden: Check) -> None:
    app = app_with(Scripted())
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_idle(pilot)
        await pilot.press("f1")
        await wait_until(pilot, lambda: "/export" in screen_text(app))
        golden(app)


async def test_a_small_terminal(golden: Check) -> None:
    app = app_with(Scripted())
    async with app.run_test(size=(30, 8)) as pilot:
        await wait_until(pilot, lambda: "too small" in screen_text(app))
        golden(app)
