"""Measure several replies that are written at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from .. import grammar, prompt
from ..agent import Engine
from ..types import GenerationEnd, Message, Prompt, Sampling, SystemMessage, UserMessage
from . import report as figures
from . import workload
from .llama_server import server_reply_tokens
from .report import SEQUENCE_COUNTS, Report

CITIES = ("Oslo", "Rome", "Lima", "Tokyo", "Cairo", "Quito", "Paris", "Delhi")
TOKENS_PER_S = "tokens/s"


def measure_sequences(
    report: Report, engine: Engine, server_url: str | None, max_tokens: int
) -> Iterator[None]:
    """Measure 1, 2, 4 and 8 requests at once, of clients with the same tools.

    A figure is the tokens of all replies divided by the time until the last one has ended.
    """
    compiled = grammar.compile_tools(workload.TOOLS, "required")
    written = [prompt.render(_messages(n), workload.TOOLS, engine.prompt_format) for n in range(8)]

    def write(request: Prompt) -> int:
        *_, end = engine.generate(request, compiled.grammar, Sampling(max_tokens=max_tokens))
        assert isinstance(end, GenerationEnd)
        return end.usage.reply_tokens

    def ask_server(request: Prompt) -> int:
        assert server_url is not None
        return server_reply_tokens(server_url, prompt.text(request), compiled.grammar, max_tokens)

    for count in SEQUENCE_COUNTS:
        report.add(figures.at_once(count), TOKENS_PER_S, _speed(write, written[:count]))
        yield
        if server_url is not None:
            speed = _speed(ask_server, written[:count])
            report.add(figures.server_at_once(count), TOKENS_PER_S, speed)
            yield


def _messages(number: int) -> Sequence[Message]:
    question = (
        f"Find flights from {CITIES[number]} to London on 2026-12-{number + 10} for {number + 1} "
        "passengers in business class, and tell me the weather in London in celsius."
    )
    return [SystemMessage("You are a helpful assistant."), UserMessage(question)]


def _speed(write: Callable[[Prompt], int], requests: Sequence[Prompt]) -> float:
    """Return the tokens per second of requests that are made at once."""
    started = time.perf_counter()
    with ThreadPoolExecutor(len(requests)) as pool:
        tokens = sum(pool.map(write, requests))
    return tokens / (time.perf_counter() - started)
