"""Measure what the server adds to the engine: milliseconds of a request, and streamed tokens.

usage: python -m tests.benchmarks.server_overhead [-m MODEL] [--requests N] [--tokens N]

The same prompts go to an engine in a process of its own and to a server with the same model, in
turns. Without MODEL, a model of random weights is used, which measures the server best.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.fakes.server_client import function_json
from tests.fakes.server_process import ServerProcess, server_process
from tests.fakes.tiny_models import write_model
from xlam_local import gbnf, load_model, openai_format
from xlam_local.agent import Engine, TurnOptions, turn
from xlam_local.types import Deny, GenerationEnd, PromptPart, Sampling, UserMessage

Json = Any
TEXT = "The quick brown fox jumps over the lazy dog. "
TOOLS = [function_json(name) for name in ("add", "subtract", "multiply")]
GRAMMAR = "root ::= [a-z ]{10000}"
"""Keeps a text from ending before its limit of tokens."""
ONE_TOKEN = Sampling(max_tokens=1, seed=1)


class Client:
    """A connection to the server that stays open."""

    def __init__(self, server: ServerProcess) -> None:
        host = urlsplit(server.url)
        self._connection = http.client.HTTPConnection(host.hostname or "", host.port)
        self._headers = {**server.headers, "Content-Type": "application/json"}

    def post(self, path: str, body: Json) -> http.client.HTTPResponse:
        """Send a request, and return the response before its body is read."""
        self._connection.request("POST", path, json.dumps(body), self._headers)
        response = self._connection.getresponse()
        assert response.status == 200, response.read()
        return response


def complete_directly(engine: Engine, tokens: int) -> float:
    """Return the tokens per second of a text after its first one."""
    sampling = Sampling(max_tokens=tokens, seed=1, temperature=0)
    grammar = gbnf.parse_gbnf(GRAMMAR)
    first = 0.0
    for item in engine.generate((PromptPart(TEXT, special=True),), grammar, sampling):
        if isinstance(item, str) and not first:
            first = time.perf_counter()
        if isinstance(item, GenerationEnd):
            return item.usage.reply_tokens / (time.perf_counter() - first)
    raise AssertionError


def complete_through_server(client: Client, tokens: int) -> float:
    """Return the same, streamed by the server."""
    body: Json = {"prompt": TEXT, "max_tokens": tokens, "seed": 1, "temperature": 0, "stream": True}
    body |= {"stream_options": {"include_usage": True}, "grammar": GRAMMAR}
    response = client.post("/v1/completions", body)
    first, written = 0.0, 0
    for line in response:
        if not line.startswith(b"data: {"):
            continue
        chunk = json.loads(line[len(b"data: ") :])
        if any(choice["text"] for choice in chunk["choices"]) and not first:
            first = time.perf_counter()
        written = chunk.get("usage", {}).get("completion_tokens", written)
    return written / (time.perf_counter() - first)


def one_token_directly(engine: Engine) -> None:
    """Read a prompt and write one token."""
    for _ in engine.generate((PromptPart(TEXT, special=True),), None, ONE_TOKEN):
        pass


def one_token_through_server(client: Client) -> None:
    """Do the same through the server."""
    client.post("/v1/completions", {"prompt": TEXT, "max_tokens": 1, "seed": 1}).read()


def chat_directly(engine: Engine) -> None:
    """Begin to answer a conversation with tools."""
    tools = openai_format.tools(TOOLS)
    options = TurnOptions(sampling=ONE_TOKEN, strict_context=True)
    for _ in turn((UserMessage(TEXT),), tools, engine, lambda _tool, _call: Deny(), options):
        pass


def chat_through_server(client: Client) -> None:
    """Do the same through the server."""
    messages = [{"role": "user", "content": TEXT}]
    body = {"messages": messages, "tools": TOOLS, "max_tokens": 1, "seed": 1}
    client.post("/v1/chat/completions", body).read()


def milliseconds(run: Callable[[], None]) -> float:
    """Return how long a function takes."""
    started = time.perf_counter()
    run()
    return (time.perf_counter() - started) * 1000


def compare(
    name: str, directly: Callable[[], float], through_server: Callable[[], float], count: int
) -> tuple[float, float]:
    """Print and return the medians of both, measured in turns after one that does not count."""
    directly(), through_server()
    pairs = [(directly(), through_server()) for _ in range(count)]
    one, other = (statistics.median(values) for values in zip(*pairs, strict=True))
    print(f"{name:28} engine {one:10.2f}   server {other:10.2f}", flush=True)
    return one, other


@contextmanager
def model_file(given: str | None) -> Iterator[str]:
    """Yield the model to measure."""
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "xLAM-2-tiny.gguf"
        write_model(path, "qwen2", "xLAM-2-tiny")
        yield str(path)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-m", "--model")
    parser.add_argument("--requests", type=int, default=50)
    parser.add_argument("--streams", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=128)
    given = parser.parse_args()
    with (
        model_file(given.model) as model,
        server_process("-m", model, "--sequences", "1", "--no-prompt-cache") as server,
        closing(load_model(model)) as engine,
    ):
        client = Client(server)
        for name, direct, through in (
            ("one token, ms", one_token_directly, one_token_through_server),
            ("chat with tools, ms", chat_directly, chat_through_server),
        ):
            one, other = compare(
                name,
                partial(milliseconds, partial(direct, engine)),
                partial(milliseconds, partial(through, client)),
                given.requests,
            )
            print(f"{'':28} overhead {other - one:.2f} ms (wanted: at most 5)")
        one, other = compare(
            "streamed tokens a second",
            partial(complete_directly, engine, given.tokens),
            partial(complete_through_server, client, given.tokens),
            given.streams,
        )
        print(f"{'':28} share {other / one:.3f} (wanted: at least 0.98)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
