"""Measure the app with a long answer, a large result and a long conversation.

python -m tests.benchmarks.app_scale
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psutil

from tests.fakes.fake_engine import Scripted
from tests.fakes.tui_helpers import (
    app_with,
    is_idle,
    messages,
    run_turn,
    submit,
    wait_idle,
    wait_long,
)
from tests.fakes.turns import ADD_2_3, PARAMETERS
from xlam_local.grammar import Enforced
from xlam_local.types import (
    AssistantMessage,
    Effect,
    GenerationEnd,
    Message,
    Prompt,
    Sampling,
    Tool,
    Usage,
    UserMessage,
)

TOKENS = 100_000
SENTENCE = "The quick brown fox, **jumping** over `lazy` dogs, is seen by nobody at all."
CODE = ["\n```python\n", *(f"value_{n} = compute({n})  # yes\n" for n in range(60)), "```\n\n"]


@dataclass
class Stalls:
    """The longest time between two steps of the screen's event loop, in milliseconds."""

    cpu_ms: float = 0.0
    """CPU time of the screen's thread."""
    clock_ms: float = 0.0
    """Time by the clock, which other processes on a busy computer make longer."""


@asynccontextmanager
async def measure_stalls() -> AsyncIterator[Stalls]:
    """Measure how long the event loop is blocked, which delays the next frame."""
    stalls = Stalls()

    async def watch() -> None:
        while True:
            before, started = time.thread_time(), time.perf_counter()
            await asyncio.sleep(0)
            stalls.cpu_ms = max(stalls.cpu_ms, (time.thread_time() - before) * 1000)
            stalls.clock_ms = max(stalls.clock_ms, (time.perf_counter() - started) * 1000)
            await asyncio.sleep(0.002)

    watcher = asyncio.create_task(watch())
    try:
        yield stalls
    finally:
        watcher.cancel()


class LongAnswerEngine(Scripted):
    """Writes an answer of many tokens with paragraphs and code, and pauses every 100 tokens."""

    def __init__(self, tokens: int, pause_s: float) -> None:
        super().__init__()
        self.tokens = tokens
        self.pause_s = pause_s

    def generate(
        self, written: Prompt, grammar: Enforced | None, sampling: Sampling
    ) -> Generator[str | GenerationEnd, bool | None, None]:
        pattern = [*(f"{word} " for word in SENTENCE.split()), "\n"] * 8 + CODE
        for number in range(self.tokens):
            yield pattern[number % len(pattern)]
            if number % 100 == 0:
                time.sleep(self.pause_s)
        yield GenerationEnd(False, Usage(10, 0, self.tokens, 0.1, 1.0))


def memory_mib() -> float:
    """Return the MiB that this process uses."""
    return psutil.Process(os.getpid()).memory_info().rss / (1 << 20)


async def long_answer(tokens: int = TOKENS) -> dict[str, float]:
    """Stream an answer of many tokens, and scroll through it."""
    app = app_with(LongAnswerEngine(tokens, 0.01), ephemeral=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_idle(pilot)
        before, started = memory_mib(), time.perf_counter()
        async with measure_stalls() as stalls:
            await submit(pilot, "Go on.")
            await wait_long(pilot, lambda: is_idle(app) and bool(messages(app)))
        seconds = time.perf_counter() - started
        async with measure_stalls() as scrolling:
            for _ in range(30):
                await pilot.press("pageup")
        return {
            "tokens": tokens,
            "seconds": seconds,
            "worst_ms": stalls.cpu_ms,
            "worst_by_clock_ms": stalls.clock_ms,
            "scroll_ms": scrolling.cpu_ms,
            "memory_mib": memory_mib() - before,
        }


async def large_result(size: int = 10_000_000) -> dict[str, float]:
    """Show a result of many bytes, collapsed and expanded."""
    output = "".join(f"{number:08} {'x' * 70}\n" for number in range(size // 80))
    tool = Tool("add", "", PARAMETERS, Effect.READ, lambda a, b: output)
    app = app_with(Scripted(ADD_2_3, ["Done."]), [tool])
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_idle(pilot)
        before = memory_mib()
        async with measure_stalls() as stalls:
            await run_turn(pilot, "Add.")
        async with measure_stalls() as expanding:
            await pilot.press("f6", "up", "enter")
            for _ in range(30):
                await pilot.press("pagedown")
            await pilot.press("end", "home")
        return {
            "bytes": len(output),
            "worst_ms": stalls.cpu_ms,
            "expanded_worst_ms": expanding.cpu_ms,
            "memory_mib": memory_mib() - before,
        }


async def long_conversation(count: int = 2000) -> dict[str, float]:
    """Open a conversation of many messages, and scroll with each key."""
    app = app_with(Scripted(["Yes."]))
    saved: list[Message] = []
    for number in range(count // 2):
        saved += [
            UserMessage(f"Question {number}?"),
            AssistantMessage(f"**Answer** {number}.\n\n" + "word " * 60),
        ]
    async with app.run_test(size=(120, 40)) as pilot:
        await run_turn(pilot, "Hi")
        assert app.controller.conversation.history is not None
        number = app.controller.conversation.history.import_messages("Old", saved)
        started = time.perf_counter()
        app.controller.conversation.resume(number)
        app.chat.show_conversation()
        await pilot.pause()
        opened = (time.perf_counter() - started) * 1000
        worst: dict[str, float] = {}
        await pilot.press("f6")
        for key in ("up", "pageup", "pagedown", "home", "end", "down"):
            async with measure_stalls() as stalls:
                for _ in range(40):
                    await pilot.press(key)
            worst[key] = stalls.cpu_ms
        return {"messages": len(saved), "opened_ms": opened, **worst}


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        os.environ["XLAM_LOCAL_HOME"] = home
        for measure in (long_answer, large_result, long_conversation):
            values = asyncio.run(measure())
            rounded = {name: round(value, 1) for name, value in values.items()}
            sys.stdout.write(f"{measure.__name__}: {json.dumps(rounded)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
