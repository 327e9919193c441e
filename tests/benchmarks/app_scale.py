"""Measures the app with a long answer, a large result and an old conversation.

python -m tests.scale
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

from xlam_local.gbnf import Grammar
from xlam_local.types import Answer, Effect, End, Message, Prompt, Sampling, Tool, Usage, User

from .apps import app_with, ask, idle, patiently, say, wait_until
from .scripted import Scripted
from .test_agent import ADD_2_3, PARAMETERS

TOKENS = 100_000
SENTENCE = "The quick brown fox, **jumping** over `lazy` dogs, is seen by nobody at all."
CODE = ["\n```python\n", *(f"value_{n} = compute({n})  # yes\n" for n in range(60)), "```\n\n"]


@dataclass
class Stalls:
    """How long the screen's thread worked at a time, in milliseconds.

    That is its own time: on a busy computer, others may take more in between.
    """

    worst: float = 0.0
    waited: float = 0.0
    """The longest time by the clock."""


@asynccontextmanager
async def watched() -> AsyncIterator[Stalls]:
    """Watch the screen's thread: whatever holds it keeps the next frame waiting."""
    stalls = Stalls()

    async def watch() -> None:
        while True:
            before, began = time.thread_time(), time.perf_counter()
            await asyncio.sleep(0)
            stalls.worst = max(stalls.worst, (time.thread_time() - before) * 1000)
            stalls.waited = max(stalls.waited, (time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.002)

    watching = asyncio.create_task(watch())
    try:
        yield stalls
    finally:
        watching.cancel()


class Long(Scripted):
    """Writes an answer of many tokens, with paragraphs and code, at a pace."""

    def __init__(self, tokens: int, pause: float) -> None:
        super().__init__()
        self.tokens = tokens
        self.pause = pause

    def generate(
        self, written: Prompt, grammar: Grammar | None, sampling: Sampling
    ) -> Generator[str | End, bool | None, None]:
        pattern = [*(f"{word} " for word in SENTENCE.split()), "\n"] * 8 + CODE
        for number in range(self.tokens):
            yield pattern[number % len(pattern)]
            if number % 100 == 0:
                time.sleep(self.pause)
        yield End(False, Usage(10, 0, self.tokens, 0.1, 1.0))


def memory() -> float:
    """MiB that this process has."""
    return psutil.Process(os.getpid()).memory_info().rss / (1 << 20)


async def long_answer(tokens: int = TOKENS) -> dict[str, float]:
    """An answer of many tokens, streamed."""
    app = app_with(Long(tokens, 0.01), ephemeral=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_until(pilot, lambda: idle(app))
        before, began = memory(), time.perf_counter()
        async with watched() as stalls:
            await say(pilot, "Go on.")
            await patiently(pilot, lambda: idle(app) and bool(app.desk.messages))
        seconds = time.perf_counter() - began
        async with watched() as scrolling:
            for _ in range(30):
                await pilot.press("pageup")
        return {
            "tokens": tokens,
            "seconds": seconds,
            "worst_ms": stalls.worst,
            "worst_by_clock_ms": stalls.waited,
            "scroll_ms": scrolling.worst,
            "memory_mib": memory() - before,
        }


async def large_result(size: int = 10_000_000) -> dict[str, float]:
    """A result of many bytes, folded and unfolded."""
    output = "".join(f"{number:08} {'x' * 70}\n" for number in range(size // 80))
    tool = Tool("add", "", PARAMETERS, Effect.READ, lambda a, b: output)
    app = app_with(Scripted(ADD_2_3, ["Done."]), [tool])
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_until(pilot, lambda: idle(app))
        before = memory()
        async with watched() as stalls:
            await ask(pilot, "Add.")
        async with watched() as unfolding:
            await pilot.press("f6", "up", "enter")
            for _ in range(30):
                await pilot.press("pagedown")
            await pilot.press("end", "home")
        return {
            "bytes": len(output),
            "worst_ms": stalls.worst,
            "unfolded_worst_ms": unfolding.worst,
            "memory_mib": memory() - before,
        }


async def old_conversation(count: int = 2000) -> dict[str, float]:
    """Scrolling through a conversation of many messages, key by key."""
    app = app_with(Scripted(["Yes."]))
    talk: list[Message] = []
    for number in range(count // 2):
        talk += [User(f"Question {number}?"), Answer(f"**Answer** {number}.\n\n" + "word " * 60)]
    async with app.run_test(size=(120, 40)) as pilot:
        await ask(pilot, "Hi")
        assert app.desk.history is not None
        number = app.desk.history.take("Old", talk)
        began = time.perf_counter()
        app.desk.resume(number)
        app.chat.show_conversation()
        await pilot.pause()
        opened = (time.perf_counter() - began) * 1000
        worst: dict[str, float] = {}
        await pilot.press("f6")
        for key in ("up", "pageup", "pagedown", "home", "end", "down"):
            async with watched() as stalls:
                for _ in range(40):
                    await pilot.press(key)
            worst[key] = stalls.worst
        return {"messages": len(talk), "opened_ms": opened, **worst}


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        os.environ["XLAM_LOCAL_HOME"] = home
        for measure in (long_answer, large_result, old_conversation):
            found = asyncio.run(measure())
            told = {name: round(value, 1) for name, value in found.items()}
            sys.stdout.write(f"{measure.__name__}: {json.dumps(told)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
