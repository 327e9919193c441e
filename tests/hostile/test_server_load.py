"""Many clients, and clients that leave or do not read: nothing is left of them."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.fakes.running_server import TIMEOUT_S, Running, chat, running_server
from xlam_local.server.serving import MAX_CONNECTIONS, TimedProtocol, allow_open_files

PARTS = ("head", "half of the head", "body", "half of the body", "reply")


@pytest_asyncio.fixture
async def running() -> AsyncIterator[Running]:
    allow_open_files()
    # A busy machine may take longer to read the headers than the quick protocol waits.
    async with running_server(protocol=TimedProtocol) as made:
        yield made


async def no_connections(running: Running) -> None:
    """Wait until the server has no connection and no request."""
    async with asyncio.timeout(TIMEOUT_S):
        while running.server.server_state.connections or running.server.server_state.tasks:
            await asyncio.sleep(0.01)


async def test_a_thousand_idle_connections_do_not_keep_others_out(running: Running) -> None:
    opened = [await running.send("") for _ in range(1000)]
    assert len(running.server.server_state.connections) <= MAX_CONNECTIONS
    assert "word word" in await running.answer(chat())
    for _, writer in opened:
        writer.close()
    await no_connections(running)


async def test_a_thousand_connections_with_half_a_head(running: Running) -> None:
    opened = [await running.send("POST /v1/chat/completions HTTP/1.1\r\nHo") for _ in range(1000)]
    assert "word word" in await running.answer(chat())
    for _, writer in opened:
        writer.close()
    await no_connections(running)


@pytest.mark.slow
async def test_a_thousand_requests_are_answered_or_refused(running: Running) -> None:
    limit = asyncio.Semaphore(200)

    async def ask(number: int) -> int:
        async with limit:
            answer = await running.answer(chat(stream=bool(number % 2)))
        status = int(answer.split()[1])
        assert status == 503 or answer.count("word") == 10
        return status

    found = await asyncio.gather(*(ask(number) for number in range(1000)))
    assert set(found) <= {200, 503}
    assert found.count(200) >= 51
    await running.idle()
    await no_connections(running)


@pytest.mark.parametrize("stream", [False, True])
async def test_clients_that_leave_at_random_moments(running: Running, stream: bool) -> None:
    chance = random.Random(7)
    request = chat(stream)

    async def leave(number: int) -> None:
        length = len(request) if number % 3 else chance.randrange(len(request))
        _, writer = await running.send(request[:length])
        await asyncio.sleep(chance.random() * 0.1)
        if number % 2:
            writer.transport.abort()
        else:
            writer.close()

    for _ in range(4):
        await asyncio.gather(*(leave(number) for number in range(75)))
    await running.idle()
    await no_connections(running)
    assert "word word" in await running.answer(chat())


async def test_a_client_that_closes_its_half_is_answered_or_forgotten(running: Running) -> None:
    reader, writer = await running.send(chat())
    writer.write_eof()
    async with asyncio.timeout(TIMEOUT_S):
        await reader.read()
    writer.close()
    await running.idle()
    await no_connections(running)


async def test_requests_behind_each_other_are_answered_in_order(running: Running) -> None:
    health = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = await running.answer(health * 50 + last)
    assert answer.count("HTTP/1.1 200") == 51
    assert answer.rstrip().endswith("}")
    await no_connections(running)


async def test_memory_does_not_grow_with_refused_requests(running: Running) -> None:
    async def round_of_requests() -> None:
        for _ in range(100):
            await running.answer(
                f"GET /nowhere/{random.random()} HTTP/1.1\r\nHost: localhost\r\n"
                "Connection: close\r\n\r\n"
            )

    await round_of_requests()
    before = len(running.server.server_state.connections), sys.getallocatedblocks()
    await round_of_requests()
    await no_connections(running)
    after = len(running.server.server_state.connections), sys.getallocatedblocks()
    assert after[0] == before[0] == 0
    assert after[1] - before[1] < 5000
