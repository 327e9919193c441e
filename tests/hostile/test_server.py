"""Clients of the server that are slow, rude or gone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import pytest_asyncio

from tests.fakes.running_server import HEAD, JSON_HEAD, TIMEOUT_S, Running, chat, running_server


@pytest_asyncio.fixture
async def running() -> AsyncIterator[Running]:
    async with running_server() as made:
        yield made


async def test_a_polite_client_is_answered(running: Running) -> None:
    assert "word word" in await running.answer(chat())


@pytest.mark.parametrize("text", ["", "POST /v1/chat", HEAD, HEAD + "X: y\r\nZ"])
async def test_headers_that_do_not_end_close_the_connection(running: Running, text: str) -> None:
    assert await running.answer(text) == ""


async def test_slow_headers_of_a_second_request_close_the_connection(running: Running) -> None:
    health = "GET /health HTTP/1.1\r\nHost: localhost\r\n"
    reader, writer = await running.send(f"{health}\r\n")
    await reader.readuntil(b"}")
    writer.write(health.encode())
    async with asyncio.timeout(TIMEOUT_S):
        assert await reader.read() == b""
    writer.close()


async def test_a_body_that_stops_is_answered_and_closed(running: Running) -> None:
    text = await running.answer(f'{JSON_HEAD}Content-Length: 500\r\n\r\n{{"messages"')
    assert text.startswith("HTTP/1.1 408")


@pytest.mark.parametrize(
    "text",
    [
        "\x16\x03\x01\x00garbage\r\n\r\n",
        "GET /\r\n\r\n",
        f"{HEAD}Content-Length: -1\r\n\r\n",
        f"{HEAD}Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_refused(running: Running, text: str) -> None:
    assert (await running.answer(text)).startswith("HTTP/1.1 400")


async def test_headers_that_are_too_large_are_refused(running: Running) -> None:
    with suppress(ConnectionResetError):
        text = await running.answer(f"{HEAD}X: {'y' * 900_000}\r\n\r\n")
        assert text.startswith("HTTP/1.1 400")


async def test_clients_that_leave_at_any_moment_leave_nothing_behind(running: Running) -> None:
    chance = random.Random(1)
    request = chat(stream=True)

    async def leave(number: int) -> None:
        length = len(request) if number % 2 else chance.randrange(len(request))
        _, writer = await running.send(request[:length])
        await asyncio.sleep(chance.random() * 0.05)
        writer.transport.abort()

    await asyncio.gather(*(leave(number) for number in range(40)))
    await running.idle()
    assert "word word" in await running.answer(chat())


async def test_many_idle_connections_do_not_stop_the_others(running: Running) -> None:
    opened = [await running.send("") for _ in range(200)]
    assert "word word" in await running.answer(chat())
    for _, writer in opened:
        writer.close()


async def test_running_replies_end_when_the_server_ends(running: Running) -> None:
    reader, writer = await running.send(chat(stream=True))
    await reader.readuntil(b"word")
    running.server.should_exit = True
    async with asyncio.timeout(TIMEOUT_S):
        rest: Any = await reader.read()
    writer.close()
    assert b"data: [DONE]" in rest
