"""A server in this event loop, with limits so short that tests can exceed them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from tests.fakes.fake_engine import Scripted
from tests.fakes.server_client import OPEN, USER
from tests.fakes.word_tokenizer import WordTokenizer
from xlam_local.agent import Generation
from xlam_local.grammar import Enforced
from xlam_local.server import AccessRules, EngineQueue, ServerState, build_app, open_socket
from xlam_local.server.serving import LocalServer, TimedProtocol, server_settings
from xlam_local.types import GenerationEnd, Prompt, Sampling

TIMEOUT_S = 20.0
SHORT_S = 0.2
HEAD = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
JSON_HEAD = HEAD + "Content-Type: application/json\r\n"


class Slow(Scripted):
    """Writes ten words, with a moment before each."""

    def generate(self, written: Prompt, grammar: Enforced | None, sampling: Sampling) -> Generation:
        try:
            for _ in range(10):
                time.sleep(0.002)
                yield "word "
            yield GenerationEnd()
        finally:
            self.closed += 1


class QuickProtocol(TimedProtocol):
    header_timeout_s = SHORT_S


class Running:
    """A server in this event loop."""

    def __init__(self, rules: AccessRules, protocol: type[TimedProtocol]) -> None:
        self.engine = Slow()
        self.queue = EngineQueue(self.engine, 50)
        self.socket = open_socket("127.0.0.1", 0)
        self.port: int = self.socket.getsockname()[1]
        state = ServerState(self.queue, WordTokenizer())
        app = build_app(state, replace(rules, body_timeout_s=SHORT_S))
        settings = server_settings(app, 1, protocol)
        self.ready = asyncio.Event()
        self.server = LocalServer(settings, state, 1, self.ready.set)

    async def send(self, text: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(text.encode())
        await writer.drain()
        return reader, writer

    async def answer(self, text: str) -> str:
        """Return all that the server sends until it closes the connection."""
        reader, writer = await self.send(text)
        async with asyncio.timeout(TIMEOUT_S):
            data = await reader.read()
        writer.close()
        return data.decode()

    async def idle(self) -> None:
        """Wait until nothing runs and nothing waits."""
        async with asyncio.timeout(TIMEOUT_S):
            while self.queue.running or self.queue.waiting:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running_server(
    rules: AccessRules = OPEN, protocol: type[TimedProtocol] = QuickProtocol
) -> AsyncIterator[Running]:
    """Run a server until the end of the block."""
    made = Running(rules, protocol)
    task = asyncio.create_task(made.server.serve([made.socket]))
    await made.ready.wait()
    try:
        yield made
    finally:
        made.server.should_exit = True
        await task
        made.queue.close()


def chat(stream: bool = False) -> str:
    body = json.dumps({"messages": USER, "stream": stream})
    head = f"{JSON_HEAD}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    return head + body
