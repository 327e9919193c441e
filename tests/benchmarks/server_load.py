"""Put a server under load: clients with mixed requests, which cancel, err and wait.

usage: python -m tests.benchmarks.server_load [-m MODEL] [--minutes 30] [--clients 8]

Each request has to be answered, or refused with a reason, within a minute. After the first third of
the time, the memory of the server and its engine must stay within 5 %. It prints how many requests
ended how, and ends with 1 if something did not hold. Without MODEL, the weights are random.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2

from tests.fakes.server_client import function_json
from tests.fakes.server_process import ServerProcess, server_process, tiny_server

Json = Any
REQUEST_TIMEOUT_S = 60.0
SAMPLE_S = 1.0
MEMORY_SHARE = 0.05
OPTIONS = ("--context", "2048", "--max-tokens", "24", "--max-queue", "8", "--sequences", "2")
CHAT = "/v1/chat/completions"
TOOLS = [function_json(), function_json("find", text={"type": "string", "maxLength": 8})]
WORDS = ("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "and", "more")


class Load:
    """The clients of a server, and how their requests ended."""

    def __init__(self, client: httpx2.AsyncClient, seed: int) -> None:
        self.client = client
        self.chance = random.Random(seed)
        self.ends: Counter[str] = Counter()
        self.faults: list[str] = []

    async def run(self, end: float) -> None:
        """Send one request after the other until the time is over."""
        kinds: list[Callable[[], Awaitable[None]]] = [
            *[self.chat, self.streamed, self.completion] * 3,
            *[self.cancelled, self.invalid, self.too_long, self.other_apis],
        ]
        while time.monotonic() < end:
            kind = self.chance.choice(kinds)
            try:
                async with asyncio.timeout(REQUEST_TIMEOUT_S):
                    await kind()
            except TimeoutError:
                self.faults.append(f"{kind.__name__} was not answered")
            except httpx2.HTTPError as error:
                self.faults.append(f"{kind.__name__}: {error!r}")

    def text(self, most: int = 60) -> str:
        """Return a random text."""
        return " ".join(self.chance.choices(WORDS, k=self.chance.randint(1, most)))

    def conversation(self) -> Json:
        """Return a random request for a chat completion."""
        choice = self.chance.choice(["auto", "required", "none"])
        messages = [{"role": "user", "content": self.text()}]
        return {"messages": messages, "tools": TOOLS, "tool_choice": choice}

    def count(self, kind: str, response: httpx2.Response, *expected: int) -> None:
        """Count an answer; a refusal has to give its reason."""
        self.ends[f"{kind} {response.status_code}"] += 1
        if response.status_code == 503:
            retry = response.headers.get("retry-after", "")
            if not retry.isdecimal() or "error" not in response.text:
                self.faults.append(f"{kind}: 503 without a reason")
        elif response.status_code not in expected:
            self.faults.append(f"{kind}: {response.status_code} {response.text[:200]}")

    async def chat(self) -> None:
        """Ask for a reply with tools. Random weights may write calls that stay invalid."""
        self.count("chat", await self.client.post(CHAT, json=self.conversation()), 200)

    async def streamed(self) -> None:
        """Read a reply as it is written."""
        body = {**self.conversation(), "stream": True}
        async with self.client.stream("POST", CHAT, json=body) as response:
            lines = [line async for line in response.aiter_lines() if line]
            if response.status_code == 200 and lines[-1] != "data: [DONE]":
                self.faults.append(f"streamed: the last line is {lines[-1][:100]}")
            if response.status_code == 503:
                self.ends["streamed 503"] += 1
            else:
                self.count("streamed", response, 200)

    async def completion(self) -> None:
        """Continue texts."""
        body = {"prompt": [self.text() for _ in range(self.chance.randint(1, 3))], "max_tokens": 9}
        self.count("completion", await self.client.post("/v1/completions", json=body), 200)

    async def cancelled(self) -> None:
        """Leave at a random moment."""
        body = {**self.conversation(), "stream": True, "max_tokens": 500}
        try:
            async with asyncio.timeout(self.chance.random() * 0.5):
                await self.client.post(CHAT, json=body)
        except TimeoutError:
            self.ends["cancelled"] += 1

    async def invalid(self) -> None:
        """Send what cannot be answered."""
        body = self.chance.choice(
            [{}, {"messages": 5}, {**self.conversation(), "logit_bias": {"5": 1}}]
        )
        self.count("invalid", await self.client.post(CHAT, json=body), 400)

    async def too_long(self) -> None:
        """Send a prompt that does not fit."""
        body = {"prompt": "word " * 20_000}
        self.count("too long", await self.client.post("/v1/completions", json=body), 400)

    async def other_apis(self) -> None:
        """Use the other endpoints."""
        response = await self.client.post("/v1/responses", json={"input": self.text()})
        self.count("responses", response, 200)
        body = {"messages": [{"role": "user", "content": self.text()}], "max_tokens": 5}
        self.count("messages", await self.client.post("/v1/messages", json=body), 200)
        response = await self.client.post("/tokenize", json={"content": self.text()})
        self.count("tokenize", response, 200)
        self.count("metrics", await self.client.get("/metrics"), 200)


async def sample(server: ServerProcess, end: float) -> list[int]:
    """Return the bytes of memory at each second."""
    found = []
    while time.monotonic() < end:
        found.append(server.memory())
        await asyncio.sleep(SAMPLE_S)
    return found


def memory_fault(samples: list[int]) -> str:
    """Return what is wrong with the memory after the first third; "" if it is flat."""
    third = len(samples) // 3
    middle, last = samples[third : 2 * third], samples[2 * third :]
    before, after = statistics.median(middle), statistics.median(last)
    print(f"memory: {before / 2**20:.1f} MiB, then {after / 2**20:.1f} MiB")
    return f"memory grew by {after / before - 1:.1%}" if after > before * (1 + MEMORY_SHARE) else ""


async def put_under_load(server: ServerProcess, seconds: float, clients: int) -> list[str]:
    """Run the clients; return what did not hold."""
    end = time.monotonic() + seconds
    async with httpx2.AsyncClient(
        base_url=server.url, headers=server.headers, timeout=REQUEST_TIMEOUT_S
    ) as client:
        loads = [Load(client, number) for number in range(clients)]
        sampling = asyncio.create_task(sample(server, end))
        await asyncio.gather(*(load.run(end) for load in loads))
        samples = await sampling
    ends: Counter[str] = sum((load.ends for load in loads), Counter())
    for name, count in sorted(ends.items()):
        print(f"{name:20} {count}")
    faults = [fault for load in loads for fault in load.faults]
    health = json.loads(server.get("/health"))
    if health["requests_running"] or health["requests_waiting"]:
        faults.append(f"requests are left: {health}")
    return [fault for fault in (*faults, memory_fault(samples)) if fault]


def main() -> int:
    """Put a server under load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-m", "--model")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--clients", type=int, default=8)
    given = parser.parse_args()
    running = server_process("-m", given.model, *OPTIONS) if given.model else tiny_server(*OPTIONS)
    with running as server:
        faults = asyncio.run(put_under_load(server, given.minutes * 60, given.clients))
    for fault, count in Counter(faults).most_common(20):
        print(f"fault, {count} times: {fault}")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
