"""The queue in front of the engine."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Generator

import pytest
import pytest_asyncio

from tests.fakes.fake_engine import Scripted
from xlam_local.agent import Engine
from xlam_local.errors import ContextExceeded
from xlam_local.server import EngineQueue
from xlam_local.server.api_error import ApiError
from xlam_local.server.engine_queue import Job, JobStream
from xlam_local.types import Heartbeat

WAIT_S = 10.0


@pytest_asyncio.fixture
async def queue() -> AsyncIterator[EngineQueue]:
    made = EngineQueue(Scripted(), max_waiting=2)
    yield made
    made.close()


class Gate:
    """A job that waits with heartbeats until it may go on."""

    def __init__(self, name: str = "gate") -> None:
        self.name = name
        self.begun = threading.Event()
        self.opened = threading.Event()
        self.closed = threading.Event()

    def __call__(self, engine: Engine) -> Generator[str | Heartbeat, None, None]:
        self.begun.set()
        try:
            while not self.opened.is_set():
                time.sleep(0.001)
                yield Heartbeat()
            yield self.name
        finally:
            self.closed.set()


async def reached(event: threading.Event) -> None:
    async with asyncio.timeout(WAIT_S):
        while not event.is_set():
            await asyncio.sleep(0.001)


async def items(stream: JobStream[str]) -> list[str]:
    async with asyncio.timeout(WAIT_S):
        return [item async for item in stream]


def saying(*texts: str) -> Job[str]:
    def job(engine: Engine) -> Generator[str | Heartbeat, None, None]:
        yield from texts

    return job


async def test_a_job_yields_its_items(queue: EngineQueue) -> None:
    assert await items(queue.submit(saying("a", "b"))) == ["a", "b"]


async def test_jobs_run_in_the_order_of_their_arrival(queue: EngineQueue) -> None:
    order: list[str] = []

    def noting(name: str) -> Job[str]:
        def job(engine: Engine) -> Generator[str | Heartbeat, None, None]:
            order.append(name)
            yield name

        return job

    gate = Gate()
    streams = [queue.submit(gate), queue.submit(noting("b")), queue.submit(noting("c"))]
    gate.opened.set()
    assert [await items(stream) for stream in reversed(streams)] == [["c"], ["b"], ["gate"]]
    assert order == ["b", "c"]


async def test_as_many_jobs_run_at_once_as_the_engine_writes_replies() -> None:
    engine = Scripted()
    engine.sequences = 3
    queue = EngineQueue(engine, max_waiting=1)
    gates = [Gate(str(number)) for number in range(4)]
    streams = [queue.submit(gate) for gate in gates]
    for gate in gates[:3]:
        await reached(gate.begun)
    assert (queue.running, queue.waiting) == (3, 1)
    with pytest.raises(ApiError):
        queue.submit(saying("refused"))
    assert not gates[3].begun.is_set()
    gates[1].opened.set()
    await reached(gates[3].begun)
    for gate in gates:
        gate.opened.set()
    assert [await items(stream) for stream in streams] == [["0"], ["1"], ["2"], ["3"]]
    queue.close()


async def test_a_full_queue_refuses_and_says_when_to_try_again(queue: EngineQueue) -> None:
    gate = Gate()
    running = queue.submit(gate)
    await reached(gate.begun)
    waiting = [queue.submit(saying("b")), queue.submit(saying("c"))]
    with pytest.raises(ApiError, match="The queue is full: 2 requests wait") as caught:
        queue.submit(saying("d"))
    assert caught.value.status == 503
    assert int(caught.value.headers["Retry-After"]) >= 1
    assert (queue.waiting, queue.refused) == (2, 1)
    waiting[0].cancel()
    accepted = queue.submit(saying("e"))
    gate.opened.set()
    assert await items(accepted) == ["e"]
    assert await items(running) == ["gate"]


async def test_a_cancelled_job_is_closed_and_the_next_one_begins(queue: EngineQueue) -> None:
    gate = Gate()
    stream = queue.submit(gate)
    await reached(gate.begun)
    stream.cancel()
    assert await items(stream) == []
    assert await items(queue.submit(saying("next"))) == ["next"]
    assert gate.closed.is_set()


async def test_a_job_that_is_cancelled_while_it_waits_never_begins(queue: EngineQueue) -> None:
    gate, second = Gate(), Gate()
    queue.submit(gate)
    waiting = queue.submit(second)
    waiting.cancel()
    gate.opened.set()
    assert await items(queue.submit(saying("next"))) == ["next"]
    assert not second.begun.is_set()


async def test_an_error_ends_its_job_only(queue: EngineQueue) -> None:
    def failing(engine: Engine) -> Generator[str | Heartbeat, None, None]:
        yield "a"
        raise ContextExceeded("It is too long.")

    stream = queue.submit(failing)
    assert await anext(stream) == "a"
    with pytest.raises(ApiError, match="too long") as caught:
        await anext(stream)
    assert (caught.value.status, caught.value.code) == (400, "context_length_exceeded")
    assert await items(queue.submit(saying("next"))) == ["next"]


async def test_a_bug_is_an_error_without_its_text(queue: EngineQueue) -> None:
    def failing(engine: Engine) -> Generator[str | Heartbeat, None, None]:
        yield Heartbeat()
        raise KeyError("secret")

    with pytest.raises(ApiError, match="The server has a bug") as caught:
        await items(queue.submit(failing))
    assert caught.value.status == 500


async def test_a_closed_queue_lets_running_jobs_end_until_they_are_cut(queue: EngineQueue) -> None:
    gate = Gate()
    stream = queue.submit(gate)
    queue.refuse_new()
    with pytest.raises(ApiError, match="shutting down"):
        queue.submit(saying("b"))
    await reached(gate.begun)
    queue.cut()
    assert await items(stream) == []
    await reached(gate.closed)
