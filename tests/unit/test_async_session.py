from __future__ import annotations

import asyncio
import threading
import time

import pytest

from tests.fakes.fake_engine import Scripted
from tests.fakes.turns import ADD, ADD_2_3
from xlam_local import Effect, tool
from xlam_local.async_session import AsyncSession
from xlam_local.errors import ToolError, TurnLimitExceeded
from xlam_local.session import Session
from xlam_local.types import AssistantMessage, Done, TextDelta, ToolResult, UserMessage


def test_a_turn_is_awaited() -> None:
    session = AsyncSession(Session(Scripted(ADD_2_3, ["5"]), [ADD]))
    assert asyncio.run(session.ask("2 + 3?")) == "5"
    assert session.session.messages[-1] == AssistantMessage("5")


def test_an_answer_is_an_object() -> None:
    session = AsyncSession(Session(Scripted(["[1, 2]"], ["3"])))

    async def ask() -> tuple[list[int], object]:
        return await session.ask_object("a", list[int]), await session.ask_object("b", {})

    assert asyncio.run(ask()) == ([1, 2], 3)


def test_events_arrive_while_the_event_loop_goes_on() -> None:
    @tool(Effect.READ)
    def wait() -> str:
        """Wait."""
        time.sleep(0.3)
        return threading.current_thread().name

    call = ['[{"name": "wait", "arguments": {}}]']
    session = AsyncSession(Session(Scripted(call, ["Hel", "lo."]), [wait]))
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    async def play() -> list[object]:
        ticking = asyncio.create_task(tick())
        events: list[object] = [event async for event in session.send("Hi")]
        ticking.cancel()
        return events

    events = asyncio.run(play())
    assert [e.text for e in events if isinstance(e, TextDelta)] == ["Hel", "lo."]
    assert any(isinstance(e, ToolResult) and e.ok for e in events)
    assert isinstance(events[-1], Done)
    assert ticks > 5


def test_an_error_is_raised_where_the_turn_is_awaited() -> None:
    session = AsyncSession(Session(Scripted(ADD_2_3, ADD_2_3, ADD_2_3, [""]), [ADD]))
    with pytest.raises(TurnLimitExceeded):
        asyncio.run(session.ask("2 + 3?"))


def test_a_cancelled_task_cancels_the_turn() -> None:
    started = threading.Event()

    @tool(Effect.READ)
    def wait() -> str:
        """Wait."""
        started.set()
        time.sleep(0.2)
        raise ToolError("late")

    call = ['[{"name": "wait", "arguments": {}}]']
    engine = Scripted(call, ["Yes."])
    session = AsyncSession(Session(engine, [wait]))

    async def play() -> str:
        task = asyncio.create_task(session.ask("Hi"))
        while not started.is_set():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await session.ask("Again?")

    assert asyncio.run(play()) == "Yes."
    results = [m for m in session.session.messages if isinstance(m, ToolResult)]
    assert [result.output for result in results] == ["No result: the turn was cancelled."]


def test_a_closed_iterator_cancels_the_turn() -> None:
    engine = Scripted(["one ", "two"], ["Yes."])
    session = AsyncSession(Session(engine))

    async def play() -> None:
        events = session.send("Hi")
        async for event in events:
            if isinstance(event, TextDelta):
                break
        await events.aclose()

    asyncio.run(play())
    assert session.session.messages == [UserMessage("Hi"), AssistantMessage("one")]


def test_turns_that_begin_together_run_one_after_the_other() -> None:
    session = AsyncSession(Session(Scripted(["1"], ["2"])))

    async def play() -> tuple[str, str]:
        return await asyncio.gather(session.ask("a"), session.ask("b"))

    assert list(asyncio.run(play())) == ["1", "2"]
    assert [m.text for m in session.session.messages if not isinstance(m, ToolResult)] == [
        *("a", "1", "b", "2")
    ]
