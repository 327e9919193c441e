"""Measure several requests at once, beside one after the other and beside llama.cpp's own server.

usage: python -m tests.benchmarks.sequences [--model NAME] [--clients N] [--sequences N]
                                            [--rounds N] [--http] [--peer-python PATH]

All clients offer the same tools and ask different questions. `cold` counts from an empty KV cache,
`disk` has the tools in the prompt cache on disk, and `warm` follows on the same engine with other
questions. The longest wait is that until a reply has ended, as a multiple of the mean. `prefill` is
one prompt of about 1,600 tokens. --http also sends the same questions to `xlam-local serve`, in
requests of OpenAI's form with `tool_choice: required`. --peer-python is an interpreter that has the
package xllamacpp, which contains llama-server; it gets the same prompts and the JSON Schema of the
same calls.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2

from tests.fakes.resources import FILES, fetch
from tests.fakes.server_process import ServerProcess, server_process
from xlam_local import grammar, openai_format, prompt
from xlam_local.bench import workload
from xlam_local.bench.sequences import CITIES
from xlam_local.engine import LoadOptions
from xlam_local.engine.subprocess_engine import SubprocessEngine
from xlam_local.hardware import compute_cores
from xlam_local.prompt import PromptFormat
from xlam_local.types import GenerationEnd, Prompt, Sampling, SystemMessage, Tool, UserMessage

CONTEXT = 2048
MAX_TOKENS = 128
TOOL_COUNT = 8
TIMEOUT_S = 1200.0
TOOLS = workload.many_tools(TOOL_COUNT)
RULES = grammar.compile_tools(TOOLS, "required").grammar
SAMPLING = Sampling(max_tokens=MAX_TOKENS)

LONG_QUESTION = workload.PADDING * 100


@dataclass(frozen=True)
class Request:
    """A question of a client, and the tools that it offers."""

    question: str
    tools: tuple[Tool, ...] = TOOLS

    @property
    def messages(self) -> tuple[SystemMessage, UserMessage]:
        return SystemMessage("You are a helpful assistant."), UserMessage(self.question)

    def prompt(self, prompt_format: PromptFormat) -> Prompt:
        return prompt.render(self.messages, self.tools, prompt_format)


Answer = Callable[[Request], tuple[int, float]]
"""Writes a reply; returns its number of tokens, and the tokens of the prompt read in a second."""


def requests(clients: int, day: int) -> list[Request]:
    """Return a request of each client; another day has other questions."""
    return [
        Request(
            f"Find business flights from {CITIES[n % len(CITIES)]} to London on 2026-12-{day} "
            f"for {n % 4 + 1} passengers."
        )
        for n in range(clients)
    ]


def own_answer(engine: SubprocessEngine) -> Answer:
    def answer(request: Request) -> tuple[int, float]:
        *_, end = engine.generate(request.prompt(engine.prompt_format), RULES, SAMPLING)
        assert isinstance(end, GenerationEnd)
        usage = end.usage
        read = (usage.prompt_tokens - usage.cached_tokens) / usage.prefill_seconds
        return usage.reply_tokens, read

    return answer


def server_answer(server: ServerProcess) -> Answer:
    """Answer through `serve`, which does not tell how fast it reads."""

    def answer(request: Request) -> tuple[int, float]:
        body: dict[str, Any] = {
            "messages": openai_format.messages_json(request.messages),
            "tools": [
                {"type": "function", "function": prompt.tool_json(tool)} for tool in request.tools
            ],
            "tool_choice": "required",
            "max_tokens": MAX_TOKENS,
            "temperature": 0,
        }
        reply = json.loads(server.post("/v1/chat/completions", body))
        assert reply["choices"][0]["message"]["tool_calls"]
        return int(reply["usage"]["completion_tokens"]), math.nan

    return answer


def peer_answer(url: str, prompt_format: PromptFormat) -> Answer:
    def answer(request: Request) -> tuple[int, float]:
        body: dict[str, Any] = {
            "prompt": prompt.text(request.prompt(prompt_format)),
            "n_predict": MAX_TOKENS,
            "temperature": 0,
            "json_schema": RULES.json_schema,
            "cache_prompt": True,
        }
        response = httpx2.post(f"{url}/completion", json=body, timeout=TIMEOUT_S)
        response.raise_for_status()
        timings = response.json()["timings"]
        return int(timings["predicted_n"]), float(timings["prompt_per_second"])

    return answer


@dataclass(frozen=True)
class Measured:
    """What several requests at once took."""

    seconds: float
    tokens: int
    """Of all replies."""
    longest_wait: float
    """As a multiple of the mean."""


def ask_all(answer: Answer, asked: Sequence[Request]) -> Measured:
    """Ask for replies to all requests at once."""
    started = time.perf_counter()

    def ask(request: Request) -> tuple[int, float]:
        tokens, _ = answer(request)
        return tokens, time.perf_counter() - started

    with ThreadPoolExecutor(len(asked)) as pool:
        ends = list(pool.map(ask, asked))
    waits = [wait for _, wait in ends]
    tokens = sum(count for count, _ in ends)
    return Measured(max(waits), tokens, max(waits) / statistics.mean(waits))


def prefill(answer: Answer) -> float:
    """Return the tokens of a long prompt that are read in a second."""
    return answer(Request(LONG_QUESTION, TOOLS[:1]))[1]


@contextmanager
def peer(python: str, model: Path, slots: int) -> Iterator[str]:
    """Run llama-server; the value is its address."""
    script = Path(__file__).parents[1] / "fakes" / "peer_server.py"
    arguments = [str(model), str(slots), str(compute_cores()), str(CONTEXT)]
    process = subprocess.Popen(
        [python, script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


class Figures:
    """The seconds and tokens of each case, over the rounds."""

    def __init__(self, clients: int) -> None:
        self._clients = clients
        self._measured: dict[str, list[Measured]] = {}
        self._prefill: dict[str, list[float]] = {}

    def add(self, name: str, measured: Measured) -> None:
        self._measured.setdefault(name, []).append(measured)

    def add_prefill(self, name: str, speed: float) -> None:
        self._prefill.setdefault(name, []).append(speed)

    def print(self) -> None:
        print("| case | seconds, median | range | replies/s | tokens/s | longest wait |")
        print("|---|---|---|---|---|---|")
        for name, runs in self._measured.items():
            times = [run.seconds for run in runs]
            median = statistics.median(times)
            tokens = statistics.median(run.tokens / run.seconds for run in runs)
            wait = max(run.longest_wait for run in runs)
            print(
                f"| {name} | {median:.1f} | {min(times):.1f} to {max(times):.1f} "
                f"| {self._clients / median:.3f} | {tokens:.1f} | {wait:.2f} |"
            )
        for name, speeds in self._prefill.items():
            print(f"prefill, {name}: {', '.join(f'{speed:.1f}' for speed in speeds)} tokens/s")


def measure_own(figures: Figures, model: Path, options: LoadOptions, clients: int) -> None:
    name = "in one batch" if options.sequences > 1 else "one after the other"
    with closing(SubprocessEngine.load(model, options)) as engine:
        answer = own_answer(engine)
        cold, warm = (requests(clients, day) for day in (24, 25))
        case = "disk" if options.prompt_cache_folder else "cold"
        figures.add(f"{case}, {name}", ask_all(answer, cold))
        if case == "cold":
            figures.add(f"warm, {name}", ask_all(answer, warm))
            if options.sequences == 1:
                figures.add_prefill("xlam-local", prefill(answer))


def measure_peer(
    figures: Figures, python: str, model: Path, options: LoadOptions, clients: int
) -> None:
    with closing(SubprocessEngine.load(model, options)) as engine:
        prompt_format = engine.prompt_format
    cold, warm = (requests(clients, day) for day in (24, 25))
    with peer(python, model, options.sequences) as url:
        answer = peer_answer(url, prompt_format)
        figures.add("cold, llama-server", ask_all(answer, cold))
        figures.add("warm, llama-server", ask_all(answer, warm))
        figures.add_prefill("llama-server", prefill(answer))


def measure_server(figures: Figures, model: Path, options: LoadOptions, clients: int) -> None:
    """Measure through HTTP, with a prompt cache on disk that is empty at first."""
    cold, warm = (requests(clients, day) for day in (24, 25))
    given = ("-m", str(model), "--sequences", str(options.sequences), "--context", str(CONTEXT))
    with tempfile.TemporaryDirectory() as home:
        with server_process(*given, home=Path(home)) as server:
            answer = server_answer(server)
            figures.add("cold, HTTP", ask_all(answer, cold))
            figures.add("warm, HTTP", ask_all(answer, warm))
        with server_process(*given, home=Path(home)) as server:
            figures.add("disk, HTTP", ask_all(server_answer(server), cold))


def prime(model: Path, options: LoadOptions) -> None:
    """Write the beginning of the prompts to the cache on disk."""
    with closing(SubprocessEngine.load(model, options)) as engine:
        own_answer(engine)(requests(1, 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", choices=FILES, default="qwen2.5-coder-0.5b")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--sequences", type=int, help="by default as many as clients")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--http", action="store_true")
    parser.add_argument("--peer-python")
    arguments = parser.parse_args()
    model, clients = fetch(arguments.model), arguments.clients
    figures = Figures(clients)
    one = LoadOptions(context_size=CONTEXT)
    many = replace(one, sequences=arguments.sequences or clients)
    with tempfile.TemporaryDirectory() as folder:
        on_disk = replace(many, prompt_cache_folder=Path(folder))
        prime(model, on_disk)
        for _ in range(arguments.rounds):
            for options in (one, many, on_disk):
                measure_own(figures, model, options, clients)
            if arguments.http:
                measure_server(figures, model, many, clients)
            if arguments.peer_python:
                measure_peer(figures, arguments.peer_python, model, many, clients)
    figures.print()


if __name__ == "__main__":
    main()
